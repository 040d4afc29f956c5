//! moto, an AWS whose answers nobody here wrote, with nodes put where real servers listen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::aws::PARAMETER_GROUP;
use super::process::Process;
use super::tools::tool;
use super::wait::eventually;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// What is in the accounts, and where nodes are; see `tests/emulate_aws.py`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    places: BTreeMap<String, SocketAddr>,
    calls: Vec<Value>,
    limits: BTreeMap<String, String>,
    policies: Vec<Value>,
}

impl Script {
    /// The node of this cache cluster is there.
    pub(crate) fn place(&mut self, cluster: &str, address: SocketAddr) {
        self.places.insert(cluster.to_owned(), address);
    }

    /// The parameter group of every cache bounds a client's output buffer so.
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.limits.insert(PARAMETER_GROUP.to_owned(), bytes.to_string());
    }

    /// A call of boto3, made in this region.
    pub(crate) fn call(&mut self, region: &str, service: &str, method: &str, arguments: Value) {
        self.calls.push(json!([region, null, service, method, arguments]));
    }

    /// The same in the account of a role.
    pub(crate) fn call_as(&mut self, role: &str, region: &str, service: &str, method: &str, arguments: Value) {
        self.calls.push(json!([region, role, service, method, arguments]));
    }

    /// A user who may do this and nothing else.
    pub(crate) fn user(&mut self, policy: Value) {
        self.policies.push(policy);
    }

    fn write(&self, path: &Path) {
        let places = self.places.iter();
        let places: BTreeMap<&String, (String, u16)> = places
            .map(|(cluster, address)| (cluster, (address.ip().to_string(), address.port())))
            .collect();
        let text = json!({ "places": places, "calls": self.calls, "limits": self.limits, "policies": self.policies })
            .to_string();
        // It is read while it is written, so it changes at once.
        let part = path.with_extension("part");
        std::fs::write(&part, text).expect("a temporary folder takes a file");
        std::fs::rename(&part, path).expect("it is moved within its folder");
    }
}

/// A running moto.
pub(crate) struct Moto {
    /// The address of all its services.
    pub url: String,
    /// The access key of each user, in the order of the script.
    pub keys: Vec<(String, String)>,
    _process: Process,
    folder: TempDir,
}

impl Moto {
    /// Starts it, and waits until all calls are made.
    pub(crate) async fn start(script: &Script) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("script.json");
        script.write(&path);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulate_aws.py");
        let arguments = [program, path].map(|path| path.display().to_string());
        let mut process = Process::start("moto", &tool("python"), &arguments, folder.path());
        let listening = async || match process.ended() {
            Some(status) => Ok(Err(format!("{status}\n{}", process.last_words()))),
            None => {
                let said = process.stdout();
                let url = said.lines().find_map(|line| line.strip_prefix("listening "));
                url.map(|url| Ok((url.to_owned(), said.clone()))).ok_or("no address")
            }
        };
        let (url, said) = eventually("moto listens", START_DEADLINE, listening)
            .await
            .unwrap_or_else(|words| panic!("moto ended: {words}"));
        let key = |line: &str| {
            let (id, secret) = line.strip_prefix("key ")?.split_once(' ')?;
            Some((id.to_owned(), secret.to_owned()))
        };
        Self {
            url,
            keys: said.lines().filter_map(key).collect(),
            _process: process,
            folder,
        }
    }

    /// What the script says beyond what it said before happens now.
    pub(crate) fn change(&self, script: &Script) {
        script.write(&self.folder.path().join("script.json"));
    }
}
