//! The least rights that hotshard needs, ready to be pasted.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{Members, Settings};
use crate::node::rights::{Generation, rule};

/// What is asked for if it may be, and done without if not.
const OPTIONAL: &str = "With +multi +discard hotshard tells from the start whether MONITOR is allowed (node_source), not only after a window.";

/// The ACL rule of these generations, and the IAM policy where AWS is asked.
pub(super) fn describe(settings: &Settings, generations: &[Generation]) -> String {
    let mut text =
        String::from("\nThe least rights of the user on the servers (values are readable to whoever may MONITOR):\n");
    for generation in generations {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {}:\n    {}", generation.name, rule(generation));
    }
    let _ = writeln!(text, "  {OPTIONAL}");
    if let Some(policy) = policy(settings) {
        let pretty = format!("{policy:#}").replace('\n', "\n  ");
        let _ = writeln!(text, "\nThe least policy in AWS:\n  {pretty}");
    }
    text
}

/// What AWS must allow whoever runs hotshard; `None` where it isn't asked.
fn policy(settings: &Settings) -> Option<Value> {
    let mut statements: Vec<Value> = Vec::new();
    let mut said: HashSet<String> = HashSet::new();
    let mut allow = |actions: Value, resources: Value| {
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
        if said.insert(statement.to_string()) {
            statements.push(statement);
        }
    };
    let in_aws = |members| matches!(members, Ok(Members::ElastiCache(_)));
    if settings.groups.iter().any(|group| in_aws(group.members())) {
        let mut actions = vec![
            "elasticache:DescribeReplicationGroups",
            "elasticache:DescribeCacheClusters",
            "elasticache:DescribeServerlessCaches",
            "elasticache:DescribeCacheParameters",
        ];
        if settings.groups.iter().any(|group| !group.tags.is_empty()) {
            actions.push("elasticache:ListTagsForResource");
        }
        allow(json!(actions), json!("*"));
    }
    for group in &settings.groups {
        let (auth, access) = (settings.auth_of(group), group.access(&settings.discovery));
        let region = access.region.as_deref().unwrap_or("*");
        if let Some(user) = &auth.iam_user {
            let arn = |kind: &str, name: &str| format!("arn:aws:elasticache:{region}:*:{kind}:{name}");
            let cache = group.id.as_str();
            // Which kind of cache it is, AWS alone knows.
            let resources = [
                arn("replicationgroup", cache),
                arn("serverlesscache", cache),
                arn("user", user),
            ];
            allow(json!("elasticache:Connect"), json!(resources));
        }
        if let Some(secret) = &auth.secret {
            let arn = match secret.starts_with("arn:") {
                true => secret.clone(),
                // AWS adds six characters to a secret's name.
                false => format!("arn:aws:secretsmanager:{region}:*:secret:{secret}-??????"),
            };
            allow(json!("secretsmanager:GetSecretValue"), json!(arn));
        }
    }
    (!statements.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": statements }))
}
