//! Caches that aren't like the others, from AWS's word of them to real servers: one between the cluster modes, a serverless one, and one that
//! an IAM user can't be let into.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use hotshard::config::Settings;
use hotshard::discovery::elasticache::SharedAccount;
use hotshard::engine::clock::Clock;
use hotshard::engine::poller::{Poller, Watched};
use hotshard::metrics::ledger::Event;
use hotshard::model::{GroupId, GroupKey, Timestamp};
use hotshard::node::iam::{self, IamLogin};
use hotshard::node::survey::Reach;
use hotshard::node::{Accounts, AuthSettings, AwsIdentity, CommandTables, Credentials, Dialer, Network, Pace};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::cli::{hotshard, told};
use crate::elasticache::{PASSWORD, alone, config, group_label, metrics, serve};
use crate::harness::aws::{Aws, Member, Mode, REGION, ReplicationGroup, VARIABLES, endpoint_xml, result};
use crate::harness::cluster::Cluster;
use crate::harness::link::{SETTINGS, endpoint};
use crate::harness::server::Server;
use crate::harness::tls::Authority;

/// A whole `check --connect` of this configuration.
async fn check(settings: &str) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("hotshard.toml");
    std::fs::write(&path, settings).expect("a temporary folder takes a file");
    let mut command = hotshard(&["check", "--connect", "--config", &path.display().to_string()]);
    command.envs(VARIABLES).env("TOKEN", PASSWORD);
    let asked = tokio::task::spawn_blocking(move || told(&mut command));
    asked.await.expect("it ends")
}

#[tokio::test]
async fn a_cache_between_the_cluster_modes_is_one_shard_that_has_slots() {
    let cluster = Cluster::of_one_shard(Server::redis().password(PASSWORD), 1).await;
    let aws = Aws::start().await;
    // The roles are the wrong way round: a failover is fresher than AWS's list.
    let member = |number: usize, role| Member {
        id: format!("orders-00{number}"),
        address: Some(cluster.servers[number - 1].address),
        role: Some(role),
    };
    let hold = |mode| {
        aws.hold(&[ReplicationGroup {
            id: "orders".into(),
            mode,
            tls: false,
            shards: vec![("0001".into(), vec![member(1, "replica"), member(2, "primary")])],
        }]);
    };
    hold(Mode::Disabled);
    let hotshard = serve(
        &aws,
        "[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\n[guards]\ncpu_max = 10.0\nbehind_max = \"10s\"\nsilence_max = \"5s\"\n\
         [[groups]]\nid = \"orders\"\n",
    )
    .await;
    let orders = group_label("orders");
    let role = |number: usize, role: &str| {
        format!("hotshard_node_role{{{orders},shard=\"0001\",node=\"orders-00{number}\",role=\"{role}\"}} 1\n")
    };
    let roles = [role(1, "primary"), role(2, "replica")];
    metrics(&hotshard, &roles, &["hotshard_shard_slots{"]).await;
    hold(Mode::Compatible);
    let slots = format!("hotshard_shard_slots{{{orders},shard=\"0001\"}} 16384\n");
    let observed = format!("hotshard_observed_seconds_total{{{orders},shard=\"0001\"}}");
    let [primary, replica] = roles;
    metrics(&hotshard, &[slots.clone(), observed, primary, replica], &[]).await;
    // The last step of the way: the same nodes under the same names.
    hold(Mode::Enabled);
    metrics(&hotshard, &[slots, role(1, "primary")], &["orders-0001-001"]).await;
    let calls = cluster.servers[0].calls().await;
    assert!(!calls.contains_key("monitor"), "the primary is left alone: {calls:?}");
    hotshard.stop().await;
}

fn serverless(id: &str, address: SocketAddr) -> String {
    let inner = format!(
        "<ServerlessCaches><member><ServerlessCacheName>{id}</ServerlessCacheName><Engine>valkey</Engine>\
         <MajorEngineVersion>8</MajorEngineVersion><Status>available</Status>\
         <ARN>arn:aws:elasticache:{REGION}:123456789012:serverlesscache:{id}</ARN>{}</member></ServerlessCaches>",
        endpoint_xml("Endpoint", address)
    );
    result("DescribeServerlessCaches", &inner)
}

/// What serverless caches don't know; of CLIENT they know more than this one.
const UNKNOWN: [&str; 9] = [
    "MONITOR", "ROLE", "CONFIG", "CLIENT", "OBJECT", "MEMORY", "SLOWLOG", "LATENCY", "ACL",
];

#[tokio::test]
async fn a_serverless_cache_is_checked_and_watched_by_info_alone() {
    let authority = Arc::new(Authority::new());
    let folder = TempDir::new().expect("a temporary folder");
    let renamed = folder.path().join("renamed.conf");
    let lines: String = UNKNOWN
        .iter()
        .map(|name| format!("rename-command {name} \"\"\n"))
        .collect();
    std::fs::write(&renamed, lines).expect("a temporary folder takes a file");
    let plan = Server::redis().tls(&authority).password(PASSWORD);
    let server = plan.set("include", &renamed.display().to_string()).start().await;
    let aws = Aws::start().await;
    aws.answer("DescribeServerlessCaches", &serverless("burst", server.address));
    let groups = format!(
        "[tls]\nca_file = \"{}\"\n[[groups]]\nid = \"burst\"\n",
        authority.ca_file().display()
    );
    let said = check(&config(&aws, &groups)).await;
    let line = format!("  {REGION}/burst, shard 0001, {}: primary, Redis 7.0.", server.address);
    assert!(said.contains(&line), "{said}");
    let (_, about) = said.split_once(&line).expect(&said);
    let about: Vec<&str> = about.lines().skip(1).take(2).collect();
    assert_eq!(
        about,
        [
            "    not MONITOR, SLOT-STATS, COMMANDLOG, CLIENT LIST with bytes",
            "    a serverless cache: INFO is all it offers; without MONITOR there are no windows, so its load is watched and no cause \
             is named",
        ],
        "{said}"
    );
    assert!(said.ends_with("exit code 0\n"), "{said}");
    let hotshard = serve(
        &aws,
        &format!("[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\nnodes = \"replica-or-primary\"\n{groups}"),
    )
    .await;
    let burst = group_label("burst");
    let expected = [
        format!("hotshard_node_up{{{burst},shard=\"0001\",node=\"burst\"}} 1\n"),
        format!("hotshard_windows_skipped_total{{{burst},shard=\"0001\",reason=\"no_monitor\"}}"),
    ];
    metrics(&hotshard, &expected, &["hotshard_window_last_end_timestamp_seconds{"]).await;
    hotshard.stop().await;
}

#[tokio::test]
async fn a_user_of_iam_is_not_let_go_to_a_cache_without_tls() {
    let server = Server::redis().password(PASSWORD).start().await;
    let aws = Aws::start().await;
    aws.hold(&[alone("orders", &server)]);
    let groups = "[[groups]]\nid = \"orders\"\n[groups.auth]\niam_user = \"watcher\"\n";
    let clear = "auth.iam_user needs TLS, and AWS says that this cache has no encryption in transit; turn that on, or give another way in \
                 as groups.auth";
    let said = check(&config(&aws, groups)).await;
    assert!(said.contains(&format!("{REGION}/orders: {clear}\n")), "{said}");
    assert!(said.ends_with("exit code 1\n"), "{said}");
    let before = server.info("stats").await["total_connections_received"].clone();
    let hotshard = serve(&aws, groups).await;
    let orders = group_label("orders");
    let failed = format!("hotshard_discovery_failures_total{{{orders},reason=\"tls\"}}");
    metrics(&hotshard, &[failed], &["hotshard_node_up{"]).await;
    let log = hotshard.stop().await;
    assert_eq!(log.matches(clear).count(), 1, "said once: {log}");
    // Ours alone, to ask: nobody sent it a token, nor anything else.
    let after = server.info("stats").await["total_connections_received"].clone();
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    assert_eq!(number(&after), number(&before) + 1);
}

/// How many hours have gone by for whoever makes tokens.
static HOURS: AtomicU64 = AtomicU64::new(0);

fn moment() -> Timestamp {
    Timestamp(1_767_323_045_000_000) + Duration::from_secs(HOURS.load(Ordering::Relaxed) * 3600)
}

/// None of these hours is waited for.
async fn pass(hours: u64) {
    HOURS.fetch_add(hours, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(hours * 3600)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_watched_node_is_logged_in_to_again_with_a_newer_token_before_twelve_hours_are_over() {
    let keys = AwsCredentials::new("AKIDEXAMPLE", "planted-secret-key", None, None, "test");
    let login = IamLogin {
        user: "watcher".into(),
        cache: "orders".into(),
        region: REGION.into(),
        serverless: false,
    };
    let server = Server::redis().start().await;
    // The server takes the token of this hour alone.
    let let_in = async || {
        let token = iam::token(&login, &keys, moment()).expect("nothing to refuse");
        let password = format!(">{}", token.expose_secret());
        let rule = ["ACL", "SETUSER", "watcher", "on", "resetpass", &password, "~*", "+@all"];
        server.call(&rule).await;
    };
    let_in().await;
    let auth = AuthSettings {
        iam_user: Some("watcher".into()),
        ..AuthSettings::default()
    };
    let identity = AwsIdentity {
        account: SharedAccount::given(REGION, keys.clone()),
        cache: GroupId::new("orders"),
        serverless: false,
        now: moment,
    };
    let watched = Watched {
        group: GroupKey {
            region: REGION.into(),
            id: "orders".into(),
        },
        shard: "0001".into(),
        node: "orders-001".into(),
        endpoint: endpoint(&server),
        reach: Reach {
            dialer: Dialer::Network(Network::plain(SETTINGS.answer_timeout, Pace::new())),
            credentials: Credentials::new(&auth).with_aws(&auth, &identity),
            accounts: Accounts::default(),
            settings: SETTINGS,
            parameters: None,
        },
        serverless: false,
    };
    let (_settings, read) = watch::channel(Settings::defaults().poll);
    let poller = Poller::new(watched, read, Clock::System, CommandTables::default());
    let ((due, asked), (tell, mut events)) = (mpsc::channel(1), mpsc::channel(1));
    let polling = tokio::spawn(poller.run(asked, tell));
    let mut poll = async || {
        due.send(()).await.expect("it runs");
        match events.recv().await.expect("it runs") {
            Event::Polled { outcome, .. } => outcome.map(|_| ()),
            other => panic!("{other:?}"),
        }
    };
    let logins = async || server.calls().await["auth"];
    assert_eq!(poll().await, Ok(()));
    let first = logins().await;
    pass(10).await;
    assert_eq!(poll().await, Ok(()));
    assert_eq!(logins().await, first, "it isn't time yet");
    pass(1).await;
    let_in().await;
    assert_eq!(
        poll().await,
        Ok(()),
        "the token it opened the connection with is none any more"
    );
    assert_eq!(logins().await, first + 1, "over the connection it had");
    let connections = server.info("clients").await["connected_clients"].trim().to_owned();
    assert_eq!(connections, "2", "its one, and the one that asks");
    pass(10).await;
    assert_eq!(poll().await, Ok(()));
    assert_eq!(logins().await, first + 1, "the hours are counted anew");
    // A token of another hour than the server's is refused, and that is said; the next poll tries with a new connection.
    pass(1).await;
    assert_eq!(poll().await, Err("wrong_password"));
    let_in().await;
    pass(1).await;
    let_in().await;
    assert_eq!(poll().await, Ok(()));
    drop(due);
    polling.await.expect("it ends without panic");
}
