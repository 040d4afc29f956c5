//! Which lines and counts are wanted, as conditions of a statement. It refuses to know how they are asked.

use rusqlite::types::Value;

/// Which lines are wanted; what is `None` is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this session.
    pub session: Option<i64>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this shard.
    pub shard: Option<String>,
    /// Of this command, in any case.
    pub command: Option<String>,
    /// Whose key or pattern is like this: `*` stands for anything; without one, a part of it.
    pub pattern: Option<String>,
    /// No more than so many.
    pub limit: u32,
}

/// Conditions that all must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    conditions: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Chosen {
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.push(value.into());
    }

    pub(super) fn and_text(&mut self, condition: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.and(condition, value.to_owned());
        }
    }

    pub(super) fn conditions(&self) -> String {
        if self.conditions.is_empty() {
            "true".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }
}

/// SQLite's pattern for what people write: `*` alone has a meaning; without one, any part of the text will do.
pub(super) fn glob(pattern: &str) -> String {
    let escaped = pattern.replace('[', "[[]").replace('?', "[?]");
    if pattern.contains('*') {
        escaped
    } else {
        format!("*{escaped}*")
    }
}
