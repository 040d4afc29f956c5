//! The bytes of MONITOR as a simulated server sends them: whole, cut, and with rubbish in between.

use std::time::Duration;

use hotshard::model::{Bytes, PerSecond};
use hotshard::node::simulated::{Act, Place, Plot, Scenario, Stage};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::{PRIMARY, REPLICA, connect, stage};

/// The raw bytes of a MONITOR stream until it ends, or for `span`, read by read.
async fn raw(stage: &Stage, place: Place, span: Duration) -> Vec<Vec<u8>> {
    use tokio::io::AsyncWriteExt;
    let mut stream = stage.dial(stage.endpoint(place).expect("a place")).expect("it listens");
    stream.write_all(b"MONITOR\r\n").await.expect("it is sent");
    let mut reads = Vec::new();
    let until = tokio::time::Instant::now() + span;
    loop {
        let mut bytes = Vec::with_capacity(1 << 16);
        match tokio::time::timeout_at(until, stream.read_buf(&mut bytes)).await {
            Ok(Ok(count)) if count > 0 => reads.push(bytes),
            _ => return reads,
        }
    }
}

fn well_formed(line: &str) -> bool {
    let mut parts = line.splitn(3, ' ');
    let time = parts
        .next()
        .is_some_and(|time| time.starts_with('+') && time[1..].parse::<f64>().is_ok());
    let database = parts.next() == Some("[0");
    let rest = parts.next().unwrap_or_default();
    time && database && rest.contains("] \"") && rest.ends_with('"')
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_ends_within_a_line() {
    let seconds = Duration::from_secs;
    let act = Act::new(Plot::Drop(REPLICA)).starting(seconds(2));
    let reads = raw(&stage(Scenario::new(1).with(act)), REPLICA, seconds(10)).await;
    let all = reads.concat();
    assert!(all.len() > 10_000 && all.last() != Some(&b'\n'), "{} bytes", all.len());
}

#[tokio::test(start_paused = true)]
async fn half_lines_come_whole_in_the_end() {
    let reads = raw(
        &stage(Scenario::new(1).with(Plot::HalfLines(REPLICA))),
        REPLICA,
        Duration::from_secs(2),
    )
    .await;
    let cut = reads.iter().filter(|read| !read.ends_with(b"\n")).count();
    assert!(
        cut > reads.len() / 2,
        "{cut} of {} reads end within a line",
        reads.len()
    );
    let all = reads.concat();
    let text = String::from_utf8_lossy(&all);
    let lines: Vec<&str> = text.split("\r\n").collect();
    let whole = &lines[1..lines.len() - 1];
    assert!(whole.len() > 1000 && whole.iter().all(|line| well_formed(line)));
}

#[tokio::test(start_paused = true)]
async fn rubbish_stands_between_good_lines() {
    let reads = raw(
        &stage(Scenario::new(1).with(Plot::Rubbish(REPLICA))),
        REPLICA,
        Duration::from_secs(2),
    )
    .await;
    let all = reads.concat();
    let text = String::from_utf8_lossy(&all);
    let (good, bad): (Vec<&str>, Vec<&str>) = text.split("\r\n").skip(1).partition(|line| well_formed(line));
    let share = bad.len() as f64 / good.len() as f64;
    assert!(
        (share * 40.0 - 1.0).abs() < 0.1,
        "{} bad lines beside {}",
        bad.len(),
        good.len()
    );
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_megabyte_come_through() {
    let plot = Plot::BigValues {
        shard: 0,
        rate: PerSecond(2.0),
        value: Bytes(1 << 20),
    };
    let all = raw(&stage(Scenario::new(1).with(plot)), PRIMARY, Duration::from_secs(2))
        .await
        .concat();
    let longest = all.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(longest > Some(4 << 20), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_fills_the_servers_buffer_and_is_closed() {
    let scenario = Scenario {
        output_buffer_max: Bytes(1_200_000),
        ..Scenario::new(1).rate(PerSecond(5000.0))
    };
    let stage = stage(scenario);
    let (mut tap, mut control) = (connect(&stage, REPLICA), connect(&stage, REPLICA));
    let id = tap
        .call(&["CLIENT", "ID"])
        .await
        .expect("it is answered")
        .integer()
        .to_string();
    tap.call(&["MONITOR"]).await.expect("it is answered");
    let mut unread = Vec::new();
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        let line = control
            .call(&["CLIENT", "LIST", "ID", &id])
            .await
            .expect("it is answered")
            .text();
        let omem = line.split(" omem=").nth(1).and_then(|rest| rest.split(' ').next());
        unread.push(omem.map_or(0, |omem| omem.parse::<u64>().expect("a number")));
    }
    assert!(unread[0] > 100_000 && unread[1] > unread[0], "{unread:?}");
    assert_eq!(unread[3], 0, "the client is gone: {unread:?}");
    while tap.line().await.is_ok() {}
}
