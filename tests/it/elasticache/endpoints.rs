//! `hotshard endpoints` and `hotshard check`, of caches that AWS knows.

use super::{PASSWORD, alone, config};
use crate::cli::{hotshard, told};
use crate::harness::aws::{Aws, Member, Mode, REGION, ReplicationGroup, VARIABLES};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

#[tokio::test]
async fn endpoints_lists_what_was_found_and_says_what_was_not() {
    let server = Server::redis().start().await;
    let aws = Aws::start().await;
    aws.hold(&[alone("orders", &server)]);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("h.toml");
    let groups = format!(
        "[[groups]]\nid = \"orders\"\n[[groups]]\nid = \"carts\"\n[[groups]]\nid = \"near\"\nendpoints = [\"{}\"]\n\
         [[groups]]\nid = \"far\"\nendpoints = [\"127.0.0.1:1\"]\n",
        server.address
    );
    std::fs::write(
        &file,
        config(&aws, &groups).replace("[auth]\npassword_env = \"TOKEN\"\n", ""),
    )
    .expect("it can be written");
    let mut command = hotshard(&["endpoints", "--config", &file.display().to_string(), "-f", "endpoints"]);
    command.envs(VARIABLES);
    let said = tokio::task::spawn_blocking(move || told(&mut command))
        .await
        .expect("it ends");
    let (here, place) = (server.address, "no cache of this region and account is called so");
    assert_eq!(
        said,
        format!(
            "{here}:0001\n{here}:0001\n\
             hotshard: far: no node of far could be asked for its topology (1 tried): cannot reach 127.0.0.1:1: connection refused; \
             check the port and that the server runs\n\
             hotshard: {REGION}/carts: {place}; check id, region, profile and role_arn\nexit code 1\n"
        )
    );
}

#[tokio::test]
async fn endpoints_lists_the_nodes_with_the_roles_they_tell_themselves() {
    let cluster = Cluster::disabled(Server::redis().password(PASSWORD), 1).await;
    cluster.replicated().await;
    let aws = Aws::start().await;
    let [primary, replica] = [cluster.servers[0].address, cluster.servers[1].address];
    let member = |number: u8, address| Member {
        id: format!("orders-00{number}"),
        address: Some(address),
        role: None,
    };
    aws.hold(&[ReplicationGroup {
        id: "orders".into(),
        mode: Mode::Enabled,
        tls: false,
        shards: vec![("0001".into(), vec![member(1, replica), member(2, primary)])],
    }]);
    let url = format!("http://{}", aws.address);
    let ask = |more: &[&str]| {
        let base = [
            "endpoints",
            "-c",
            "orders",
            "-r",
            REGION,
            "--discovery.endpoint-url",
            &url,
        ];
        let arguments: Vec<&str> = base
            .into_iter()
            .chain(["--auth.password-env", "TOKEN"])
            .chain(more.iter().copied())
            .collect();
        let mut command = hotshard(&arguments);
        command.envs(VARIABLES).env("TOKEN", PASSWORD);
        async {
            tokio::task::spawn_blocking(move || told(&mut command))
                .await
                .expect("it ends")
        }
    };
    let csv = ask(&["-f", "csv"]).await;
    let row = |number: u8, role: &str, address| {
        format!("{REGION},orders,0001,orders-00{number},{role},{address},{REGION}a,cache.r7g.large,false\n")
    };
    assert!(
        csv.contains(&row(1, "replica", replica)) && csv.contains(&row(2, "primary", primary)),
        "{csv}"
    );
    let lines = ask(&["--replica-only", "-f", "monitor-cmd"]).await;
    assert_eq!(
        lines,
        format!("redis-cli -h 127.0.0.1 -p {} monitor\nexit code 0\n", replica.port())
    );
    for output in [csv, lines, ask(&[]).await] {
        assert!(!output.contains("planted"), "{output}");
    }
}

#[tokio::test]
async fn a_parameter_group_tells_what_its_servers_may_not() {
    let plan = Server::redis().user("reader", PASSWORD, "~* +@all -config");
    let server = plan.start().await;
    let aws = Aws::start().await;
    aws.hold(&[alone("orders", &server)]);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("hotshard.toml");
    let settings = config(&aws, "[[groups]]\nid = \"orders\"\n") + "username = \"reader\"\n";
    std::fs::write(&path, settings).expect("it can be written");
    let check = async || {
        let mut command = hotshard(&["check", "--connect", "--config", &path.display().to_string()]);
        command.envs(VARIABLES).env("TOKEN", PASSWORD);
        let asked = tokio::task::spawn_blocking(move || told(&mut command));
        asked.await.expect("it ends")
    };
    aws.parameter("client-output-buffer-limit-normal-hard-limit", "67108864");
    let bounded = check().await;
    assert!(
        bounded.contains("the server closes a client for which it holds 64 MiB"),
        "{bounded}"
    );
    assert!(bounded.contains("\"elasticache:DescribeCacheParameters\""), "{bounded}");
    aws.parameter("client-output-buffer-limit-normal-hard-limit", "0");
    let unbounded = check().await;
    assert!(
        unbounded.contains("the server holds any amount for a client"),
        "{unbounded}"
    );
    aws.refuse("DescribeCacheParameters", "AccessDenied");
    let unknown = check().await;
    assert!(
        unknown.contains("the server does not tell whether it bounds its buffers"),
        "{unknown}"
    );
    let reason = format!("AWS does not permit elasticache:DescribeCacheParameters in {REGION}: planted message");
    assert!(
        unknown.contains(&format!("\n    its parameter group could not be asked for: {reason}")),
        "{unknown}"
    );
}
