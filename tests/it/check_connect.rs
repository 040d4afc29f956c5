//! `hotshard check --connect` against real servers: a line for each node, and each mistake by its name.

use std::sync::Arc;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::cli::{hotshard, told};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;
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
    let mut nodes = all.split_once("\nNodes:\n").expect(&all).1.to_owned();
    for (place, server) in servers.iter().enumerate() {
        nodes = nodes.replace(&server.address.to_string(), &format!("node {}", place + 1));
    }
    // Which release is installed is no matter of this test.
    let releases = nodes
        .split("Redis 7.0.")
        .skip(1)
        .filter_map(|rest| rest.split(';').next());
    let releases: Vec<String> = releases.map(str::to_owned).collect();
    for release in releases {
        nodes = nodes.replace(&format!("7.0.{release};"), "7.0.x;");
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
              orders, shard 0001, node 1: primary, Redis 7.0.x; the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients
              orders, shard 0001, node 2: replica, Redis 7.0.x; the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients
            exit code 0
        "#]],
    );
    check(
        &servers,
        auth,
        "wrong",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 refused the password in $ORDERS_TOKEN; check it and auth.username
            hotshard: of 1 tried, 1 can't be watched; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &servers,
        "",
        PASSWORD,
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 demands a password; set auth.password_env or auth.password_file (and auth.username for RBAC)
            hotshard: of 1 tried, 1 can't be watched; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &servers,
        &format!("{auth}[tls]\nenabled = true\n"),
        PASSWORD,
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 does not speak TLS; set tls.enabled = false (--no-tls)
            hotshard: of 1 tried, 1 can't be watched; the lines above say why
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
              orders, shard 0001, node 1: primary, Redis 7.0.x; the server holds any amount for a client that does not read; set client-output-buffer-limit normal or maxmemory-clients
            exit code 0
        "#]],
    );
    check(
        &[&server],
        "[tls]\nenabled = true\n",
        "",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): cannot trust node 1: TLS handshake failed: unknown issuer; set tls.ca_file to the CA that signed its certificate
            hotshard: of 1 tried, 1 can't be watched; the lines above say why
            exit code 1
        "#]],
    );
    check(
        &[&server],
        "",
        "",
        expect![[r#"
              orders: no node of orders could be asked for its topology (1 tried): node 1 speaks TLS only; set tls.enabled = true (--tls)
            hotshard: of 1 tried, 1 can't be watched; the lines above say why
            exit code 1
        "#]],
    );
}
