//! Commands that the table doesn't know: what real servers say of theirs, and what becomes of traffic that uses newer ones.

use std::collections::BTreeSet;
use std::time::Duration;

use hotshard::analysis::keyspec::{Commands, ServerCommand};
use hotshard::node::{Account, Credentials, Link, commands};

use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::link::{SETTINGS, endpoint, plain};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a server says of its commands.
pub(crate) async fn told(server: &Server) -> Vec<ServerCommand> {
    let (dialer, endpoint, account) = (plain(), endpoint(server), Account::new());
    let opened = Link::open(&dialer, &endpoint, &Credentials::none(), &account, SETTINGS).await;
    let link = opened.expect("the server answers");
    commands::ask(&link).await.expect("it tells its commands")
}

/// All of them, the subcommands too.
fn flat(commands: &[ServerCommand]) -> Vec<&ServerCommand> {
    commands
        .iter()
        .flat_map(|command| std::iter::once(command).chain(flat(&command.subcommands)))
        .collect()
}

/// What a server says of its commands agrees with the table; those it has beyond the table are added as it says.
async fn check(plan: ServerPlan, beyond: &[&str]) {
    let server = plan.start().await;
    let told = told(&server).await;
    let (table, known) = (Commands::builtin(), Commands::of_server(&told));
    let mut added = BTreeSet::new();
    for command in flat(&told) {
        let name = command.name.to_ascii_uppercase();
        let has = |flag: &str| command.flags.contains(flag);
        let of_server = (has("readonly"), has("write"));
        let row = known.get(known.find(name.as_bytes()).expect("every command is known"));
        if !row.container {
            assert_eq!((row.reads, row.writes), of_server, "{name}");
        }
        if table.find(name.as_bytes()).is_none() && (row.reads || row.writes) {
            added.insert(name);
        }
    }
    assert_eq!(added.iter().map(String::as_str).collect::<Vec<_>>(), beyond);
}

#[tokio::test]
async fn servers_agree_with_the_table_about_what_reads_and_what_writes() {
    // Two of them are there to cut off browsers that speak HTTP; all three are gone in 7.0.
    check(Server::redis6(), &["HOST:", "POST", "STRALGO"]).await;
    check(Server::redis(), &[]).await;
    check(Server::valkey8(), &[]).await;
    let newer = [
        "CLUSTERSCAN",
        "CLUSTER|FLUSHSLOT",
        "DELIFEQ",
        "HEXPIRE",
        "HEXPIREAT",
        "HEXPIRETIME",
        "HGETDEL",
        "HGETEX",
        "HPERSIST",
        "HPEXPIRE",
        "HPEXPIREAT",
        "HPEXPIRETIME",
        "HPTTL",
        "HSETEX",
        "HTTL",
        "MSETEX",
    ];
    check(Server::valkey9(), &newer).await;
}

/// Reads on a replica by a command that only the server knows are load, its keys are found in MONITOR, and COMMAND is asked of one node.
#[tokio::test]
async fn a_command_that_only_the_server_knows_counts_and_shows_its_keys() {
    const CALLS: u64 = 3_000;
    let pair = Cluster::disabled(Server::valkey9(), 1).await;
    pair.servers[0].call(&["HSET", "cart:7", "total", "12"]).await;
    let daemon = Hotshard::serve(&configuration(&pair)).await;
    let node = pair.servers[1].address.to_string();
    let total = async |name: &'static str, labels: [(&'static str, &str); 1]| {
        Figures::of(daemon.metrics().await).find(name, &labels)
    };
    eventually("the replica is polled", DEADLINE, async || {
        total("hotshard_node_commands_total", [("node", &node)])
            .await
            .ok_or("not yet")
    })
    .await;
    let reads = Plan::new("HTTL", "cart:7", CALLS).with(&["FIELDS", "1", "total"]);
    let traffic = Traffic::new(4).plan(reads.per_second(300.0).on_replica());
    let seen = async {
        eventually("its key shows", DEADLINE, async || {
            let share = total("hotshard_key_share_ratio", [("key", "cart:7")]).await;
            share.filter(|share| *share == 1.0).ok_or(share)
        })
        .await
    };
    tokio::join!(traffic.run(&pair), seen);
    eventually("all reads are counted", DEADLINE, async || {
        let counted = total("hotshard_node_commands_total", [("node", &node)]).await;
        if counted == Some(CALLS as f64) {
            Ok(())
        } else {
            Err(counted)
        }
    })
    .await;
    let mut asked = 0;
    for server in &pair.servers {
        let calls = server.info("commandstats").await.remove("cmdstat_command");
        asked += calls.map_or(0, |counters| usize::from(counters.starts_with("calls=1,")));
    }
    assert_eq!(asked, 1);
    let log = daemon.stop().await;
    assert_eq!(log.matches("commands of a kind of server").count(), 1, "{log}");
}

fn configuration(pair: &Cluster) -> String {
    let [primary, replica] = [0, 1].map(|place| pair.servers[place].address);
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{primary}:only\", \"{replica}:only\"]\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\n[limits]\nkeys_max = 1\n[guards]\nsilence_max = \"5s\"\ncpu_max = 10.0\nbehind_max = \"10s\"\n"
    )
}
