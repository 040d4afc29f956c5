//! The least rights that hotshard needs, ready to be pasted.

use std::fmt::Write as _;

use crate::config::{Members, Settings};

/// What every version understands.
const BASIC: &str = "resetchannels -@all +monitor +info +role +ping +hello +auth +select +readonly +command +client|id +client|list \
                     +client|kill +client|setname +cluster|slots +memory|usage +type +strlen +hlen +hstrlen +llen +scard +zcard +xlen \
                     +lindex +zcount +object|encoding +object|freq";

/// What came later. A server refuses a whole rule for one command that it doesn't know.
const LATER: [(&str, &str); 4] = [
    ("6.2", " +hrandfield +srandmember +zrandmember"),
    ("7.0", " +cluster|shards"),
    ("7.2", " +client|no-touch +cluster|myshardid"),
    ("8.0", " +cluster|slot-stats"),
];

/// What only Valkey has.
const VALKEY: (&str, &str) = ("8.1", " +commandlog|get");

/// What is asked for if it may be, and done without if not.
const OPTIONAL: &str = "With +multi +discard hotshard tells from the start whether MONITOR is allowed (node_source), not only after a window.";

/// The ACL rule for each version, and the IAM policy where AWS is asked.
pub(super) fn describe(settings: &Settings) -> String {
    let mut text =
        String::from("\nThe least rights of the user on the servers (values are readable to whoever may MONITOR):\n");
    // Writing to a String can't fail.
    let _ = rules(&mut text);
    let actions = actions(settings);
    if !actions.is_empty() {
        let _ = policy(&mut text, &actions);
    }
    text
}

fn rules(text: &mut String) -> std::fmt::Result {
    let versions = [
        ("Redis 6.0", "6.0", false),
        ("Redis 6.2", "6.2", false),
        ("Redis 7.0, 7.1", "7.0", false),
        ("Redis 7.2 to 8.0, Valkey 7.2", "7.2", false),
        ("Redis 8.2 and later", "8.2", false),
        ("Valkey 8.0", "8.0", true),
        ("Valkey 8.1 and later", "8.1", true),
    ];
    for (name, version, valkey) in versions {
        writeln!(text, "  {name}:\n    {}", rule(version, valkey))?;
    }
    writeln!(text, "  {OPTIONAL}")
}

fn rule(version: &str, valkey: bool) -> String {
    // Key permissions tell reading from writing since 7.0.
    let keys = if version >= "7.0" { "%R~*" } else { "~*" };
    let mut text = format!("on {keys} {BASIC}");
    for (since, commands) in LATER {
        if version >= since {
            text.push_str(commands);
        }
    }
    if valkey && version >= VALKEY.0 {
        text.push_str(VALKEY.1);
    }
    text
}

fn actions(settings: &Settings) -> Vec<&'static str> {
    let mut actions = Vec::new();
    let in_aws = |members| matches!(members, Ok(Members::ElastiCache(_)));
    if settings.groups.iter().any(|group| in_aws(group.members())) {
        actions.extend([
            "elasticache:DescribeReplicationGroups",
            "elasticache:DescribeCacheClusters",
            "elasticache:DescribeServerlessCaches",
        ]);
    }
    if settings.groups.iter().any(|group| !group.tags.is_empty()) {
        actions.push("elasticache:ListTagsForResource");
    }
    let auths = || settings.groups.iter().map(|group| settings.auth_of(group));
    if auths().any(|auth| auth.iam_user.is_some()) {
        actions.push("elasticache:Connect");
    }
    if auths().any(|auth| auth.secret.is_some()) {
        actions.push("secretsmanager:GetSecretValue");
    }
    actions
}

fn policy(text: &mut String, actions: &[&str]) -> std::fmt::Result {
    let shown: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    writeln!(text, "\nThe least policy in AWS:")?;
    writeln!(
        text,
        "  {{ \"Version\": \"2012-10-17\", \"Statement\": [{{ \"Effect\": \"Allow\", \"Resource\": \"*\", \"Action\": [\n    {}\n  ] }}] }}",
        shown.join(",\n    ")
    )?;
    if actions.contains(&"elasticache:Connect") {
        writeln!(
            text,
            "  elasticache:Connect may be narrowed to the ARNs of the cache and of the user; it needs both."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: &str, valkey: bool, has: &[&str], lacks: &[&str]) {
        let rule = rule(version, valkey);
        for right in has {
            assert!(rule.split(' ').any(|word| word == *right), "{rule} lacks {right}");
        }
        for right in lacks {
            assert!(!rule.split(' ').any(|word| word == *right), "{rule} has {right}");
        }
    }

    #[test]
    fn a_rule_holds_only_what_its_version_knows() {
        check("6.0", false, &["~*", "+monitor"], &["+hrandfield", "+cluster|shards"]);
        check(
            "7.0",
            false,
            &["%R~*", "+cluster|shards"],
            &["+cluster|slot-stats", "+client|no-touch"],
        );
        check("8.2", false, &["+cluster|slot-stats"], &["+commandlog|get"]);
        check("8.1", true, &["+commandlog|get", "+cluster|slot-stats"], &["~*"]);
    }
}
