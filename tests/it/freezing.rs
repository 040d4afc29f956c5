//! The daemon whose log nobody reads. By default it loses lines and goes on; told to wait for its reader, the engine's task hangs within a
//! write: what looks after it must see that, and see it again when it goes on.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::wait::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hotshard");
const DEADLINE: Duration = Duration::from_secs(40);
/// The silence after which /healthz gives the engine up.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Nobody answers there, which is no matter of ours. The only line that is logged besides errors is one of the engine's own task.
const STAYS: &str = "[[groups]]\nid = \"stays\"\nendpoints = [\"127.0.0.1:1:0001\"]\n";
const GOES: &str = "[[groups]]\nid = \"goes\"\nendpoints = [\"127.0.0.1:1:0001\"]\n";
const SETTINGS: &str = "[poll]\ninterval = 1\n[log]\nlevel = \"error,hotshard::cli::serve=info,hotshard::engine::reload=info\"\nwhen_full = \"wait\"\n";

/// A log that is read only when the test does: both ends of a pipe with a name.
struct Log {
    pipe: File,
    read: String,
}

impl Log {
    fn in_folder(folder: &Path) -> Self {
        let path = folder.join("log");
        let made = Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo is part of every system");
        assert!(made.success());
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag");
        // Open both ways, it never lacks a reader, so the daemon can open it too.
        let pipe = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nonblock)
            .open(path)
            .expect("a pipe can be opened");
        Self {
            pipe,
            read: String::new(),
        }
    }

    /// Everything so far; what was in the pipe leaves it.
    fn read(&mut self) -> &str {
        let mut piece = [0; 4_096];
        loop {
            match self.pipe.read(&mut piece) {
                Ok(length) => self.read.push_str(&String::from_utf8_lossy(&piece[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return &self.read,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Until not even a short line fits.
    fn fill(&mut self) {
        for piece in [&[b'\n'; 4_096][..], b"\n"] {
            while self.pipe.write(piece).is_ok() {}
        }
    }
}

/// What systemd hears.
struct Supervisor(UnixDatagram);

impl Supervisor {
    /// How many signs of life came since the last time, without waiting for any.
    fn signs_of_life(&self) -> usize {
        let (mut signs, mut said) = (0, [0; 256]);
        while let Ok(length) = self.0.try_recv(&mut said) {
            signs += String::from_utf8_lossy(&said[..length]).matches("WATCHDOG=1").count();
        }
        signs
    }

    async fn hears_signs_of_life(&self) {
        let mut heard = 0;
        eventually("there are signs of life", DEADLINE, async || {
            heard += self.signs_of_life();
            if heard >= 2 { Ok(()) } else { Err(heard) }
        })
        .await;
    }
}

fn start(folder: &Path, settings: &str) -> Process {
    let config = folder.join("hotshard.toml");
    std::fs::write(&config, settings).expect("a temporary folder takes a file");
    let arguments = [
        format!("NOTIFY_SOCKET={}", folder.join("notify").display()),
        // Patient for eight seconds, so a sign of life comes every two.
        "WATCHDOG_USEC=8000000".to_owned(),
        "sh".to_owned(),
        "-c".to_owned(),
        "exec \"$@\" 2>log".to_owned(),
        "sh".to_owned(),
        PROGRAM.to_owned(),
        "serve".to_owned(),
        format!("--config={}", config.display()),
        "--web.listen-address=127.0.0.1:0".to_owned(),
    ];
    Process::start("hotshard", "/usr/bin/env".as_ref(), &arguments, folder)
}

fn address(log: &str) -> Option<SocketAddr> {
    let after = log.split_once("\"address\":\"")?.1;
    after.split_once('"')?.0.parse().ok()
}

/// Waits until the route has this status.
async fn until(address: SocketAddr, path: &str, status: u16) -> http::Answer {
    eventually(&format!("{path} answers {status}"), DEADLINE, async || {
        let answer = http::get(address, path).await?;
        if answer.status == status {
            Ok(answer)
        } else {
            Err(answer.body)
        }
    })
    .await
}

async fn heartbeat(address: SocketAddr) -> f64 {
    let page = http::get(address, "/metrics")
        .await
        .expect("a scrape needs no engine")
        .body;
    let beat = page
        .lines()
        .find(|line| line.starts_with("hotshard_engine_heartbeat_timestamp_seconds "));
    let number = beat.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.expect("it is there")
}

fn healthcheck(address: SocketAddr) -> bool {
    let url = format!("http://{address}/healthz");
    let asked = Command::new(PROGRAM).args(["healthcheck", "--url", &url]).output();
    asked.expect("it starts").status.success()
}

#[tokio::test]
async fn an_engine_that_hangs_is_seen_by_whoever_looks_after_it_and_so_is_its_return() {
    let folder = TempDir::new().expect("a temporary folder");
    let supervisor = Supervisor(UnixDatagram::bind(folder.path().join("notify")).expect("a socket"));
    let mut log = Log::in_folder(folder.path());
    let mut daemon = start(folder.path(), &format!("{STAYS}{GOES}{SETTINGS}"));
    let address = eventually("it says where it listens", DEADLINE, async || {
        address(log.read()).ok_or("not yet")
    })
    .await;
    until(address, "/readyz", 200).await;
    until(address, "/healthz", 200).await;
    supervisor.hears_signs_of_life().await;

    log.fill();
    std::fs::write(folder.path().join("hotshard.toml"), format!("{STAYS}{SETTINGS}")).expect("it takes a file");
    supervisor.signs_of_life();
    daemon.signal(Signal::HUP);
    let stalled = until(address, "/healthz", 503).await;
    assert!(
        stalled.body.starts_with("the engine has published nothing for 1"),
        "{}",
        stalled.body
    );
    let signs = supervisor.signs_of_life();
    // One may have been on its way when the engine stopped; in ten seconds there would have been four.
    assert!(
        signs <= 1,
        "{signs} signs of life of an engine that hangs for {SILENCE_MAX:?}"
    );
    assert_eq!(http::get(address, "/-/healthy").await.expect("it answers").status, 503);
    assert!(!healthcheck(address));
    let beat = heartbeat(address).await;

    let thawed = eventually("the engine says what it wanted to", DEADLINE, async || {
        let said = log.read().contains("the group is watched no more");
        if said { Ok(()) } else { Err("not yet") }
    });
    thawed.await;
    until(address, "/healthz", 200).await;
    assert!(healthcheck(address));
    assert!(
        heartbeat(address).await >= beat + SILENCE_MAX.as_secs_f64(),
        "the last figures told how old they are"
    );
    supervisor.hears_signs_of_life().await;
    let page = http::get(address, "/metrics").await.expect("it answers").body;
    assert!(page.contains("\"stays\"") && !page.contains("\"goes\""), "{page}");
    daemon.signal(Signal::TERM);
    let ended = eventually("it ends", DEADLINE, async || {
        log.read();
        daemon.ended().ok_or("still running")
    });
    assert!(ended.await.success());
}

#[tokio::test]
async fn a_log_that_nobody_reads_costs_lines_and_stops_nobody() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut log = Log::in_folder(folder.path());
    let told = "[poll]\ninterval = 1\n[log]\nlevel = \"info\"\n";
    let mut daemon = start(folder.path(), &format!("{STAYS}{told}"));
    let address = eventually("it says where it listens", DEADLINE, async || {
        address(log.read()).ok_or("not yet")
    })
    .await;
    until(address, "/readyz", 200).await;
    log.fill();
    let dropped = async || {
        let page = http::get(address, "/metrics").await.expect("it answers").body;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("hotshard_log_dropped_lines_total "));
        line.expect("it is counted").parse::<f64>().expect("a number")
    };
    assert_eq!(dropped().await, 0.0);
    // A reload says which group is gone and which is there; a long name makes a long line.
    let config = folder.path().join("hotshard.toml");
    let mut turn = 0;
    let begun = heartbeat(address).await;
    eventually("lines are lost", DEADLINE, async || {
        turn += 1;
        let other = format!(
            "[[groups]]\nid = \"{turn}-{}\"\nendpoints = [\"127.0.0.1:1:0001\"]\n",
            "x".repeat(60_000)
        );
        std::fs::write(&config, format!("{STAYS}{other}{told}")).expect("it takes a file");
        let before = heartbeat(address).await;
        daemon.signal(Signal::HUP);
        eventually("the engine goes on", DEADLINE, async || {
            match heartbeat(address).await {
                now if now > before => Ok(()),
                now => Err(now),
            }
        })
        .await;
        match dropped().await {
            0.0 => Err(turn),
            _ => Ok(()),
        }
    })
    .await;
    assert!(heartbeat(address).await > begun);
    until(address, "/healthz", 200).await;
    assert!(healthcheck(address));
    eventually("what was lost is said when somebody reads", DEADLINE, async || {
        let said = log.read().contains("lines of the log are lost");
        if said { Ok(()) } else { Err("not yet") }
    })
    .await;
    // Nobody reads its last words, and it ends all the same.
    log.fill();
    daemon.signal(Signal::TERM);
    let ended = eventually("it ends", DEADLINE, async || daemon.ended().ok_or("still running"));
    assert!(ended.await.success());
}
