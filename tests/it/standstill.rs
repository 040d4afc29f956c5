//! hotshard stopped, killed or cut off in the middle of a window: what of it stays on a real server, and for how long.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::Instant;

use crate::harness::freezer::Freezer;
use crate::harness::hotshard::Hotshard;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(20);
/// guards.standstill_max, and what a busy machine adds.
const GONE: Duration = Duration::from_secs(3);

/// A daemon with a window open on a server, by its default guards but for those that measure this machine's load.
async fn watching(server: &Server, more: &str) -> Hotshard {
    watching_by(server, "", more).await
}

/// The same with more to say of its guards.
async fn watching_by(server: &Server, guards: &str, more: &str) -> Hotshard {
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nnodes = \"primary\"\nwindow = \"2m\"\n\
         schedule = \"every 1h\"\n[guards]\nsilence_max = \"30s\"\ncpu_max = 10.0\nbehind_max = \"30s\"\n\
         window_max_without_server_limit = \"2m\"\n{guards}[web]\nenable_lifecycle = true\n{more}",
        server.address
    );
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("hotshard.toml");
    fs::write(&path, config).expect("a temporary folder takes a file");
    // A group of processes of its own, which can be stopped as one.
    let daemon = Hotshard::started_by(&["setsid"], &["serve", "--config", &path.display().to_string()]).await;
    open_window(&daemon, server).await;
    daemon
}

/// Orders rounds until one finds its node ready.
async fn open_window(daemon: &Hotshard, server: &Server) {
    eventually("a window is open", SOON, async || {
        if monitors(server).await == 1 {
            return Ok(());
        }
        let answer = http::request(daemon.address, "POST", "/api/v1/groups/orders/windows", &[]).await;
        Err(format!("{answer:?}\n{}", daemon.log()))
    })
    .await;
}

async fn monitors(server: &Server) -> usize {
    let clients = server.call(&["CLIENT", "LIST"]).await.text();
    clients.lines().filter(|line| line.contains(" flags=O ")).count()
}

fn pid(number: u32) -> Pid {
    let number = i32::try_from(number).expect("Linux numbers processes so");
    Pid::from_raw(number).expect("a process has a number")
}

/// The number of its watchdog, and what stands in /proc about that.
fn watchdog(daemon: &Hotshard) -> Option<u32> {
    let processes = fs::read_dir("/proc").expect("this is Linux");
    let numbers = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|number| parent_and_group(*number).is_some_and(|(parent, _)| parent == daemon.pid()))
        .find(|number| read(*number, "cmdline").starts_with("hotshard\0watchdog"))
}

fn parent_and_group(number: u32) -> Option<(u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(1).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

fn read(number: u32, what: &str) -> String {
    fs::read_to_string(format!("/proc/{number}/{what}")).unwrap_or_default()
}

/// Writes as fast as one client can until no MONITOR client is left: how long that took, and the most that was held for one.
async fn load_until_gone(server: &Server) -> (Duration, u64) {
    let (begun, mut held) = (Instant::now(), 0);
    let (mut client, value) = (server.connect().await, "x".repeat(1 << 10));
    loop {
        client.call(&["SET", "a", &value]).await.expect("an answer");
        let clients = client.call(&["CLIENT", "LIST"]).await.expect("an answer").text();
        let Some(line) = clients.lines().find(|line| line.contains(" flags=O ")) else {
            return (begun.elapsed(), held);
        };
        let now = line
            .split(' ')
            .find_map(|word| word.strip_prefix("omem=")?.parse().ok());
        held = held.max(now.expect("CLIENT LIST tells what is held"));
        assert!(begun.elapsed() < SOON, "still there: {line}");
    }
}

#[tokio::test]
async fn a_hotshard_that_is_stopped_is_let_go_by_the_server_all_the_same() {
    check_stopped(Server::redis()).await;
    check_stopped(Server::valkey9()).await;
    let authority = Arc::new(Authority::new());
    check_stopped(Server::redis().password("planted-secret").tls(&authority)).await;
}

async fn check_stopped(plan: ServerPlan) {
    let (secret, authority) = (plan.has_password(), plan.authority_file());
    // Without a limit of its own: that would act sooner or later, too.
    let server = plan.start().await;
    let mut more = String::new();
    if let Some(authority) = authority {
        more += &format!("[tls]\nenabled = true\nca_file = \"{}\"\n", authority.display());
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    if secret {
        let path = folder.path().join("password");
        fs::write(&path, "planted-secret").expect("a temporary folder takes a file");
        more += &format!("[auth]\npassword_file = \"{}\"\n", path.display());
    }
    let daemon = watching(&server, &more).await;
    let dog = watchdog(&daemon).expect("it has a watchdog");
    assert_eq!(read(dog, "environ"), "", "it is told no variables");
    kill_process_group(pid(daemon.pid()), Signal::STOP).expect("the group is there");
    let (took, held) = load_until_gone(&server).await;
    assert!(took < GONE, "gone after {took:?}");
    // One client that waits for each answer can't write more in that time.
    assert!(held < 64 << 20, "the server held {held}");
    kill_process_group(pid(daemon.pid()), Signal::CONT).expect("the group is there");
    let frozen = async || {
        let metrics = daemon.metrics().await;
        let line = metrics
            .lines()
            .find(|line| line.contains("hotshard_windows_total{") && line.contains("end=\"frozen\""));
        let log = daemon.log();
        let is_told = ["stood still", "no sign of life"]
            .iter()
            .all(|words| log.contains(words));
        match line.map(|line| line.ends_with(" 1")) {
            Some(true) if is_told => Ok(()),
            _ => Err(format!("{line:?}\n{log}")),
        }
    };
    eventually("the window counts as frozen, and the log says why", SOON, frozen).await;
    // It goes on, with the same watchdog.
    open_window(&daemon, &server).await;
    assert_eq!(watchdog(&daemon), Some(dog));
    assert!(!daemon.stop().await.contains("planted-secret"));
    check_ended(dog).await;
    assert_eq!(monitors(&server).await, 0);
}

/// A zombie of init's is ended too.
async fn check_ended(number: u32) {
    eventually("the watchdog has ended", SOON, async || {
        match read(number, "cmdline").starts_with("hotshard\0watchdog") {
            true => Err(number),
            false => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_hotshard_that_is_killed_leaves_neither_a_stream_nor_a_watchdog() {
    let server = Server::redis().start().await;
    let daemon = watching(&server, "").await;
    let dog = watchdog(&daemon).expect("it has a watchdog");
    kill_process(pid(daemon.pid()), Signal::KILL).expect("it runs");
    let (took, _) = load_until_gone(&server).await;
    assert!(took < GONE, "gone after {took:?}");
    check_ended(dog).await;
}

#[tokio::test]
async fn a_watchdog_that_is_killed_or_hangs_is_said_and_replaced() {
    let server = Server::redis().start().await;
    let daemon = watching(&server, "").await;
    let dog = watchdog(&daemon).expect("it has a watchdog");
    // Signals that mean the whole service don't concern it.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(pid(dog), signal).expect("it runs");
    }
    kill_process(pid(dog), Signal::KILL).expect("signals to end don't end it");
    eventually("its end is said", SOON, async || {
        let log = daemon.log();
        if log.contains("the watchdog is gone") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(monitors(&server).await, 1, "the window has its guard and goes on");
    daemon.signal(Signal::USR2);
    eventually("the window is closed", SOON, async || match monitors(&server).await {
        0 => Ok(()),
        count => Err(count),
    })
    .await;
    daemon.signal(Signal::USR2);
    open_window(&daemon, &server).await;
    let another = async || watchdog(&daemon).filter(|another| *another != dog).ok_or("none");
    eventually("there is another", SOON, another).await;
}

#[tokio::test]
async fn a_hotshard_that_is_frozen_as_a_whole_is_let_go_if_its_watchdog_is_apart() {
    let server = Server::redis().start().await;
    // In a group with its watchdog, as in a service or a container, both stand still.
    let daemon = watching(&server, "").await;
    let together = Freezer::new();
    together.take(daemon.pid());
    together.take(watchdog(&daemon).expect("it has a watchdog"));
    together.freeze().await;
    let (begun, mut client) = (Instant::now(), server.connect().await);
    while begun.elapsed() < GONE {
        client.call(&["SET", "a", "1"]).await.expect("an answer");
    }
    assert_eq!(monitors(&server).await, 1, "only the server's own limit would end it");
    together.thaw();
    daemon.stop().await;
    drop(together);
    eventually("it is gone", SOON, async || match monitors(&server).await {
        0 => Ok(()),
        count => Err(count),
    })
    .await;

    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let place = folder.path().join("socket");
    let arguments = ["watchdog", "--listen"].map(str::to_owned).into_iter();
    let arguments: Vec<String> = arguments.chain([place.display().to_string()]).collect();
    let apart = Process::start(
        "watchdog",
        env!("CARGO_BIN_EXE_hotshard").as_ref(),
        &arguments,
        folder.path(),
    );
    let listens = async || {
        if place.exists() {
            Ok(())
        } else {
            Err(apart.last_words())
        }
    };
    eventually("a watchdog listens", SOON, listens).await;
    let guards = format!("watchdog_socket = \"{}\"\n", place.display());
    let daemon = watching_by(&server, &guards, "").await;
    assert_eq!(watchdog(&daemon), None, "it needs none of its own");
    let alone = Freezer::new();
    alone.take(daemon.pid());
    alone.freeze().await;
    let (took, _) = load_until_gone(&server).await;
    assert!(took < GONE, "gone after {took:?}");
    alone.thaw();
    assert!(apart.stderr().contains("no sign of life"), "{}", apart.last_words());

    // When the one apart is gone, that is said, and the next window has one of hotshard's own.
    drop(apart);
    eventually("it has another", SOON, async || {
        let _ = http::request(daemon.address, "POST", "/api/v1/groups/orders/windows", &[]).await;
        watchdog(&daemon).ok_or_else(|| daemon.log())
    })
    .await;
    let log = daemon.stop().await;
    assert!(log.contains("no watchdog listens at"), "{log}");
}
