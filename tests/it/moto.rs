//! Against moto, whose answers are not ours: pages, accounts, roles, secrets and policies, and from its answers to real servers and
//! their metrics.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use assert_cmd::Command;
use hotshard::node::rights::{Generation, rule};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{hotshard, told};
use crate::elasticache::metrics;
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::moto::{Moto, Script};
use crate::harness::server::Server;
use crate::harness::tls::Authority;
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(20);
const WEST: &str = "eu-west-1";
const EAST: &str = "us-east-1";
const PAYMENTS: &str = "arn:aws:iam::222222222222:role/watcher";
const STOCK: &str = "arn:aws:iam::333333333333:role/watcher";

/// A group without cluster mode, as boto3 is told to make it.
fn replication(id: &str, nodes: usize, tag: &str) -> Value {
    json!({
        "ReplicationGroupId": id, "ReplicationGroupDescription": "a test", "Engine": "redis", "NumCacheClusters": nodes,
        "ReplicasPerNodeGroup": nodes - 1, "Tags": [{ "Key": "team", "Value": tag }],
    })
}

/// What moto needs to know, and where it is; nothing else of this machine.
fn variables(moto: &Moto, key: (&str, &str)) -> Vec<(String, String)> {
    let own = [
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
        // A profile that assumes a role asks its own.
        ("AWS_ENDPOINT_URL_STS", moto.url.as_str()),
        ("AWS_ACCESS_KEY_ID", key.0),
        ("AWS_SECRET_ACCESS_KEY", key.1),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    own.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
}

const ROOT: (&str, &str) = ("AKIDROOT", "planted-aws-key");

fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = variables.iter();
    pairs.map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn run(mut command: Command, variables: &[(String, String)]) -> String {
    told(command.envs(borrowed(variables)))
}

/// A series of this region and group, up to its value.
fn series(name: &str, region: &str, group: &str, rest: &str) -> String {
    format!("hotshard_{name}{{region=\"{region}\",replication_group=\"{group}\",{rest}}}")
}

fn up(region: &str, group: &str, shard: &str, node: &str) -> String {
    series("node_up", region, group, &format!("shard=\"{shard}\",node=\"{node}\"")) + " 1\n"
}

#[tokio::test]
async fn groups_of_many_pages_accounts_regions_and_tags_are_told_apart() {
    let pair = Cluster::disabled(Server::redis(), 1).await;
    let [primary, replica] = [pair.servers[0].address, pair.servers[1].address];
    let mut script = Script::default();
    let create = "create_replication_group";
    for number in 0..130 {
        let group = replication(&format!("fleet-{number:03}"), 1, "fleet");
        script.call(WEST, "elasticache", create, group);
    }
    for (region, tag) in [(WEST, "checkout"), (EAST, "search")] {
        script.call(region, "elasticache", create, replication("orders", 2, tag));
        script.call(region, "elasticache", create, replication("carts", 1, tag));
    }
    script.call_as(PAYMENTS, WEST, "elasticache", create, replication("payments", 1, "x"));
    script.call_as(STOCK, WEST, "elasticache", create, replication("stock", 1, "x"));
    for cluster in ["orders-001", "carts-001", "payments-001", "stock-001"] {
        script.place(cluster, primary);
    }
    script.place("orders-002", replica);
    let moto = Moto::start(&script).await;
    let mut variables = variables(&moto, ROOT);

    let fleet = run(
        hotshard(&["endpoints", "-c", "fleet-*", "-r", WEST, "-f", "csv"]),
        &variables,
    );
    assert_eq!(
        fleet.lines().count(),
        132,
        "all pages, a line of names and the exit code: {fleet}"
    );
    assert!(
        fleet.contains("\neu-west-1,fleet-129,0001,fleet-129-001,primary,127.0.0.1:1,"),
        "{fleet}"
    );
    let foreign = run(hotshard(&["endpoints", "-c", "payments", "-r", WEST]), &variables);
    assert!(
        foreign.contains("no cache of this region") && foreign.ends_with("exit code 1\n"),
        "{foreign}"
    );

    let folder = TempDir::new().expect("a temporary folder");
    let profiles = folder.path().join("aws");
    let text = format!(
        "[profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n[profile stock]\nrole_arn = {STOCK}\n\
         source_profile = base\nregion = {WEST}\n",
        ROOT.0, ROOT.1
    );
    std::fs::write(&profiles, text).expect("a temporary folder takes a file");
    variables.push(("AWS_CONFIG_FILE".into(), profiles.display().to_string()));
    let config = format!(
        "[[groups]]\nid = \"orders\"\n[[groups]]\nid = \"orders\"\nregion = \"{EAST}\"\n\
         [[groups]]\nid = \"car*\"\ntags = {{ team = \"check*\" }}\n\
         [[groups]]\nid = \"carts\"\nregion = \"{EAST}\"\ntags = {{ team = \"checkout\" }}\n\
         [[groups]]\nid = \"payments\"\nrole_arn = \"{PAYMENTS}\"\n\
         [[groups]]\nid = \"stock\"\nregion = \"{WEST}\"\nprofile = \"stock\"\n\
         [discovery]\nregion = \"{WEST}\"\n[poll]\ninterval = \"1s\"\n[monitor]\nenabled = false\n"
    );
    let daemon = Hotshard::serve_with(&config, &borrowed(&variables)).await;
    let expected = [
        up(WEST, "orders", "0001", "orders-001"),
        up(WEST, "orders", "0001", "orders-002"),
        up(EAST, "orders", "0001", "orders-001"),
        up(EAST, "orders", "0001", "orders-002"),
        up(WEST, "carts", "0001", "carts-001"),
        up(WEST, "payments", "0001", "payments-001"),
        up(WEST, "stock", "0001", "stock-001"),
        format!(
            "hotshard_discovery_failures_total{{region=\"{EAST}\",replication_group=\"carts\",reason=\"not_found\"}}"
        ),
    ];
    let gone = [
        series("node_up", EAST, "carts", "shard=\"0001\",node=\"carts-001\""),
        "fleet".to_owned(),
    ];
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    let metrics = metrics(&daemon, &expected, &gone).await;
    for output in [metrics, daemon.stop().await, fleet, foreign] {
        assert!(!output.contains("planted"), "{output}");
    }
}

/// The members of a cluster in the order of their ports, as AWS would name them: that says nothing of their roles.
async fn place(script: &mut Script, group: &str, cluster: &Cluster) {
    for (place, shard) in cluster.shards().await.iter().enumerate() {
        let mut members = shard.replicas.clone();
        members.push(shard.primary);
        members.sort_unstable();
        for (number, member) in members.into_iter().enumerate() {
            let name = format!("{group}-{:04}-{:03}", place + 1, number + 1);
            script.place(&name, cluster.servers[member].address);
        }
    }
}

fn secret(script: &mut Script, name: &str, texts: &[(&str, Value)]) {
    for (place, (text, stages)) in texts.iter().enumerate() {
        match place {
            0 => script.call(
                WEST,
                "secretsmanager",
                "create_secret",
                json!({ "Name": name, "SecretString": text }),
            ),
            _ => script.call(
                WEST,
                "secretsmanager",
                "put_secret_value",
                json!({ "SecretId": name, "SecretString": text, "VersionStages": stages }),
            ),
        }
    }
}

#[tokio::test]
async fn from_a_name_to_the_metrics_of_real_clusters_with_tls_and_rotated_secrets() {
    let authority = Arc::new(Authority::new());
    let orders = Cluster::of(Server::redis().tls(&authority).password("planted-next")).await;
    // The least rule, over IPv6, and named the wrong way round: -001 is a replica.
    let carts = Server::redis()
        .user("watcher", "planted-rbac", &rule(&Generation::COMMON))
        .set("bind", "127.0.0.1 ::1");
    let carts = Cluster::disabled(carts, 1).await;
    let mut script = Script::default();
    let create = "create_replication_group";
    let cluster_mode = json!({
        "ReplicationGroupId": "orders", "ReplicationGroupDescription": "a test", "Engine": "redis", "ClusterMode": "enabled",
        "NumNodeGroups": 3, "ReplicasPerNodeGroup": 1, "TransitEncryptionEnabled": true,
    });
    script.call(WEST, "elasticache", create, cluster_mode);
    script.call(WEST, "elasticache", create, replication("carts", 2, "x"));
    place(&mut script, "orders", &orders).await;
    for (name, server) in [("carts-001", &carts.servers[1]), ("carts-002", &carts.servers[0])] {
        script.place(
            name,
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], server.address.port())),
        );
    }
    // One rotation has just begun, the other has just ended; neither server has followed yet, or already has.
    let begun = [
        ("{\"token\": \"planted-current\"}", Value::Null),
        ("{\"token\": \"planted-next\"}", json!(["AWSPENDING"])),
    ];
    let ended = [("planted-rbac", Value::Null), ("planted-newer", json!(["AWSCURRENT"]))];
    secret(&mut script, "orders/redis", &begun);
    secret(&mut script, "carts/redis", &ended);
    let moto = Moto::start(&script).await;
    let config = format!(
        "[[groups]]\nid = \"orders\"\n[groups.auth]\nsecret = \"orders/redis\"\nsecret_field = \"token\"\n\
         [groups.tls]\nca_file = \"{ca}\"\n\
         [[groups]]\nid = \"carts\"\n[groups.auth]\nusername = \"watcher\"\nsecret = \"carts/redis\"\n\
         [[groups]]\nid = \"late*\"\n[discovery]\nregion = \"{WEST}\"\ninterval = \"1s\"\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 3s\"\nwindow = \"1s\"\n[guards]\ncpu_max = 10.0\nbehind_max = \"10s\"\n\
         silence_max = \"5s\"\n[archive]\npath = \"hotshard.db\"\nrecord = \"full\"\n",
        ca = authority.ca_file().display()
    );
    let variables = variables(&moto, ROOT);
    let daemon = Hotshard::serve_with(&config, &borrowed(&variables)).await;
    let mut expected = Vec::new();
    for (place, shard) in orders.shards().await.iter().enumerate() {
        let name = format!("{:04}", place + 1);
        let label = format!("shard=\"{name}\"");
        let slots: usize = shard.slots.iter().map(|range| range.clone().count()).sum();
        // moto itself says 5462 of the first one.
        expected.push(format!("{} {slots}\n", series("shard_slots", WEST, "orders", &label)));
        expected.push(series("observed_seconds_total", WEST, "orders", &label));
        for number in 1..=2 {
            expected.push(up(WEST, "orders", &name, &format!("orders-{name}-00{number}")));
        }
    }
    for (node, role) in [("carts-001", "replica"), ("carts-002", "primary")] {
        let labels = format!("shard=\"0001\",node=\"{node}\",role=\"{role}\"");
        expected.push(series("node_role", WEST, "carts", &labels) + " 1\n");
    }
    expected.push(series("observed_seconds_total", WEST, "carts", "shard=\"0001\""));
    let mut outputs = vec![metrics(&daemon, &expected, &[]).await];

    script.call(WEST, "elasticache", create, replication("late-one", 1, "x"));
    moto.change(&script);
    let nodes = format!("hotshard_discovery_nodes{{region=\"{WEST}\",replication_group=\"late-one\"}} 1\n");
    metrics(&daemon, &[nodes], &[]).await;

    let file = daemon.folder().join("hotshard.toml");
    let file = file.to_str().expect("a path of letters");
    outputs.push(run(
        hotshard(&["endpoints", "--config", file, "-f", "json"]),
        &variables,
    ));
    outputs.push(run(
        hotshard(&["endpoints", "--config", file, "-f", "monitor-cmd"]),
        &variables,
    ));
    outputs.push(run(hotshard(&["check", "--config", file, "--connect"]), &variables));
    let connected = outputs.last().expect("it was pushed");
    assert_eq!(
        connected.matches("the user has every right it needs").count(),
        7,
        "{connected}"
    );
    assert!(connected.contains("carts, shard 0001, [::1]:"), "{connected}");
    let command_line = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).expect("it runs");
    outputs.push(String::from_utf8_lossy(&command_line).into_owned());
    outputs.push(daemon.log());
    let archived = files(daemon.folder());
    assert!(
        archived.iter().any(|(name, _)| name.ends_with("hotshard.db")),
        "there is an archive"
    );
    outputs.extend(archived.into_iter().map(|(_, text)| text));
    outputs.push(daemon.stop().await);
    for output in outputs {
        assert!(!output.contains("planted"), "{output}");
    }
}

/// Every file there, as far as it is text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("it can be read");
    let paths = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file());
    paths
        .map(|path| {
            let bytes = std::fs::read(&path).expect("it can be read");
            (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

/// On ElastiCache servers don't tell how they bound their buffers: CONFIG isn't there.
#[tokio::test]
async fn a_parameter_group_of_several_pages_tells_what_its_servers_may_not() {
    let plan = Server::redis().user("watcher", "planted-token", "~* +@all -config");
    let server = plan.start().await;
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hotshard.toml");
    let config = format!(
        "[[groups]]\nid = \"carts\"\n[auth]\nusername = \"watcher\"\nsecret = \"carts/redis\"\n[discovery]\nregion = \"{WEST}\"\n"
    );
    std::fs::write(&file, config).expect("a temporary folder takes a file");
    let file = file.display().to_string();
    let (may, mut may_not) = (policy(&file), policy(&file));
    let actions = may_not["Statement"][0]["Action"].as_array_mut().expect("actions");
    actions.retain(|action| action != "elasticache:DescribeCacheParameters");
    let mut script = Script::default();
    let create = "create_replication_group";
    script.call(WEST, "elasticache", create, replication("carts", 1, "checkout"));
    secret(&mut script, "carts/redis", &[("planted-token", Value::Null)]);
    script.place("carts-001", server.address);
    script.user(may);
    script.user(may_not);
    let moto = Moto::start(&script).await;
    let check = |user: usize| {
        let key = (moto.keys[user].0.as_str(), moto.keys[user].1.as_str());
        run(
            hotshard(&["check", "--config", &file, "--connect"]),
            &variables(&moto, key),
        )
    };
    // In the example that AWS publishes the limit is zero, which is none.
    let published = check(0);
    assert!(
        published.contains("\n    the server holds any amount for a client that does not read; set"),
        "{published}"
    );
    script.limit(64 << 20);
    moto.change(&script);
    eventually("the change is known", SOON, async || {
        let bounded = check(0);
        match bounded.contains("\n    the server closes a client for which it holds 64 MiB\n") {
            true => Ok(()),
            false => Err(bounded),
        }
    })
    .await;
    let denied = check(1);
    let reason = "\n    its parameter group could not be asked for: AWS does not permit elasticache:DescribeCacheParameters in eu-west-1: ";
    assert!(
        denied.contains("the server does not tell whether it bounds its buffers") && denied.contains(reason),
        "{denied}"
    );
}

/// The policy that `check` prints, as moto takes it.
fn policy(file: &str) -> Value {
    let said = told(&mut hotshard(&["check", "--config", file]));
    let (_, policy) = said.split_once("The least policy in AWS:\n").expect(&said);
    let (policy, _) = policy.split_once("exit code").expect(&said);
    let mut policy: Value = serde_json::from_str(policy).expect(policy);
    for statement in policy["Statement"].as_array_mut().expect("statements") {
        // moto judges actions alone, and every resource is `*` to it.
        statement["Resource"] = json!("*");
    }
    policy
}

#[tokio::test]
async fn the_least_policy_is_enough_and_less_is_not() {
    let server = Server::redis().password("planted-token").start().await;
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hotshard.toml");
    let config = format!(
        "[[groups]]\nid = \"carts\"\ntags = {{ team = \"checkout\" }}\n[auth]\nsecret = \"carts/redis\"\n\
         [discovery]\nregion = \"{WEST}\"\n"
    );
    std::fs::write(&file, config).expect("a temporary folder takes a file");
    let file = file.display().to_string();
    let policy = policy(&file);
    let mut less = policy.clone();
    let actions = less["Statement"][0]["Action"].as_array_mut().expect("actions");
    actions.retain(|action| action != "elasticache:DescribeCacheClusters");
    let mut script = Script::default();
    script.call(
        WEST,
        "elasticache",
        "create_replication_group",
        replication("carts", 1, "checkout"),
    );
    secret(&mut script, "carts/redis", &[("planted-token", Value::Null)]);
    script.place("carts-001", server.address);
    script.user(policy);
    script.user(less);
    let moto = Moto::start(&script).await;
    let check = |key: (&str, &str), expected: &str, code: u8| {
        let said = run(
            hotshard(&["check", "--config", &file, "--connect"]),
            &variables(&moto, key),
        );
        assert!(
            said.contains(expected) && said.ends_with(&format!("exit code {code}\n")),
            "{expected}: {said}"
        );
        assert!(!said.contains("planted") && !said.contains(key.1), "{said}");
    };
    let key = |place: usize| (moto.keys[place].0.as_str(), moto.keys[place].1.as_str());
    check(key(0), "the user has every right it needs", 0);
    check(
        key(1),
        "AWS does not permit elasticache:DescribeCacheClusters in eu-west-1",
        1,
    );
    let wrong_secret = (key(0).0, "a-wrong-secret-of-forty-letters-or-there");
    check(wrong_secret, "no usable AWS credentials", 1);
    check(("AKIDNOBODY", "a-secret-of-nobody"), "no usable AWS credentials", 1);
}
