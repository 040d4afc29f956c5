//! The least rights that hotshard needs, ready to be pasted.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::config::{GroupSettings, Members, Settings};
use crate::discovery::elasticache::Access;
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
    for (identity, policy) in policies(settings) {
        let pretty = format!("{policy:#}").replace('\n', "\n  ");
        let _ = writeln!(text, "\nThe least policy in AWS{identity}:\n  {pretty}");
    }
    text
}

/// What AWS must allow whom; nothing where it isn't asked. Whoever assumes a role needs only that, and the role the rest.
fn policies(settings: &Settings) -> Vec<(Identity, Value)> {
    let mut policies: BTreeMap<Identity, Vec<Value>> = BTreeMap::new();
    let mut said: HashSet<(Identity, String)> = HashSet::new();
    let mut allow = |identity: &Identity, actions: Value, resources: Value| {
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
        if said.insert((identity.clone(), statement.to_string())) {
            policies.entry(identity.clone()).or_default().push(statement);
        }
    };
    let by_tags = settings
        .groups
        .iter()
        .filter(|group| is_discovered(group) && !group.tags.is_empty());
    let choosers: HashSet<Identity> = by_tags
        .map(|group| Identity::of(&group.access(&settings.discovery)))
        .collect();
    for group in &settings.groups {
        let (auth, access) = (settings.auth_of(group), group.access(&settings.discovery));
        let identity = Identity::of(&access);
        let arn = |service: &str, resource: &str| arn(&access, service, resource);
        let mut asked = false;
        if is_discovered(group) {
            // These list everything there is: AWS takes no other resource for that.
            allow(&identity, json!(listing(choosers.contains(&identity))), json!("*"));
            asked = true;
        }
        if let Some(user) = &auth.iam_user {
            // ElastiCache keeps ids in lower case. Which kind of cache it is, AWS alone knows.
            let cache = group.id.as_str().to_lowercase();
            let resources = [
                arn("elasticache", &format!("replicationgroup:{cache}")),
                arn("elasticache", &format!("serverlesscache:{cache}")),
                arn("elasticache", &format!("user:{}", user.to_lowercase())),
            ];
            allow(&identity, json!("elasticache:Connect"), json!(resources));
            asked = true;
        }
        if let Some(secret) = &auth.secret {
            let resource = match secret.starts_with("arn:") {
                true => secret.clone(),
                // AWS adds six characters to a secret's name.
                false => arn("secretsmanager", &format!("secret:{secret}-??????")),
            };
            allow(&identity, json!("secretsmanager:GetSecretValue"), json!(resource));
            asked = true;
        }
        if let (Some(role), true) = (&access.role_arn, asked) {
            let assuming = Identity {
                role: None,
                ..identity.clone()
            };
            allow(&assuming, json!("sts:AssumeRole"), json!(role));
        }
    }
    let written = |statements: Vec<Value>| json!({ "Version": "2012-10-17", "Statement": statements });
    policies
        .into_iter()
        .map(|(identity, statements)| (identity, written(statements)))
        .collect()
}

/// Who asks AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    profile: Option<String>,
    role: Option<String>,
}

impl Identity {
    fn of(access: &Access) -> Self {
        Self {
            profile: access.profile.clone(),
            role: access.role_arn.clone(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.role, &self.profile) {
            (Some(role), _) => write!(formatter, " of {role}"),
            (None, Some(profile)) => write!(formatter, " of the profile {profile}"),
            (None, None) => Ok(()),
        }
    }
}

/// Whether AWS is asked for the group's nodes.
fn is_discovered(group: &GroupSettings) -> bool {
    matches!(group.members(), Ok(Members::ElastiCache(_)))
}

/// What it takes to list nodes, and to choose them by their tags.
fn listing(by_tags: bool) -> Vec<&'static str> {
    let mut actions = vec![
        "elasticache:DescribeReplicationGroups",
        "elasticache:DescribeCacheClusters",
        "elasticache:DescribeServerlessCaches",
        "elasticache:DescribeCacheParameters",
    ];
    if by_tags {
        actions.push("elasticache:ListTagsForResource");
    }
    actions
}

/// The ARN of something in the group's region, and in its account as far as a role says which that is.
fn arn(access: &Access, service: &str, resource: &str) -> String {
    let region = access.region.as_deref().unwrap_or("*");
    let mut role = access.role_arn.iter().flat_map(|arn| arn.split(':'));
    let (partition, account) = (role.nth(1), role.nth(2));
    let partition = partition.unwrap_or(match region {
        china if china.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    });
    format!(
        "arn:{partition}:{service}:{region}:{}:{resource}",
        account.unwrap_or("*")
    )
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::config::Sources;

    /// Each identity's actions, and the resources they are allowed on.
    fn check(groups: &str, expected: Expect) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("hotshard.toml");
        std::fs::write(&file, groups).expect("a temporary folder takes a file");
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        let settings = sources.load().expect("it is sound").settings;
        let mut text = String::new();
        for (identity, policy) in policies(&settings) {
            text += &format!("policy{identity}\n");
            for statement in policy["Statement"].as_array().expect("statements") {
                let list = |value: &Value| match value {
                    Value::Array(all) => all.iter().map(|one| one.as_str().expect("a text").to_owned()).collect(),
                    one => vec![one.as_str().expect("a text").to_owned()],
                };
                let (actions, resources): (Vec<String>, Vec<String>) =
                    (list(&statement["Action"]), list(&statement["Resource"]));
                actions
                    .iter()
                    .for_each(|action| resources.iter().for_each(|resource| check_form(action, resource)));
                text += &format!("  {}\n    {}\n", actions.join(" "), resources.join(" "));
            }
        }
        expected.assert_eq(&text);
    }

    /// What AWS's authorization reference says of each action: which kinds of resources it can be allowed on.
    fn check_form(action: &str, resource: &str) {
        let kinds: &[&str] = match action {
            "elasticache:Connect" => &["replicationgroup", "serverlesscache", "user"],
            "secretsmanager:GetSecretValue" => &["secret"],
            "sts:AssumeRole" => &["role"],
            // A list of everything is no question about one thing.
            _ => return assert_eq!(resource, "*", "{action}"),
        };
        let fields: Vec<&str> = resource.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, named] = fields[..] else {
            panic!("{resource} has six fields");
        };
        let kind = named.split([':', '/']).next().unwrap_or_default();
        assert!(kinds.contains(&kind), "{action} on {resource}");
        assert!(["aws", "aws-cn", "aws-us-gov"].contains(&partition), "{resource}");
        let digits = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
        assert!(digits || account == "*", "{resource}");
        match service {
            "iam" => assert_eq!(region, "", "{resource}"),
            _ => assert_eq!(action.split(':').next(), Some(service), "{resource}"),
        }
    }

    #[test]
    fn each_action_is_allowed_on_what_aws_takes_for_it() {
        check(
            r#"
                [discovery]
                region = "eu-west-1"
                [[groups]]
                id = "Orders"
                [groups.auth]
                iam_user = "Watcher"
                [[groups]]
                id = "shop-*"
                region = "us-gov-west-1"
                tags = { team = "shop" }
                [groups.auth]
                secret = "shop/redis"
            "#,
            expect![[r#"
                policy
                  elasticache:DescribeReplicationGroups elasticache:DescribeCacheClusters elasticache:DescribeServerlessCaches elasticache:DescribeCacheParameters elasticache:ListTagsForResource
                    *
                  elasticache:Connect
                    arn:aws:elasticache:eu-west-1:*:replicationgroup:orders arn:aws:elasticache:eu-west-1:*:serverlesscache:orders arn:aws:elasticache:eu-west-1:*:user:watcher
                  secretsmanager:GetSecretValue
                    arn:aws-us-gov:secretsmanager:us-gov-west-1:*:secret:shop/redis-??????
            "#]],
        );
    }

    #[test]
    fn whoever_assumes_a_role_needs_that_alone_and_the_role_the_rest_in_its_own_account() {
        check(
            r#"
                [[groups]]
                id = "payments"
                region = "cn-north-1"
                role_arn = "arn:aws-cn:iam::222222222222:role/watcher"
                [groups.auth]
                iam_user = "watcher"
                [[groups]]
                id = "stock"
                region = "eu-west-1"
                profile = "stock"
                [[groups]]
                id = "near"
                endpoints = ["10.0.0.1:6379"]
            "#,
            expect![[r#"
                policy
                  sts:AssumeRole
                    arn:aws-cn:iam::222222222222:role/watcher
                policy of arn:aws-cn:iam::222222222222:role/watcher
                  elasticache:DescribeReplicationGroups elasticache:DescribeCacheClusters elasticache:DescribeServerlessCaches elasticache:DescribeCacheParameters
                    *
                  elasticache:Connect
                    arn:aws-cn:elasticache:cn-north-1:222222222222:replicationgroup:payments arn:aws-cn:elasticache:cn-north-1:222222222222:serverlesscache:payments arn:aws-cn:elasticache:cn-north-1:222222222222:user:watcher
                policy of the profile stock
                  elasticache:DescribeReplicationGroups elasticache:DescribeCacheClusters elasticache:DescribeServerlessCaches elasticache:DescribeCacheParameters
                    *
            "#]],
        );
    }
}
