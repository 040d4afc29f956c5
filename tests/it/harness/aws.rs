//! A stub of ElastiCache's API on loopback: answers what it is told to, in the XML that AWS speaks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The region of everything in these tests.
pub(crate) const REGION: &str = "eu-west-1";

/// What lets the SDK sign its requests; the stub takes any signature.
pub(crate) const VARIABLES: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "planted-secret-key"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// The parameter group of every cache.
pub(crate) const PARAMETER_GROUP: &str = "careful-redis7";

/// One member of a shard.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: String,
    pub address: Option<SocketAddr>,
    /// What AWS says of its role; with cluster mode it says nothing.
    pub role: Option<&'static str>,
}

/// Whether clients speak to a group as to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Disabled,
    /// On the way from the one to the other: either kind of client is answered.
    Compatible,
    Enabled,
}

/// One replication group as AWS would describe it.
#[derive(Clone, Debug)]
pub(crate) struct ReplicationGroup {
    pub id: String,
    pub mode: Mode,
    pub tls: bool,
    pub shards: Vec<(String, Vec<Member>)>,
}

/// What one action is answered with.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    body: String,
}

#[derive(Debug, Default)]
struct State {
    replies: BTreeMap<String, Reply>,
    calls: BTreeMap<String, usize>,
}

/// A running stub.
#[derive(Debug)]
pub(crate) struct Aws {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Aws {
    /// Starts with nothing in the account.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        let aws = Self { address, state, task };
        aws.hold(&[]);
        aws.answer(
            "DescribeServerlessCaches",
            &result("DescribeServerlessCaches", "<ServerlessCaches/>"),
        );
        aws
    }

    /// The account has these replication groups.
    pub(crate) fn hold(&self, groups: &[ReplicationGroup]) {
        let described: String = groups.iter().map(group_xml).collect();
        let clusters: String = groups.iter().map(clusters_xml).collect();
        let (groups, members) = ("DescribeReplicationGroups", "DescribeCacheClusters");
        self.answer(
            groups,
            &result(groups, &format!("<ReplicationGroups>{described}</ReplicationGroups>")),
        );
        self.answer(
            members,
            &result(members, &format!("<CacheClusters>{clusters}</CacheClusters>")),
        );
    }

    /// This action is answered so.
    pub(crate) fn answer(&self, action: &str, body: &str) {
        self.reply(action, 200, body);
    }

    /// This action is refused with AWS's code.
    pub(crate) fn refuse(&self, action: &str, code: &str) {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>planted message</Message></Error></ErrorResponse>"
        );
        self.reply(action, 400, &body);
    }

    /// Parameter groups have this value, and no others.
    pub(crate) fn parameter(&self, name: &str, value: &str) {
        let action = "DescribeCacheParameters";
        let parameter = format!("<ParameterName>{name}</ParameterName><ParameterValue>{value}</ParameterValue>");
        self.answer(
            action,
            &result(
                action,
                &format!("<Parameters><Parameter>{parameter}</Parameter></Parameters>"),
            ),
        );
    }

    /// Secrets Manager's answer to one version of a secret; `None` where there is no such version.
    pub(crate) fn secret(&self, stage: &str, text: Option<&str>) {
        match text {
            Some(text) => self.answer(stage, &serde_json::json!({ "SecretString": text }).to_string()),
            None => self.reply(
                stage,
                400,
                r#"{"__type":"ResourceNotFoundException","message":"no such version"}"#,
            ),
        }
    }

    /// How often this action was asked for.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.state
            .lock()
            .expect("no holder panics")
            .calls
            .get(action)
            .copied()
            .unwrap_or(0)
    }

    fn reply(&self, action: &str, status: u16, body: &str) {
        let reply = Reply {
            status,
            body: body.to_owned(),
        };
        self.state
            .lock()
            .expect("no holder panics")
            .replies
            .insert(action.to_owned(), reply);
    }
}

/// A result of an action, wrapped as AWS does.
pub(crate) fn result(action: &str, inner: &str) -> String {
    format!("<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>")
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut bytes = Vec::new();
    while let Some(request) = request(&mut stream, &mut bytes).await {
        let action = action(&request);
        let reply = {
            let mut state = state.lock().expect("no holder panics");
            *state.calls.entry(action.clone()).or_default() += 1;
            state.replies.get(&action).cloned()
        };
        let reply = reply.unwrap_or(Reply {
            status: 400,
            body: String::new(),
        });
        let answer = format!(
            "HTTP/1.1 {} x\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{}",
            reply.status,
            reply.body.len(),
            reply.body
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What is asked for: by a form (ElastiCache), or of a secret's version by JSON (Secrets Manager).
fn action(request: &str) -> String {
    let form = request.split('&').find_map(|pair| pair.strip_prefix("Action="));
    if let Some(action) = form {
        return action.to_owned();
    }
    let asked: serde_json::Value = serde_json::from_str(request).unwrap_or_default();
    asked["VersionStage"].as_str().unwrap_or_default().to_owned()
}

/// The body of the next request; `None` when the client is gone.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= head + 4 + length {
                let body = String::from_utf8_lossy(&bytes[head + 4..head + 4 + length]).into_owned();
                bytes.drain(..head + 4 + length);
                return Some(body);
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn group_xml(group: &ReplicationGroup) -> String {
    let ReplicationGroup { id, mode, tls, shards } = group;
    let (enabled, word) = (*mode == Mode::Enabled, format!("{mode:?}").to_lowercase());
    let mut text = format!(
        "<ReplicationGroup><ReplicationGroupId>{id}</ReplicationGroupId><Status>available</Status><Engine>redis</Engine>\
         <ClusterEnabled>{enabled}</ClusterEnabled><ClusterMode>{word}</ClusterMode><TransitEncryptionEnabled>{tls}</TransitEncryptionEnabled>\
         <ARN>arn:aws:elasticache:{REGION}:1:replicationgroup:{id}</ARN><NodeGroups>"
    );
    for (shard, members) in shards {
        let _ = write!(text, "<NodeGroup><NodeGroupId>{shard}</NodeGroupId><NodeGroupMembers>");
        for member in members {
            let _ = write!(
                text,
                "<NodeGroupMember><CacheClusterId>{}</CacheClusterId><CacheNodeId>0001</CacheNodeId>\
                 <PreferredAvailabilityZone>{REGION}a</PreferredAvailabilityZone>",
                member.id
            );
            if let (Some(role), Some(address)) = (member.role, member.address) {
                let _ = write!(
                    text,
                    "<CurrentRole>{role}</CurrentRole>{}",
                    endpoint_xml("ReadEndpoint", address)
                );
            }
            text.push_str("</NodeGroupMember>");
        }
        text.push_str("</NodeGroupMembers></NodeGroup>");
    }
    text.push_str("</NodeGroups><MemberClusters>");
    for member in shards.iter().flat_map(|(_, members)| members) {
        let _ = write!(text, "<ClusterId>{}</ClusterId>", member.id);
    }
    text + "</MemberClusters></ReplicationGroup>"
}

fn clusters_xml(group: &ReplicationGroup) -> String {
    let mut text = String::new();
    for member in group.shards.iter().flat_map(|(_, members)| members) {
        let endpoint = member
            .address
            .map(|address| endpoint_xml("Endpoint", address))
            .unwrap_or_default();
        let _ = write!(
            text,
            "<CacheCluster><CacheClusterId>{}</CacheClusterId><ReplicationGroupId>{}</ReplicationGroupId><Engine>redis</Engine>\
             <CacheNodeType>cache.r7g.large</CacheNodeType>\
             <CacheParameterGroup><CacheParameterGroupName>{PARAMETER_GROUP}</CacheParameterGroupName></CacheParameterGroup><CacheNodes><CacheNode><CacheNodeId>0001</CacheNodeId>{endpoint}\
             </CacheNode></CacheNodes></CacheCluster>",
            member.id, group.id
        );
    }
    text
}

/// An endpoint under this name.
pub(crate) fn endpoint_xml(name: &str, address: SocketAddr) -> String {
    format!(
        "<{name}><Address>{}</Address><Port>{}</Port></{name}>",
        address.ip(),
        address.port()
    )
}
