//! Groups that AWS knows: from its answers to real local servers to metrics.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use hotshard::discovery::elasticache::SharedAccount;
use hotshard::discovery::instance::Instance;
use hotshard::model::{GroupId, GroupKey, Region, Timestamp};
use hotshard::node::iam::{self, IamLogin};
use hotshard::node::survey::Reach;
use hotshard::node::{Accounts, AuthSettings, AwsIdentity, Credentials, Dialer, Network, Pace};
use secrecy::ExposeSecret;

use crate::cli::{hotshard, told};
use crate::harness::aws::{Aws, Member, Mode, REGION, ReplicationGroup, VARIABLES, endpoint_xml, result};
use crate::harness::cluster::{Cluster, Shard};
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::link::SETTINGS;
use crate::harness::resp::Value;
use crate::harness::server::Server;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "planted-secret";

pub(crate) fn config(aws: &Aws, groups: &str) -> String {
    format!(
        "{groups}\n[discovery]\nregion = \"{REGION}\"\nendpoint_url = \"http://{}\"\ninterval = \"1s\"\n\
         [poll]\ninterval = \"1s\"\n[auth]\npassword_env = \"TOKEN\"\n",
        aws.address
    )
}

pub(crate) async fn serve(aws: &Aws, groups: &str) -> Hotshard {
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    Hotshard::serve_with(&config(aws, groups), &variables).await
}

/// The cluster as AWS would describe it: members in the order of their ports, whatever their roles.
pub(crate) async fn described(id: &str, cluster: &Cluster) -> ReplicationGroup {
    let mut shards = Vec::new();
    for (place, shard) in cluster.shards().await.iter().enumerate() {
        let mut places = shard.replicas.clone();
        places.push(shard.primary);
        places.sort_unstable();
        let name = format!("{:04}", place + 1);
        let member = |(number, &server): (usize, &usize)| Member {
            id: format!("{id}-{name}-{:03}", number + 1),
            address: Some(cluster.servers[server].address),
            role: None,
        };
        shards.push((name.clone(), places.iter().enumerate().map(member).collect()));
    }
    ReplicationGroup {
        id: id.to_owned(),
        mode: Mode::Enabled,
        tls: false,
        shards,
    }
}

pub(crate) fn alone(id: &str, server: &Server) -> ReplicationGroup {
    let member = Member {
        id: format!("{id}-001"),
        address: Some(server.address),
        role: Some("primary"),
    };
    ReplicationGroup {
        id: id.to_owned(),
        mode: Mode::Disabled,
        tls: false,
        shards: vec![("0001".into(), vec![member])],
    }
}

/// Waits until the metrics hold all of `there` and none of `gone`.
pub(crate) async fn metrics(hotshard: &Hotshard, there: &[String], gone: &[&str]) -> String {
    let complete = async || {
        let metrics = hotshard.metrics().await;
        match there.iter().find(|line| !metrics.contains(line.as_str())) {
            Some(line) => Err(format!("{line} is missing in\n{metrics}\n{}", hotshard.log())),
            None => match gone.iter().find(|text| metrics.contains(**text)) {
                Some(text) => Err(format!("{text} is still there")),
                None => Ok(metrics),
            },
        }
    };
    eventually("the metrics say so", DEADLINE, complete).await
}

pub(crate) fn group_label(id: &str) -> String {
    format!("region=\"{REGION}\",replication_group=\"{id}\"")
}

#[tokio::test]
async fn a_cluster_is_watched_by_its_name_alone() {
    let cluster = Cluster::of(Server::redis().password(PASSWORD)).await;
    let aws = Aws::start().await;
    aws.hold(&[described("orders", &cluster).await]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"orders\"\n").await;
    let orders = group_label("orders");
    let mut expected: Vec<String> = Vec::new();
    for (place, shard) in cluster.shards().await.iter().enumerate() {
        let name = format!("{:04}", place + 1);
        let slots: usize = shard
            .slots
            .iter()
            .map(|range| usize::from(range.end() - range.start()) + 1)
            .sum();
        expected.push(format!("hotshard_shard_slots{{{orders},shard=\"{name}\"}} {slots}\n"));
        // The role is the node's own word: the first by name need not be the primary.
        let primary_first = shard.primary < shard.replicas[0];
        for (number, primary) in [(1, primary_first), (2, !primary_first)] {
            expected.push(format!(
                "hotshard_node_role{{{orders},shard=\"{name}\",node=\"orders-{name}-00{number}\",role=\"primary\"}} {}\n",
                u8::from(primary)
            ));
        }
    }
    let metrics = metrics(&hotshard, &expected, &[]).await;
    assert!(
        metrics.contains("cache.r7g.large") && metrics.contains(&format!("{REGION}a")),
        "{metrics}"
    );
    for output in [metrics, hotshard.stop().await] {
        assert!(
            !output.contains(PASSWORD) && !output.contains("planted-secret-key"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn groups_of_a_glob_come_and_go_and_stay_while_aws_fails() {
    let (first, second) = (
        Server::redis().password(PASSWORD).start().await,
        Server::redis().password(PASSWORD).start().await,
    );
    let aws = Aws::start().await;
    aws.hold(&[alone("shop-a", &first), alone("other", &second)]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"shop-*\"\n[[groups]]\nid = \"none\"\n").await;
    let up = |id: &str| {
        format!(
            "hotshard_node_up{{{},shard=\"0001\",node=\"{id}-001\"}} 1\n",
            group_label(id)
        )
    };
    let not_found = format!(
        "hotshard_discovery_failures_total{{{},reason=\"not_found\"}}",
        group_label("none")
    );
    metrics(&hotshard, &[up("shop-a"), not_found], &["shop-b", "\"other\""]).await;

    aws.hold(&[alone("shop-a", &first), alone("shop-b", &second)]);
    metrics(&hotshard, &[up("shop-a"), up("shop-b")], &[]).await;

    let last_success = async || {
        let labels = [("replication_group", "shop-b")];
        let figures = Figures::of(hotshard.metrics().await);
        figures.value("hotshard_discovery_last_success_timestamp_seconds", &labels)
    };
    aws.refuse("DescribeCacheClusters", "Throttling");
    let throttled = format!(
        "hotshard_discovery_failures_total{{{},reason=\"throttled\"}}",
        group_label("shop-b")
    );
    metrics(&hotshard, &[throttled], &[]).await;
    let known_since = last_success().await;
    for code in ["Throttling", "InternalFailure", "AccessDenied"] {
        aws.refuse("DescribeCacheClusters", code);
        let reason = match code {
            "Throttling" => "throttled",
            "AccessDenied" => "denied",
            _ => "refused",
        };
        let failed = format!(
            "hotshard_discovery_failures_total{{{},reason=\"{reason}\"}}",
            group_label("shop-b")
        );
        metrics(&hotshard, &[up("shop-a"), up("shop-b"), failed], &[]).await;
    }
    aws.answer("DescribeCacheClusters", "<half");
    let malformed = format!(
        "hotshard_discovery_failures_total{{{},reason=\"malformed\"}}",
        group_label("shop-b")
    );
    metrics(&hotshard, &[up("shop-a"), up("shop-b"), malformed], &[]).await;
    assert_eq!(last_success().await, known_since, "the age of what is known shows");

    aws.hold(&[alone("shop-b", &second)]);
    metrics(&hotshard, &[up("shop-b")], &["shop-a"]).await;
    let (asked, looked) = (
        aws.calls("DescribeReplicationGroups"),
        aws.calls("DescribeServerlessCaches"),
    );
    assert!(asked.abs_diff(looked) <= 1, "{asked} {looked}: one list for all groups");
    hotshard.stop().await;
}

#[tokio::test]
async fn a_serverless_cache_is_polled_and_gets_no_window() {
    let server = Server::redis().password(PASSWORD).start().await;
    let aws = Aws::start().await;
    let inner = format!(
        "<ServerlessCaches><member><ServerlessCacheName>burst</ServerlessCacheName><Engine>valkey</Engine>\
         <Status>available</Status>{}</member></ServerlessCaches>",
        endpoint_xml("Endpoint", server.address)
    );
    aws.answer("DescribeServerlessCaches", &result("DescribeServerlessCaches", &inner));
    let hotshard = serve(
        &aws,
        "[tls]\nenabled = false\n[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\nnodes = \"replica-or-primary\"\n\
         [[groups]]\nid = \"burst\"\n",
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

/// Takes connections and never says a word.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

#[tokio::test]
async fn nodes_that_hang_delay_neither_their_group_nor_another() {
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    let hanging: Vec<TcpListener> = (0..3).map(|_| silent()).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
    let member = |id: &str, address| Member {
        id: id.into(),
        address: Some(address),
        role: None,
    };
    let members = |shard: &str, addresses: [SocketAddr; 2]| {
        let named = addresses.into_iter().enumerate();
        let members = named.map(|(number, address)| member(&format!("orders-{shard}-00{}", number + 1), address));
        (shard.to_owned(), members.collect())
    };
    let aws = Aws::start().await;
    // Whoever asks the nodes in the order of their names meets the three first.
    let orders = ReplicationGroup {
        id: "orders".into(),
        mode: Mode::Enabled,
        tls: false,
        shards: vec![
            members("0001", [address(&hanging[0]), address(&hanging[1])]),
            members("0002", [address(&hanging[2]), first.address]),
        ],
    };
    aws.hold(&[orders, alone("shop", &second)]);
    let groups = "[[groups]]\nid = \"orders\"\n[[groups]]\nid = \"shop\"\n";
    let config = config(&aws, groups).replace("[poll]\n", "[poll]\ntimeout = \"60s\"\n");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let up = |group: &str, shard: &str, node: &str| {
        let group = group_label(group);
        format!("hotshard_node_up{{{group},shard=\"{shard}\",node=\"{node}\"}} 1\n")
    };
    let expected = [up("orders", "0002", "orders-0002-002"), up("shop", "0001", "shop-001")];
    // Three time-outs would be three minutes.
    metrics(&hotshard, &expected, &[]).await;
    hotshard.stop().await;
}

#[tokio::test]
async fn a_change_of_roles_shows_at_the_next_poll_and_aws_is_asked_again() {
    let pair = Cluster::disabled(Server::redis().password(PASSWORD), 1).await;
    let [old, new] = [&pair.servers[0], &pair.servers[1]];
    let aws = Aws::start().await;
    let hold = |roles: [&'static str; 2]| {
        let members = [old, new].into_iter().zip(roles).enumerate();
        let member = |(number, (server, role)): (usize, (&Server, _))| Member {
            id: format!("orders-00{}", number + 1),
            address: Some(server.address),
            role: Some(role),
        };
        aws.hold(&[ReplicationGroup {
            id: "orders".into(),
            mode: Mode::Disabled,
            tls: false,
            shards: vec![("0001".into(), members.map(member).collect())],
        }]);
    };
    hold(["primary", "replica"]);
    let config = config(&aws, "[[groups]]\nid = \"orders\"\n").replace("\"1s\"\n[poll]", "\"1h\"\n[poll]");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let primary_is = async |number: u8| {
        let role = |node: u8| {
            let orders = group_label("orders");
            let is_primary = u8::from(node == number);
            format!(
                "hotshard_node_role{{{orders},shard=\"0001\",node=\"orders-00{node}\",role=\"primary\"}} {is_primary}\n"
            )
        };
        metrics(&hotshard, &[role(1), role(2)], &[]).await;
    };
    primary_is(1).await;
    assert_eq!(aws.calls("DescribeReplicationGroups"), 1);
    new.call(&["REPLICAOF", "NO", "ONE"]).await;
    old.follow(new).await;
    // AWS still tells the former roles: a node's own word counts.
    primary_is(2).await;
    hold(["replica", "primary"]);
    eventually(
        "AWS is asked again long before its interval",
        DEADLINE,
        async || match aws.calls("DescribeReplicationGroups") {
            2 => Ok(()),
            calls => Err(calls),
        },
    )
    .await;
    primary_is(2).await;
    hotshard.stop().await;
}

#[tokio::test]
async fn slots_that_moved_are_known_when_the_first_client_is_sent_elsewhere() {
    let cluster = Cluster::of(Server::redis().password(PASSWORD)).await;
    let aws = Aws::start().await;
    aws.hold(&[described("orders", &cluster).await]);
    let config = config(&aws, "[[groups]]\nid = \"orders\"\n").replace("\"1s\"\n[poll]", "\"1h\"\n[poll]");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let before = cluster.shards().await;
    let size = |shard: &Shard| -> usize { shard.slots.iter().map(|range| range.clone().count()).sum() };
    let expect = async |moved: usize| {
        let slots = |number: usize, slots| {
            let orders = group_label("orders");
            format!("hotshard_shard_slots{{{orders},shard=\"000{number}\"}} {slots}\n")
        };
        let expected = [slots(1, size(&before[0]) - moved), slots(2, size(&before[1]) + moved)];
        metrics(&hotshard, &expected, &[]).await;
    };
    expect(0).await;
    let slot = *before[0].slots[0].start();
    cluster.move_slot(slot, &before[0], &before[1]).await;
    let (mut key, mut found) = (0, String::new());
    while found.is_empty() {
        let name = format!("key:{key}");
        if cluster.slots_of(std::slice::from_ref(&name)).await == [slot] {
            found = name;
        }
        key += 1;
    }
    let mut client = cluster.servers[before[0].primary].connect().await;
    let answer = client.call(&["GET", &found]).await.expect("it answers");
    assert!(
        matches!(&answer, Value::Error(text) if text.starts_with("MOVED")),
        "{answer:?}"
    );
    expect(1).await;
    assert_eq!(
        aws.calls("DescribeReplicationGroups"),
        1,
        "AWS has nothing to do with it"
    );
    hotshard.stop().await;
}

#[tokio::test]
async fn each_group_of_a_glob_is_watched_by_one_instance() {
    let server = Server::redis().password(PASSWORD).start().await;
    let aws = Aws::start().await;
    let ids: Vec<String> = (0..8).map(|number| format!("shop-{number}")).collect();
    let groups: Vec<ReplicationGroup> = ids.iter().map(|id| alone(id, &server)).collect();
    aws.hold(&groups);
    let config = config(&aws, "[[groups]]\nid = \"shop-*\"\n[[groups]]\nid = \"none\"\n");
    let owned = |index: u32, id: &str| {
        let group = GroupKey {
            region: Region::new(REGION),
            id: GroupId::new(id),
        };
        Instance::new(index, 2).expect("one of two").owns(&group)
    };
    let mut told_missing = 0;
    for index in 0..2 {
        let number = index.to_string();
        let own = [
            ("TOKEN", PASSWORD),
            ("HOTSHARD_INSTANCE_COUNT", "2"),
            ("HOTSHARD_INSTANCE_INDEX", &number),
        ];
        let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain(own).collect();
        let hotshard = Hotshard::serve_with(&config, &variables).await;
        let (ours, others): (Vec<&String>, Vec<&String>) = ids.iter().partition(|id| owned(index, id));
        assert!(!ours.is_empty() && !others.is_empty(), "{ours:?} {others:?}");
        let up = |id: &&String| {
            let group = group_label(id);
            format!("hotshard_node_up{{{group},shard=\"0001\",node=\"{id}-001\"}} 1\n")
        };
        let expected: Vec<String> = ours.iter().map(up).collect();
        let others: Vec<String> = others.iter().map(|id| group_label(id)).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let metrics = metrics(&hotshard, &expected, &others).await;
        told_missing += usize::from(metrics.contains(&group_label("none")));
        hotshard.stop().await;
    }
    assert_eq!(told_missing, 1, "who isn't there is missed by one of them");
}

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
async fn a_server_takes_the_token_that_iam_makes() {
    let now = || Timestamp(1_767_323_045_000_000);
    let keys = AwsCredentials::new("AKIDEXAMPLE", "planted-secret-key", None, None, "test");
    let login = IamLogin {
        user: "watcher".into(),
        cache: "orders".into(),
        region: REGION.into(),
        serverless: false,
    };
    let token = iam::token(&login, &keys, now()).expect("nothing to refuse");
    let server = Server::redis().start().await;
    let rule = format!(">{}", token.expose_secret());
    server
        .call(&["ACL", "SETUSER", "watcher", "on", &rule, "~*", "+@all"])
        .await;
    let settings = AuthSettings {
        iam_user: Some("watcher".into()),
        ..AuthSettings::default()
    };
    let identity = |cache: &str| AwsIdentity {
        account: SharedAccount::given(REGION, keys.clone()),
        cache: GroupId::new(cache),
        serverless: false,
        now,
    };
    let reach = |cache: &str| Reach {
        dialer: Dialer::Network(Network::plain(SETTINGS.answer_timeout, Pace::new())),
        credentials: Credentials::new(&settings).with_aws(&settings, &identity(cache)),
        accounts: Accounts::default(),
        settings: SETTINGS,
        parameters: None,
    };
    let endpoint = server.address.to_string().parse().expect("an address is an endpoint");
    let orders = reach("orders");
    let mut link = orders.link(&endpoint).await.expect("the token is the password");
    let logins = async || server.calls().await["auth"];
    let first = logins().await;
    // Eleven hours, of which none is waited for.
    let later = async |hours: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        tokio::time::resume();
    };
    later(10).await;
    link.stay_logged_in(&orders.credentials).await.expect("nothing is due");
    assert_eq!(logins().await, first, "it isn't time yet");
    later(1).await;
    link.stay_logged_in(&orders.credentials)
        .await
        .expect("the token still is the password");
    assert_eq!(logins().await, first + 1, "it logs in again before the twelfth hour");
    later(10).await;
    link.stay_logged_in(&orders.credentials).await.expect("nothing is due");
    assert_eq!(logins().await, first + 1, "the hours are counted anew");
    later(1).await;
    server
        .call(&["ACL", "SETUSER", "watcher", "resetpass", ">another"])
        .await;
    let lapsed = link
        .stay_logged_in(&orders.credentials)
        .await
        .expect_err("the user has another password");
    assert!(
        lapsed
            .to_string()
            .contains("refused the password made by IAM for user watcher"),
        "{lapsed}"
    );
    let refused = reach("carts")
        .link(&endpoint)
        .await
        .expect_err("a token is for one cache")
        .to_string();
    assert!(
        refused.contains("refused the password made by IAM for user watcher"),
        "{refused}"
    );
    assert!(!refused.contains("X-Amz"), "{refused}");
}

#[tokio::test]
async fn both_versions_of_a_secret_are_tried_while_it_is_rotated() {
    let server = Server::redis().password("planted-next").start().await;
    let aws = Aws::start().await;
    aws.hold(&[alone("orders", &server)]);
    aws.secret("AWSCURRENT", Some(r#"{"token":"planted-current"}"#));
    aws.secret("AWSPENDING", Some(r#"{"token":"planted-next"}"#));
    aws.secret("AWSPREVIOUS", None);
    let url = format!("http://{}", aws.address);
    let variables: Vec<(&str, &str)> = VARIABLES
        .into_iter()
        .chain([("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str())])
        .collect();
    let config = config(
        &aws,
        "[[groups]]\nid = \"orders\"\n[groups.auth]\nsecret = \"orders/redis\"\nsecret_field = \"token\"\n",
    );
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let up = format!(
        "hotshard_node_up{{{},shard=\"0001\",node=\"orders-001\"}} 1\n",
        group_label("orders")
    );
    let metrics = metrics(&hotshard, &[up], &[]).await;
    assert_eq!(aws.calls("AWSCURRENT"), 1, "an answer is kept for a while");
    for output in [metrics, hotshard.stop().await] {
        assert!(!output.contains("planted"), "{output}");
    }
}

#[tokio::test]
async fn five_hundred_shards_are_found_within_seconds() {
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let member = |shard: usize, number: usize| Member {
        id: format!("big-{shard:04}-{number:03}"),
        address: Some(nobody),
        role: None,
    };
    let shard = |shard: usize| {
        (
            format!("{shard:04}"),
            (1..=6).map(|number| member(shard, number)).collect(),
        )
    };
    let aws = Aws::start().await;
    aws.hold(&[ReplicationGroup {
        id: "big".into(),
        mode: Mode::Enabled,
        tls: false,
        shards: (1..=500).map(shard).collect(),
    }]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"big\"\n").await;
    let nodes = format!("hotshard_discovery_nodes{{{}}} 3000\n", group_label("big"));
    metrics(&hotshard, &[nodes], &[]).await;
    hotshard.stop().await;
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
