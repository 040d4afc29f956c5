//! Reading the configuration again while the daemon runs: what didn't change goes on without a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

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

/// Scrapes all the while; what it saw of group `a` must have no gap.
struct Witness {
    watching: tokio::task::JoinHandle<Result<usize, String>>,
    enough: CancellationToken,
}

impl Witness {
    fn of(hotshard: &Hotshard) -> Self {
        let (address, enough) = (hotshard.address, CancellationToken::new());
        let until = enough.clone();
        let watching = tokio::spawn(async move {
            let (mut before, mut pages) = (BTreeMap::new(), 0);
            while !until.is_cancelled() {
                let page = http::get(address, "/metrics").await?.body;
                let now = counters(&page);
                for (series, value) in &before {
                    if !now.get(series).is_some_and(|now| now >= value) {
                        return Err(format!("{series} was {value} and is {:?} on\n{page}", now.get(series)));
                    }
                }
                if value(&page, "hotshard_node_up", "\"a\"") != Some(1.0) {
                    return Err(format!("a node isn't up on\n{page}"));
                }
                before = now;
                pages += 1;
            }
            Ok(pages)
        });
        Self { watching, enough }
    }

    async fn saw_no_gap(self) {
        self.enough.cancel();
        let pages = self
            .watching
            .await
            .expect("it doesn't panic")
            .unwrap_or_else(|gap| panic!("{gap}"));
        assert!(pages > 5, "{pages}");
    }
}

/// The counters of group `a`, and what its rates are made of.
fn counters(page: &str) -> BTreeMap<String, f64> {
    let samples = page.lines().filter(|line| line.contains("replication_group=\"a\""));
    let named = samples.filter_map(|line| line.rsplit_once(' '));
    named
        .filter(|(series, _)| series.split('{').next().is_some_and(|name| name.ends_with("_total")))
        .filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Waits until the engine has gone on for so long by its own beat.
async fn go_on_for(hotshard: &Hotshard, span: Duration) {
    let beat = |page: &str| value(page, "hotshard_engine_heartbeat_timestamp_seconds", "").expect("it beats");
    let begun = beat(&hotshard.metrics().await);
    let later = async || match beat(&hotshard.metrics().await) - begun {
        gone if gone >= span.as_secs_f64() => Ok(()),
        gone => Err(gone),
    };
    eventually("the engine goes on", DEADLINE, later).await;
}

async fn reload(hotshard: &Hotshard, config: &str) {
    write(hotshard, config);
    let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
        .await
        .expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_cron_schedule_is_taken_on_and_given_up_without_a_gap() {
    let server = Server::redis().start().await;
    let scheduled = |schedule: &str| {
        let monitor = format!("[monitor]\nschedule = \"{schedule}\"\nwindow = 1\non_hot = false\n");
        format!("{}{SETTINGS}{monitor}", group("a", &server))
    };
    let hotshard = Hotshard::serve(&scheduled("every 1h")).await;
    let witness = Witness::of(&hotshard);
    let count = async || windows(&hotshard.metrics().await);
    for often in ["* * * * * *", "*/2 * * * * *", "every 2s"] {
        let before = count().await;
        reload(&hotshard, &scheduled(often)).await;
        let due = async || match count().await {
            counted if counted >= before + 2.0 => Ok(()),
            counted => Err(counted),
        };
        eventually(&format!("rounds are due: {often}"), DEADLINE, due).await;
        // The last day of a leap year's February.
        reload(&hotshard, &scheduled("0 0 29 2 *")).await;
        let before = count().await;
        go_on_for(&hotshard, Duration::from_secs(4)).await;
        // One may have been under way.
        assert!(count().await <= before + 1.0, "{often} goes on");
    }
    witness.saw_no_gap().await;
    hotshard.stop().await;
}

#[tokio::test]
async fn one_groups_credentials_change_without_a_gap_in_the_others_series() {
    let (first, second) = (
        Server::redis().start().await,
        Server::redis().password("orange").start().await,
    );
    let config = |file: &str| {
        let auth = format!("[groups.auth]\npassword_file = \"./{file}\"\n");
        format!("{}{}{auth}{SETTINGS}", group("a", &first), group("b", &second))
    };
    let hotshard = Hotshard::serve(&config("wrong")).await;
    for (name, password) in [("wrong", "apple"), ("right", "orange")] {
        std::fs::write(hotshard.folder().join(name), password).expect("a temporary folder takes a file");
    }
    until(&hotshard, "hotshard_node_up", "\"b\"", Some(0.0)).await;
    let page = until(&hotshard, "hotshard_node_up", "\"a\"", Some(1.0)).await;
    let connections = |page: &str| value(page, "hotshard_node_connections_received_total", "\"a\"");
    let before = connections(&page);
    let witness = Witness::of(&hotshard);
    reload(&hotshard, &config("right")).await;
    until(&hotshard, "hotshard_node_up", "\"b\"", Some(1.0)).await;
    go_on_for(&hotshard, Duration::from_secs(2)).await;
    assert_eq!(connections(&hotshard.metrics().await), before, "a's connection goes on");
    witness.saw_no_gap().await;
    hotshard.stop().await;
}

#[tokio::test]
async fn a_limit_that_is_raised_makes_room_for_series_to_come() {
    let server = Server::redis().start().await;
    let limited = |commands: u32| format!("{}{SETTINGS}[limits]\ncommands_max = {commands}\n", group("a", &server));
    let hotshard = Hotshard::serve(&limited(1)).await;
    let counted = async |command: &str, by: &[&str]| {
        let label = format!("command=\"{command}\"");
        let counted = async || {
            server.call(by).await;
            let page = hotshard.metrics().await;
            let counted = value(&page, "hotshard_shard_commands_total", &label).filter(|count| *count > 0.0);
            counted.map(|_| page.clone()).ok_or(page)
        };
        eventually(&format!("{label} is counted"), DEADLINE, counted).await
    };
    counted("SET", &["SET", "k", "v"]).await;
    let page = counted("other", &["ZADD", "z", "1", "m"]).await;
    assert_eq!(value(&page, "hotshard_shard_commands_total", "\"ZADD\""), None);
    let witness = Witness::of(&hotshard);
    reload(&hotshard, &limited(40)).await;
    counted("HSET", &["HSET", "h", "f", "v"]).await;
    witness.saw_no_gap().await;
    hotshard.stop().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_file_nothing_changes_and_it_is_said() {
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    let (a, b) = (group("a", &first), group("b", &second));
    let hotshard = Hotshard::serve(&format!("{a}{SETTINGS}")).await;
    let witness = Witness::of(&hotshard);
    for (wrong, said) in [
        (format!("{b}{SETTINGS}[[groups"), "hotshard.toml:8"),
        (
            format!("{b}{SETTINGS}[monitor]\nschedule = \"every now\"\n"),
            "hotshard.toml:9: monitor.schedule",
        ),
        (
            format!("{b}{SETTINGS}[monitor]\nschedule = \"0 0 30 2 *\"\n"),
            "never comes",
        ),
        (
            format!("{b}{SETTINGS}[limits]\npatterns_max = -1\n"),
            "limits.patterns_max",
        ),
        (
            format!("{b}{SETTINGS}[tls]\nenabled = true\nca_file = \"./none.pem\"\n"),
            "none.pem",
        ),
        (format!("{b}{b}{SETTINGS}"), "b"),
        (SETTINGS.to_owned(), "groups"),
    ] {
        write(&hotshard, &wrong);
        let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
            .await
            .expect("it answers");
        assert_eq!(answer.status, 409, "{wrong}: {}", answer.body);
        assert!(answer.body.contains(said), "{said} isn't in {}", answer.body);
        let page = until(&hotshard, "hotshard_config_last_reload_successful", "", Some(0.0)).await;
        assert!(!page.contains("\"b\""), "{page}");
        reload(&hotshard, &format!("{a}{SETTINGS}")).await;
        until(&hotshard, "hotshard_config_last_reload_successful", "", Some(1.0)).await;
    }
    std::fs::remove_file(hotshard.folder().join("hotshard.toml")).expect("it is there");
    let answer = http::request(hotshard.address, "POST", "/-/reload", &[])
        .await
        .expect("it answers");
    assert!(
        answer.status == 409 && answer.body.contains("hotshard.toml"),
        "{}",
        answer.body
    );
    witness.saw_no_gap().await;
    hotshard.stop().await;
}
