//! Reading the configuration again while the daemon runs: what didn't change goes on without a gap.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::hotshard::Hotshard;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(20);

fn group(id: &str, server: &Server) -> String {
    format!("[[groups]]\nid = \"{id}\"\nendpoints = [\"{}:0001\"]\n", server.address)
}

const SETTINGS: &str = "[poll]\ninterval = 1\n[web]\nenable_lifecycle = true\n";

/// The value of the only series of that name with this text among its labels.
fn value(page: &str, name: &str, label: &str) -> Option<f64> {
    let line = page.lines().find(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

fn write(hotshard: &Hotshard, config: &str) {
    std::fs::write(hotshard.folder().join("hotshard.toml"), config).expect("a temporary folder takes a file");
}

async fn until(hotshard: &Hotshard, name: &str, label: &str, wanted: Option<f64>) -> String {
    let attempt = async || {
        let page = hotshard.metrics().await;
        match value(&page, name, label) {
            found if found == wanted => Ok(page),
            other => Err(other),
        }
    };
    eventually(&format!("{name} of {label} is {wanted:?}"), DEADLINE, attempt).await
}

#[tokio::test]
async fn groups_come_and_go_without_a_gap_in_the_others_series() {
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    let (a, b) = (group("a", &first), group("b", &second));
    let hotshard = Hotshard::serve(&format!("{a}{SETTINGS}")).await;
    for _ in 0..50 {
        first.call(&["PING"]).await;
    }
    let counted = async || {
        let commands = value(&hotshard.metrics().await, "hotshard_node_commands_total", "\"a\"");
        commands.filter(|commands| *commands >= 50.0).ok_or(commands)
    };
    let before = eventually("the commands are counted", DEADLINE, counted).await;

    write(&hotshard, &format!("{a}{b}{SETTINGS}"));
    hotshard.signal(Signal::HUP);
    let page = until(&hotshard, "hotshard_node_up", "\"b\"", Some(1.0)).await;
    assert!(value(&page, "hotshard_node_commands_total", "\"a\"") >= Some(before));
    assert_eq!(value(&page, "hotshard_node_connections_received_total", "\"a\""), {
        let again = hotshard.metrics().await;
        value(&again, "hotshard_node_connections_received_total", "\"a\"")
    });

    write(&hotshard, &format!("{a}{SETTINGS}"));
    hotshard.signal(Signal::HUP);
    let page = until(&hotshard, "hotshard_node_up", "\"b\"", None).await;
    assert!(!page.contains("\"b\""), "{page}");
    assert!(value(&page, "hotshard_node_commands_total", "\"a\"") >= Some(before));
    assert_eq!(value(&page, "hotshard_node_poll_failures_total", "\"a\""), None);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_what_and_where() {
    let server = Server::redis().start().await;
    let good = format!("{}{SETTINGS}", group("a", &server));
    let hotshard = Hotshard::serve(&good).await;
    write(
        &hotshard,
        &format!("{good}[monitr]\nwindow = 3\n[log]\nlevel = \"loud\"\n"),
    );
    hotshard.signal(Signal::HUP);
    let page = until(&hotshard, "hotshard_config_last_reload_successful", "", Some(0.0)).await;
    assert_eq!(value(&page, "hotshard_node_up", "\"a\""), Some(1.0));
    let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
        .await
        .expect("it answers");
    assert_eq!(answer.status, 409);
    assert!(
        answer.body.contains("hotshard.toml:8: monitr is not a setting"),
        "{}",
        answer.body
    );

    write(&hotshard, &good);
    let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
        .await
        .expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    until(&hotshard, "hotshard_config_last_reload_successful", "", Some(1.0)).await;
    let log = hotshard.stop().await;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("stays as it was")).collect();
    assert_eq!(told.len(), 2, "one line for each attempt: {log}");
    assert!(
        told[0].contains("hotshard.toml:8: monitr") && told[0].contains("log.level"),
        "{told:?}"
    );
}

#[tokio::test]
async fn another_password_is_taken_and_what_has_to_wait_is_said() {
    let server = Server::redis().password("orange").start().await;
    let closed = format!("{}{SETTINGS}", group("a", &server));
    let hotshard = Hotshard::serve(&closed).await;
    until(&hotshard, "hotshard_node_up", "\"a\"", Some(0.0)).await;
    std::fs::write(hotshard.folder().join("token"), "orange").expect("a temporary folder takes a file");
    let open = format!("{closed}telemetry_path = \"/other\"\n[auth]\npassword_file = \"./token\"\n");
    write(&hotshard, &open);
    hotshard.signal(Signal::HUP);
    until(&hotshard, "hotshard_node_up", "\"a\"", Some(1.0)).await;
    let log = hotshard.stop().await;
    assert!(
        log.contains("web.telemetry_path") && log.contains("at the next start only"),
        "{log}"
    );
}

/// How many windows were opened, or would have been.
fn windows(page: &str) -> f64 {
    let names = ["hotshard_windows_total{", "hotshard_windows_skipped_total{"];
    let counted = page
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)));
    counted
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn another_schedule_holds_from_then_on() {
    let server = Server::redis().start().await;
    let scheduled = |schedule: &str| {
        let monitor = format!("[monitor]\nschedule = \"{schedule}\"\nwindow = 1\non_hot = false\n");
        format!("{}{SETTINGS}{monitor}", group("a", &server))
    };
    let hotshard = Hotshard::serve(&scheduled("every 1h")).await;
    assert_eq!(windows(&hotshard.metrics().await), 0.0);
    write(&hotshard, &scheduled("every 2s"));
    let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
        .await
        .expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let due = async || match windows(&hotshard.metrics().await) {
        counted if counted >= 2.0 => Ok(()),
        counted => Err(counted),
    };
    eventually("rounds are due", DEADLINE, due).await;
    hotshard.stop().await;
}
