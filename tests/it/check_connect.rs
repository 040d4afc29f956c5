//! `hotshard check --connect` against real servers: a line for each node, and each mistake by its name.

use std::sync::Arc;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::cli::{hotshard, told};
use crate::harness::cluster::Cluster;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;

const PASSWORD: &str = "planted-secret";

/// What it says of the nodes; their addresses become `node 1`, `node 2`, in the order of `servers`.
fn check(servers: &[&Server], settings: &str, password: &str, expected: Expect) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n{settings}",
        servers[0].address
    );
    std::fs::write(folder.path().join("h.toml"), file).expect("it can be written");
    let mut command = hotshard(&["check", "--config", "h.toml", "--connect"]);
    let all = told(command.current_dir(folder.path()).env("ORDERS_TOKEN", password));
    assert!(!all.contains(PASSWORD), "{all}");
    let (_, nodes) = all.split_once("\nNodes:\n").expect(&all);
    let (nodes, rest) = nodes.split_once("\nThe least rights").expect(&all);
    // Of the rules that follow only the end is of interest here.
    let (_, end) = rest.split_once("window.\n").expect(&all);
    let mut nodes = format!("{nodes}{end}");
    for (place, server) in servers.iter().enumerate() {
        nodes = nodes.replace(&server.address.to_string(), &format!("node {}", place + 1));
    }
    // Which release is installed is no matter of this test.
    let releases = nodes.split("Redis 7.0.").skip(1).filter_map(|rest| rest.lines().next());
    let releases: Vec<String> = releases.map(str::to_owned).collect();
    for release in releases {
        nodes = nodes.replace(&format!("7.0.{release}\n"), "7.0.x\n");
    }
    expected.assert_eq(&nodes);
}

#[tokio::test]
async fn every_node_found_from_a_seed_tells_its_role_and_version() {
    let group = Cluster::disabled(Server::redis().password(PASSWORD), 1).await;
    group.replicated().await;
    let servers: Vec<&Server> = group.servers.iter().collect();
    let auth = "[auth]\npassword_env = \"ORDERS_TOKEN\"\n";
    check(
        &servers,
        auth,
        PASSWORD,
        expect![[r#"
              orders, shard 0001, node 1: primary, Redis 7.0.x
                serves MONITOR; not SLOT-STATS, COMMANDLOG, CLIENT LIST with bytes
                the user has every right it needs
                the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients
              orders, shard 0001, node 2: replica, Redis 7.0.x
                serves MONITOR; not SLOT-STATS, COMMANDLOG, CLIENT LIST with bytes
                the user has every right it needs
                the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients; until then windows on it last 5s, not 10s
            exit code 0
        "#]],
    );
    check(
        &servers,
        auth,
        "wrong",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 refused the password in $ORDERS_TOKEN; check it and auth.username
            hotshard: of 1 tried, 1 can't be watched or not wholly; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &servers,
        "",
        PASSWORD,
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 demands a password; set auth.password_env or auth.password_file (and auth.username for RBAC)
            hotshard: of 1 tried, 1 can't be watched or not wholly; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &servers,
        &format!("{auth}[tls]\nenabled = true\n"),
        PASSWORD,
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 does not speak TLS; set tls.enabled = false (--no-tls)
            hotshard: of 1 tried, 1 can't be watched or not wholly; the lines above say why
            exit code 1
        "#]],
    );
}

#[tokio::test]
async fn a_tls_port_tells_what_is_missing() {
    let authority = Arc::new(Authority::new());
    let server = Server::redis().tls(&authority).start().await;
    let trusting = format!(
        "[tls]\nenabled = true\nca_file = \"{}\"\n",
        authority.ca_file().display()
    );
    check(
        &[&server],
        &trusting,
        "",
        expect![[r#"
              orders, shard 0001, node 1: primary, Redis 7.0.x
                serves MONITOR; not SLOT-STATS, COMMANDLOG, CLIENT LIST with bytes
                the user has every right it needs
                the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients
            exit code 0
        "#]],
    );
    check(
        &[&server],
        "[tls]\nenabled = true\n",
        "",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): cannot trust node 1: TLS handshake failed: unknown issuer; set tls.ca_file to the CA that signed its certificate
            hotshard: of 1 tried, 1 can't be watched or not wholly; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &[&server],
        "",
        "",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 speaks TLS only; set tls.enabled = true (--tls)
            hotshard: of 1 tried, 1 can't be watched or not wholly; the lines above say why
            exit code 1
        "#]],
    );
}

/// What `serve` would stumble over on this machine is found too.
#[tokio::test]
async fn an_archive_that_cannot_be_written_fails_and_an_address_in_use_is_told() {
    let server = Server::redis().start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one");
    let folder = TempDir::new().expect("a temporary folder");
    let file = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[web]\nlisten_address = \"{address}\"\n",
        server.address
    );
    std::fs::write(folder.path().join("h.toml"), file).expect("it can be written");
    let ask = |more: &[&str]| {
        let mut command = hotshard(&["check", "--config", "h.toml", "--connect"]);
        told(command.current_dir(folder.path()).args(more))
    };
    let all = ask(&[]);
    let said = format!("\n  {address} is in use now: a hotshard runs already, or `serve` will not start; ");
    assert!(all.contains(&said) && all.ends_with("exit code 0\n"), "{all}");
    drop(taken);
    let all = ask(&["--archive.path", "missing/h.db", "--guards.watchdog-socket", "nowhere"]);
    assert!(!all.contains("is in use now"), "{all}");
    let said = "\nWatchdog: none listens at nowhere (guards.watchdog_socket): No such file or directory (os error 2); start one there";
    assert!(all.contains(said), "{all}");
    assert!(
        all.contains("\nArchive: nothing would be kept: cannot create missing/h.db: "),
        "{all}"
    );
    assert!(
        all.ends_with("hotshard: nothing would be archived; the lines above say why\nexit code 1\n"),
        "{all}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

/// How long windows would really last on a server that doesn't bound what it holds for a client.
#[tokio::test]
async fn a_servers_own_limit_says_how_long_windows_would_last() {
    let pair = Cluster::disabled(Server::redis(), 1).await;
    pair.replicated().await;
    let servers: Vec<&Server> = pair.servers.iter().collect();
    let folder = TempDir::new().expect("a temporary folder");
    let file = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n",
        servers[0].address
    );
    std::fs::write(folder.path().join("h.toml"), file).expect("it can be written");
    let check = |more: &[&str], expected: &[&str]| {
        let mut command = hotshard(&["check", "--config", "h.toml", "--connect"]);
        let all = told(command.current_dir(folder.path()).args(more));
        let said: Vec<&str> = all
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("the server holds any amount for a client that does not read; ")
            })
            .map(|line| line.trim_start_matches("set client-output-buffer-limit normal or maxmemory-clients"))
            .collect();
        assert_eq!(said, expected, "{more:?}: {all}");
    };
    check(&[], &["", "; until then windows on it last 5s, not 10s"]);
    check(&["--monitor.window", "4s"], &["", ""]);
    check(
        &["--guards.require-server-limit"],
        &["", "; until then it gets no windows (guards.require_server_limit)"],
    );
    check(&["--monitor.enabled", "false"], &["", ""]);
    check(
        &[
            "--monitor.nodes",
            "primary",
            "--guards.window-max-without-server-limit",
            "2s",
        ],
        &["; until then windows on it last 2s, not 10s", ""],
    );
    for server in &servers {
        server
            .call(&["CONFIG", "SET", "client-output-buffer-limit", "normal 64mb 0 0"])
            .await;
    }
    check(&[], &[]);
}

/// Whether a user with the rule that `check` prints for a server may all that it is asked for, and what a poorer one lacks.
async fn check_rule(plan: ServerPlan, generation: &str, shown: &str) {
    let pair = Cluster::disabled(plan, 1).await;
    let folder = TempDir::new().expect("a temporary folder");
    let nodes: Vec<String> = pair
        .servers
        .iter()
        .map(|server| format!("\"{}:0001\"", server.address))
        .collect();
    let file = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [{}]\n[auth]\nusername = \"watcher\"\npassword_env = \"TOKEN\"\n",
        nodes.join(", ")
    );
    std::fs::write(folder.path().join("h.toml"), file).expect("it can be written");
    let ask = |more: &[&str]| {
        let arguments: Vec<&str> = ["check", "--config", "h.toml"].iter().chain(more).copied().collect();
        let mut command = hotshard(&arguments);
        command.current_dir(folder.path()).env("TOKEN", PASSWORD);
        told(&mut command)
    };
    let give = async |rules: &[&str]| {
        for server in &pair.servers {
            let password = format!(">{PASSWORD}");
            let user: Vec<&str> = ["ACL", "SETUSER", "watcher", "reset", "on", &password]
                .iter()
                .chain(rules)
                .copied()
                .collect();
            server.call(&user).await;
        }
    };
    let all = ask(&["--every-version"]);
    let (_, rule) = all.split_once(&format!("  {generation}:\n    ")).expect(&all);
    let rule: Vec<&str> = rule.lines().next().expect("a rule").split(' ').collect();
    give(&rule).await;
    let told = ask(&["--connect"]);
    assert!(told.ends_with("exit code 0\n"), "{told}");
    assert!(
        told.contains("the user has every right it needs\n"),
        "of the replica: {told}"
    );
    assert!(
        told.contains("MONITOR isn't run on a primary to find out"),
        "of the primary: {told}"
    );
    assert!(told.contains(shown), "{shown}: {told}");
    assert_eq!(
        told.matches("    on ").count(),
        1,
        "one rule for servers of one version: {told}"
    );
    assert!(
        told.contains(&format!("  {generation}:\n    {}\n", rule.join(" "))),
        "{told}"
    );
    for server in &pair.servers {
        let monitored = server.calls().await.get("monitor").copied().unwrap_or(0);
        assert_eq!(
            monitored,
            u64::from(!server.is_primary().await),
            "a primary is never monitored"
        );
    }

    let poorer: Vec<&str> = rule
        .iter()
        .copied()
        .filter(|right| !["+monitor", "+hlen", "+client|kill"].contains(right))
        .collect();
    give(&poorer).await;
    let told = ask(&["--connect"]);
    assert!(
        told.contains("the user lacks +client|kill +hlen +monitor; the whole rule is below\n"),
        "{told}"
    );
    assert!(
        told.contains("the user lacks +client|kill +hlen; the whole rule is below\n"),
        "{told}"
    );
    assert!(
        told.ends_with("2 can't be watched or not wholly; the lines above say why\nexit code 1\n"),
        "{told}"
    );

    let keyless: Vec<&str> = rule.iter().copied().filter(|right| !right.contains('~')).collect();
    give(&keyless).await;
    let told = ask(&["--connect"]);
    let keys = rule.iter().find(|right| right.contains('~')).expect("it has keys");
    assert!(
        told.contains(&format!("the user lacks {keys}; the whole rule is below\n")),
        "{told}"
    );
}

#[tokio::test]
async fn the_printed_rule_is_enough_on_redis_6_and_7() {
    check_rule(Server::redis6(), "Redis 6.2", "replica, Redis 6.2.14").await;
    check_rule(Server::redis(), "Redis 7.0, 7.1", "replica, Redis 7.0.").await;
}

#[tokio::test]
async fn the_printed_rule_is_enough_on_valkey_8_and_9() {
    check_rule(
        Server::valkey8(),
        "Valkey 8.0",
        "serves MONITOR, CLIENT LIST with bytes; not SLOT-STATS, COMMANDLOG\n",
    )
    .await;
    let served = "serves MONITOR, COMMANDLOG, CLIENT LIST with bytes; not SLOT-STATS\n";
    check_rule(Server::valkey9(), "Valkey 8.1 and later", served).await;
}
