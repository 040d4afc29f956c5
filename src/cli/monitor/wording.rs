//! Messages as somebody reads them who typed flags: the rest of the program names settings.

use crate::cli::found::REGION;
use crate::model::{GroupKey, ShardId};

/// What is said elsewhere, and here; the longer first.
const SAID: [(&str, &str); 13] = [
    ("set tls.enabled = true (--tls)", "add --tls"),
    ("set tls.enabled = false (--no-tls)", "leave out --tls, or add --no-tls"),
    (
        "set monitor.nodes = \"replica-or-primary\" (--use-primary)",
        "add --use-primary",
    ),
    ("set monitor.nodes = \"primary\" (--use-primary)", "add --use-primary"),
    (
        "give rounds more time in monitor.schedule, or shorten monitor.window",
        "shorten --duration",
    ),
    (
        "set auth.password_env or auth.password_file (and auth.username for RBAC)",
        "give it in $REDIS_PASSWORD or by --password-file (and --username for RBAC)",
    ),
    REGION,
    ("set archive.path elsewhere", "name another file by --db-path"),
    ("set archive.path to another file", "name another file by --db-path"),
    ("auth.password_file", "--password-file"),
    ("auth.username", "--username"),
    ("set tls.ca_file to", "give by --tls-ca"),
    ("tls.ca_file", "--tls-ca"),
];

/// A shard by its name, and by its group's where there are several: shards of different groups are mostly called alike.
pub(super) fn named((group, shard): &(GroupKey, ShardId), groups: usize) -> String {
    match groups {
        1 => shard.to_string(),
        _ => format!("{group} {shard}"),
    }
}

/// The text with flags in the place of settings.
pub(super) fn as_typed(text: &str) -> String {
    SAID.iter()
        .fold(text.to_owned(), |text, (setting, flag)| text.replace(setting, flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::elasticache::AwsError;
    use crate::engine::precheck::Refusal;
    use crate::engine::round::Skip;
    use crate::model::{Endpoint, GroupId, Region};
    use crate::node::{LinkError, TapError};

    #[test]
    fn every_message_is_met_as_it_is_written_elsewhere() {
        let node = || Endpoint::new("10.0.0.1", 6379);
        let check = |said: String, flag: &str| {
            let typed = as_typed(&said);
            assert!(typed.contains(flag), "{typed}");
            let settings = ["auth.", "tls.", "monitor.", "discovery."];
            assert!(!settings.iter().any(|room| typed.contains(room)), "{typed}");
        };
        check(LinkError::TlsNeeded(node()).to_string(), "add --tls");
        check(LinkError::NotTls(node()).to_string(), "--no-tls");
        check(LinkError::AuthRequired(node()).to_string(), "--password-file");
        check(AwsError::NoRegion.to_string(), "--region");
        check(Skip::NoReplica.to_string(), "--use-primary");
        check(Skip::ReplicaUnlinked.to_string(), "--use-primary");
        check(Refusal::Unlinked.to_string(), "--use-primary");
        check(TapError::Primary(node()).to_string(), "--use-primary");
        check(Skip::RoundRunning.to_string(), "--duration");
    }

    #[test]
    fn shards_of_several_groups_are_told_apart() {
        let key = |group: &str| {
            let group = GroupKey {
                region: Region::from(""),
                id: GroupId::new(group),
            };
            (group, ShardId::new("0001"))
        };
        assert_eq!(named(&key("orders"), 1), "0001");
        assert_eq!(named(&key("orders"), 2), "orders 0001");
    }
}
