//! Messages as somebody reads them who typed flags: the rest of the program names settings.

use crate::cli::found::REGION;

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
    use crate::model::Endpoint;
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
}
