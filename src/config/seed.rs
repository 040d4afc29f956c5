//! The `config.yaml` of an earlier tool, answered with the same in TOML.
//!
//! It knows that file's few keys (`cluster.id`, `cluster.region`, `redis.password`, `monitoring.duration`, `output.directory`) and
//! YAML as far as such a file uses it: sections, and keys with plain or quoted values below them.

use std::fmt::Write as _;
use std::path::Path;

use crate::model::written::{parse_duration, show_duration};

/// How often the earlier tool ran a round when nothing was said.
const SCHEDULE: &str = "every 1h";

/// Whether a file is YAML by its name.
pub(super) fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The TOML that says the same; `None` if this isn't a file of that tool. A password is left out: TOML names where it is.
pub(super) fn equivalent(yaml: &str) -> Option<String> {
    let entries = entries(yaml);
    let value = |section: &str, key: &str| {
        let found = entries
            .iter()
            .find(|entry| entry.section == section && entry.key == key)?;
        Some(found.value.as_str()).filter(|value| !value.is_empty())
    };
    let id = value("cluster", "id")?;

    let mut toml = String::from("[[groups]]\n");
    let mut line = |key: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(toml, "{key} = {}", toml_edit::Value::from(value));
    };
    line("id", id);
    if let Some(region) = value("cluster", "region") {
        line("region", region);
    }
    if let Some(password) = value("redis", "password") {
        toml.push_str("\n# The password itself stays outside, in this environment variable.\n[auth]\n");
        let _ = writeln!(toml, "password_env = {}", toml_edit::Value::from(variable(password)));
    }
    let _ = writeln!(toml, "\n[monitor]\nschedule = \"{SCHEDULE}\"");
    if let Some(span) = value("monitoring", "duration").and_then(|text| parse_duration(text).ok()) {
        let _ = writeln!(toml, "window = \"{}\"", show_duration(span));
    }
    if let Some(directory) = value("output", "directory") {
        // A line end in the name would end the comment.
        let directory = directory.escape_debug();
        let _ = writeln!(
            toml,
            "\n# Reports are written by `hotshard monitor --output-dir {directory}`."
        );
    }
    Some(toml)
}

/// `${NAME}` names a variable; anything else is the password itself, which isn't repeated.
fn variable(password: &str) -> &str {
    let named = password.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    named.unwrap_or("REDIS_PASSWORD")
}

struct Entry {
    section: String,
    key: String,
    value: String,
}

fn entries(yaml: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in yaml.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        if key.starts_with([' ', '\t']) {
            let key = key.trim().to_owned();
            entries.push(Entry {
                section: section.clone(),
                key,
                value: plain(value),
            });
        } else {
            section = key.trim().to_owned();
        }
    }
    entries
}

/// A value without its quotes or the comment behind it.
fn plain(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or_default().to_owned();
        }
    }
    value.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(yaml: &str, expected: Expect) {
        expected.assert_eq(&equivalent(yaml).unwrap_or_else(|| "not that tool's".into()));
    }

    #[test]
    fn the_earlier_tools_configuration_is_said_in_toml() {
        check(
            "# mine\ncluster:\n  id: \"orders\"   # the hot one\n  region: ap-south-1\nredis:\n  password: ${ORDERS_TOKEN}\n\
             monitoring:\n  duration: 120 # seconds\noutput:\n  directory: ./reports\n",
            expect![[r#"
                [[groups]]
                id = "orders"
                region = "ap-south-1"

                # The password itself stays outside, in this environment variable.
                [auth]
                password_env = "ORDERS_TOKEN"

                [monitor]
                schedule = "every 1h"
                window = "2m"

                # Reports are written by `hotshard monitor --output-dir ./reports`.
            "#]],
        );
    }

    #[test]
    fn a_password_in_the_earlier_configuration_is_not_repeated() {
        check(
            "cluster:\n  id: orders\nredis:\n  password: 'hunter2'\n",
            expect![[r#"
                [[groups]]
                id = "orders"

                # The password itself stays outside, in this environment variable.
                [auth]
                password_env = "REDIS_PASSWORD"

                [monitor]
                schedule = "every 1h"
            "#]],
        );
    }

    #[test]
    fn other_yaml_is_not_guessed_at() {
        check("web:\n  port: 80\n", expect!["not that tool's"]);
        check("", expect!["not that tool's"]);
    }
}
