//! A node's own word on its role: the answer to ROLE.

use redis::Value;

use super::answers::{items, number, text};
use crate::analysis::info::Reading;
use crate::model::{Endpoint, Role};

/// What ROLE answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleAnswer {
    /// The node takes the writes.
    Primary {
        /// How far its replication stream is.
        offset: u64,
        /// Who follows it, and how far each has confirmed. By the word of ROLE that leaves out whoever still copies everything.
        replicas: Vec<(Endpoint, u64)>,
    },
    /// The node follows a primary.
    Replica {
        /// Whom it follows; the host may be a name.
        primary: Endpoint,
        /// Whether the stream from the primary flows.
        linked: bool,
        /// How far it has read.
        offset: u64,
    },
}

impl RoleAnswer {
    /// Reads the answer; `None` for a sentinel's or any other shape.
    pub fn parse(answer: &Value) -> Option<Self> {
        match items(answer)? {
            [kind, offset, replicas, ..] if text(kind)? == "master" => Some(Self::Primary {
                offset: number(offset).unwrap_or(0),
                replicas: items(replicas)?.iter().map(follower).collect::<Option<_>>()?,
            }),
            [kind, host, port, state, offset, ..] if text(kind)? == "slave" => Some(Self::Replica {
                primary: Endpoint::new(text(host)?, u16::try_from(number(port)?).ok()?),
                linked: text(state)? == "connected",
                offset: number(offset).unwrap_or(0),
            }),
            _ => None,
        }
    }

    /// What INFO's section `replication` says of it, for servers that keep ROLE from us. Without a word there it takes the writes.
    pub fn of_info(info: &str) -> Self {
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim_end)
        };
        let offset = |name| field(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        if field("role") != Some("slave") {
            let attached = Reading::parse(info).replication.replicas.into_iter();
            return Self::Primary {
                offset: offset("master_repl_offset"),
                replicas: attached.map(|replica| (replica.endpoint, replica.offset)).collect(),
            };
        }
        let port = field("master_port").and_then(|text| text.parse().ok());
        Self::Replica {
            primary: Endpoint::new(field("master_host").unwrap_or_default(), port.unwrap_or(0)),
            linked: field("master_link_status") == Some("up"),
            offset: offset("slave_repl_offset"),
        }
    }

    /// The same, with the replicas that another answer of the node has besides.
    pub fn with_replicas_of(mut self, other: Self) -> Self {
        if let (Self::Primary { replicas, .. }, Self::Primary { replicas: others, .. }) = (&mut self, other) {
            for (endpoint, offset) in others {
                if replicas.iter().all(|(known, _)| *known != endpoint) {
                    replicas.push((endpoint, offset));
                }
            }
        }
        self
    }

    /// The role alone.
    pub fn role(&self) -> Role {
        match self {
            Self::Primary { .. } => Role::Primary,
            Self::Replica { .. } => Role::Replica,
        }
    }
}

fn follower(entry: &Value) -> Option<(Endpoint, u64)> {
    let [host, port, offset, ..] = items(entry)? else {
        return None;
    };
    let endpoint = Endpoint::new(text(host)?, u16::try_from(number(port)?).ok()?);
    Some((endpoint, number(offset).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discovery::answers::tests::value;

    fn check(answer: &serde_json::Value, expected: &str) {
        assert_eq!(shown(RoleAnswer::parse(&value(answer))), expected);
    }

    fn shown(role: Option<RoleAnswer>) -> String {
        match role {
            Some(RoleAnswer::Primary { offset, replicas }) => {
                let replicas: Vec<String> = replicas.iter().map(|(at, offset)| format!("{at}@{offset}")).collect();
                format!("primary @{offset} of [{}]", replicas.join(" "))
            }
            Some(RoleAnswer::Replica {
                primary,
                linked,
                offset,
            }) => format!("replica of {primary} @{offset} linked {linked}"),
            None => "nothing".into(),
        }
    }

    #[test]
    fn info_knows_of_replicas_that_role_leaves_out() {
        let info = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    slave0:ip=10.0.0.2,port=9002,state=online,offset=40,lag=0\r\n\
                    slave1:ip=10.0.0.3,port=9003,state=wait_bgsave,offset=0,lag=0\r\nmaster_repl_offset:42\r\n";
        let told = RoleAnswer::of_info(info);
        let primary = "primary @42 of [10.0.0.2:9002@40 10.0.0.3:9003@0]";
        assert_eq!(shown(Some(told.clone())), primary);
        let role = RoleAnswer::parse(&value(&json!(["master", 41, [["10.0.0.2", "9002", "39"]]])));
        let both = role.map(|role| role.with_replicas_of(told.clone()));
        assert_eq!(shown(both), "primary @41 of [10.0.0.2:9002@39 10.0.0.3:9003@0]");
        // It has become a replica since.
        let role = RoleAnswer::parse(&value(&json!(["slave", "10.0.0.2", 9002, "connected", 43])));
        let both = role.map(|role| role.with_replicas_of(told));
        assert_eq!(shown(both), "replica of 10.0.0.2:9002 @43 linked true");
    }

    #[test]
    fn role_says_who_follows_whom_and_how_far() {
        check(
            &json!([
                "master",
                3129659,
                [["127.0.0.1", "9001", "3129242"], ["fd00::2", "9002", "3129543"]]
            ]),
            "primary @3129659 of [127.0.0.1:9001@3129242 [fd00::2]:9002@3129543]",
        );
        check(&json!(["master", 0, []]), "primary @0 of []");
        check(
            &json!(["slave", "orders-001.example", 9000, "connected", 3167038]),
            "replica of orders-001.example:9000 @3167038 linked true",
        );
        // A replica that hasn't synchronised yet has no offset.
        check(
            &json!(["slave", "127.0.0.1", 9000, "connect", -1]),
            "replica of 127.0.0.1:9000 @0 linked false",
        );
        check(&json!(["sentinel", ["orders"]]), "nothing");
        check(&json!("OK"), "nothing");
    }
}
