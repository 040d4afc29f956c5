//! The network that the documents speak of, for real: 10.0.3.7 and the examples' names lead to a cluster under load, AWS knows a
//! group `orders`, and what a command installs lands where nobody else sees it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::elasticache::described;
use crate::harness::aws::{Aws, VARIABLES, result};
use crate::harness::cluster::Cluster;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::tools::tool;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;
use crate::repository::markdown::fences;
use crate::repository::{read, root};

/// Where a daemon listens that was told nothing else, and where the documents look for it.
pub(super) const DAEMON: &str = "127.0.0.1:9468";
const INSIDE: &str = "HOTSHARD_TEST_INSIDE_THE_NETWORK_OF_THE_DOCUMENTS";
const DEADLINE: Duration = Duration::from_secs(60);
/// Windows as short as that tell what there is to tell; the examples' minutes are for people.
const WINDOW: &str = "HOTSHARD_GUARDS__WINDOW_MAX_WITHOUT_SERVER_LIMIT=1s";
/// Calls of one round of the traffic; it goes on until the test ends.
const CALLS: u64 = 60_000;
const CALLS_PER_SECOND: f64 = 1500.0;
/// Rounds that the examples name.
const ROUNDS: usize = 3;

/// Addresses and names as the documents have them. `Shard` is whose replica stands there.
const HOSTS: [(&str, &str, Place); 4] = [
    ("10.0.3.7", "host HOST", Place::Primary(0)),
    ("10.0.3.8", "replica.example", Place::Replica(0)),
    ("10.0.3.9", "replica-1.example", Place::Replica(1)),
    ("10.0.3.10", "replica-2.example", Place::Replica(2)),
];

#[derive(Debug, Clone, Copy)]
enum Place {
    Primary(usize),
    Replica(usize),
}

/// What programs need of the machine's own settings.
const ETC: [&str; 7] = [
    "alternatives",
    "group",
    "ld.so.cache",
    "manpath.config",
    "nsswitch.conf",
    "passwd",
    "ssl",
];

/// A network, and files in /etc and /usr/local/bin, that this process and its children alone have.
const PRIVATE: &str = "
    ip link set lo up
    for address in $ADDRESSES; do ip address add \"$address/32\" dev lo; done
    mount --bind \"$ETC\" /etc
    mount -t tmpfs tmpfs /usr/local/bin
";

/// Whether this process is inside already.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this test once more, inside.
pub(super) fn enter(test: &str) {
    let program = std::env::current_exe().expect("a process knows its program");
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--"])
        .arg(program)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .status();
    let status = inside.expect("util-linux is installed");
    assert!(status.success(), "inside a network of its own: {status}");
}

/// Everything that commands find.
pub(super) struct Stage {
    folder: TempDir,
    variables: Vec<String>,
    _aws: Aws,
    _connections: JoinSet<()>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        furnish(folder.path());
        seclude(folder.path());
        let cluster = Cluster::of(Server::redis().user("hotshard", "orange", "~* &* +@all")).await;
        let aws = account(&cluster).await;
        let mut connections = JoinSet::new();
        for (address, _, place) in HOSTS {
            lead(&mut connections, &format!("{address}:6379"), &cluster, place).await;
        }
        lead(&mut connections, "127.0.0.1:6379", &cluster, Place::Primary(0)).await;
        connections.spawn(traffic(cluster));
        let variables = variables(folder.path(), &aws);
        Self {
            folder,
            variables,
            _aws: aws,
            _connections: connections,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration that the next commands name.
    pub(super) fn configure(&self, toml: &str) {
        fs::write(self.folder().join("hotshard.toml"), toml).expect("a temporary folder takes a file");
    }

    /// Begins a line of shell.
    pub(super) fn begin(&self, name: &str, line: &str) -> Process {
        let shell = ["bash", "-c", line].map(str::to_owned);
        let arguments: Vec<String> = self.variables.iter().cloned().chain(shell).collect();
        Process::start(name, "env".as_ref(), &arguments, self.folder())
    }

    /// Runs a line of shell of the stage's own, which must succeed.
    pub(super) async fn done(&self, name: &str, line: &str) {
        let mut process = self.begin(name, line);
        let status = process.end(DEADLINE).await;
        assert!(status.success(), "{line}: {status}\n{}", process.last_words());
    }

    /// A daemon over the cluster that keeps an archive; waits until it has as many rounds as the examples name.
    pub(super) async fn daemon(&self) -> Process {
        let line = "hotshard serve --config hotshard.toml --archive.path hotshard.db --monitor.schedule 'every 2s' \
                    --monitor.window 1s --poll.interval 1s --web.enable-lifecycle --web.enable-sql";
        let mut process = self.begin("the-daemon", line);
        let rounds = async || match process.ended() {
            Some(status) => panic!("{status}: {}", process.last_words()),
            None => {
                let answer = http::get(daemon_address(), "/api/v1/groups/orders/rounds").await?;
                let json: serde_json::Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
                match json["rounds"].as_array().or(json.as_array()).map_or(0, Vec::len) {
                    count if count >= ROUNDS => Ok(()),
                    count => Err(format!("{count} rounds: {}", process.last_words())),
                }
            }
        };
        eventually("the archive has rounds", DEADLINE, rounds).await;
        process
    }
}

pub(super) fn daemon_address() -> SocketAddr {
    DAEMON.parse().expect("it is an address")
}

/// What lies in the folder that commands are run in.
fn furnish(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("a temporary folder takes a folder");
        fs::write(path, text).expect("a temporary folder takes a file");
    };
    let names: String = HOSTS.map(|(address, names, _)| format!("{address} {names}\n")).concat();
    write("etc/hosts", &format!("127.0.0.1 localhost\n{names}"));
    write("etc/bash_completion.d/README", "");
    write("home/.curlrc", "fail\nshow-error\n");
    write(
        "home/.aws/config",
        "[profile production]\nregion = eu-central-1\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = planted-secret-key\n",
    );
    write("token", "orange\n");
    let earlier = fences(&read("docs/migration.md"))
        .into_iter()
        .find(|fence| fence.language == "yaml");
    write(
        "config.yaml",
        &earlier.expect("the page shows the earlier tool's settings").text,
    );
    // What a page shows under a name of its own.
    for name in ["prometheus.yml", "alertmanager.yml"] {
        let shown = fences(&read("docs/getting-started.md"));
        let shown = shown
            .into_iter()
            .find(|fence| fence.text.starts_with(&format!("# {name}\n")));
        write(name, &shown.expect("the page shows it").text);
    }
    fs::create_dir_all(folder.join("target/release")).expect("a temporary folder takes a folder");
    fs::create_dir_all(folder.join("bin")).expect("a temporary folder takes a folder");
    let link =
        |program: &Path, name: &str| symlink(program, folder.join(name)).expect("a temporary folder takes a link");
    link(Path::new(env!("CARGO_BIN_EXE_hotshard")), "target/release/hotshard");
    link(Path::new(env!("CARGO_BIN_EXE_hotshard")), "bin/hotshard");
    for program in ["redis-cli", "promtool", "amtool"] {
        link(&tool(program), &format!("bin/{program}"));
    }
    // Copied, since a script finds its way from where it lies.
    for part in ["Makefile", "deploy", "dashboards"] {
        succeed(Command::new("cp").arg("-r").arg(root().join(part)).arg(folder));
    }
}

fn seclude(folder: &Path) {
    let etc = folder.join("etc");
    for part in ETC
        .iter()
        .map(|part| Path::new("/etc").join(part))
        .filter(|part| part.exists())
    {
        succeed(
            Command::new("cp")
                .args(["-a", "--no-preserve=ownership"])
                .arg(part)
                .arg(&etc),
        );
    }
    let addresses = HOSTS.map(|(address, ..)| address).join(" ");
    succeed(
        Command::new("sh")
            .args(["-euc", PRIVATE])
            .env("ETC", etc)
            .env("ADDRESSES", addresses),
    );
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// AWS as the examples want it: `orders`, a shop with the tag they ask for, and `carts`, all of them the same servers.
async fn account(cluster: &Cluster) -> Aws {
    let aws = Aws::start().await;
    let mut groups = Vec::new();
    for id in ["orders", "shop-eu", "carts"] {
        groups.push(described(id, cluster).await);
    }
    aws.hold(&groups);
    let tags = "<TagList><Tag><Key>team</Key><Value>checkout</Value></Tag></TagList>";
    aws.answer("ListTagsForResource", &result("ListTagsForResource", tags));
    aws
}

/// Whoever connects to `address` talks to the server of that place.
async fn lead(connections: &mut JoinSet<()>, address: &str, cluster: &Cluster, place: Place) {
    let shards = cluster.shards().await;
    let server = match place {
        Place::Primary(shard) => shards[shard].primary,
        Place::Replica(shard) => shards[shard].replicas[0],
    };
    let target = cluster.servers[server].address;
    let listener = TcpListener::bind(address)
        .await
        .expect("the address is this network's own");
    connections.spawn(async move {
        let mut pairs = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            pairs.spawn(async move {
                let Ok(mut server) = TcpStream::connect(target).await else {
                    return;
                };
                // Either side may hang up; that is the end of the pair.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
}

/// Reads on replicas, one key far more than all others, and writes; it owns the servers, so they live as long as it runs.
async fn traffic(cluster: Cluster) {
    let shards = cluster.shards().await;
    let mut keys: Vec<String> = (1000..1400).map(|number| format!("user:{number}:profile")).collect();
    keys.extend(keys.clone().iter().map(|key| key.replace("profile", "cart")));
    // The hot key lives where `replica.example` looks.
    let mut hot = String::new();
    for number in 0.. {
        hot = format!("user:{number}:feed");
        if cluster.shard_of(&hot).await == shards[0] {
            break;
        }
    }
    let traffic = Traffic::new(10)
        .plan(Plan::new("GET", &hot, CALLS).on_replica().per_second(CALLS_PER_SECOND))
        .plan(
            Plan::spread("GET", keys.clone(), CALLS)
                .on_replica()
                .per_second(CALLS_PER_SECOND),
        )
        .plan(
            Plan::spread("SET", keys, CALLS / 5)
                .with(&["value"])
                .per_second(CALLS_PER_SECOND / 5.0),
        );
    let traffic = traffic.placed(&cluster).await;
    loop {
        traffic.run(&cluster).await;
    }
}

fn variables(folder: &Path, aws: &Aws) -> Vec<String> {
    let path = |inside: &str| folder.join(inside).display().to_string();
    let own = [
        WINDOW.to_owned(),
        format!("PATH={}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", path("bin")),
        format!("HOME={}", path("home")),
        // Where a package would be put together.
        format!("DESTDIR={}", path("package")),
        format!("HOTSHARD_DISCOVERY__ENDPOINT_URL=http://{}", aws.address),
        "AWS_REGION=eu-central-1".to_owned(),
        "MANPAGER=cat".to_owned(),
    ];
    let aws = VARIABLES.map(|(name, text)| format!("{name}={text}"));
    own.into_iter().chain(aws).collect()
}
