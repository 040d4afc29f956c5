//! The user's own patterns: a regular expression and the name of what it matches. They come before everything else.

use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

/// The longest name a rule may give.
const NAME_MAX: usize = 200;

/// Remembered answers; a power of two.
const CACHE: usize = 4096;

/// Longer keys are matched anew each time.
const CACHED_KEY_MAX: usize = 128;

/// A pattern of the user's: keys that `match` finds itself in are called `name`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "RawRule", into = "RawRule")]
pub struct Rule {
    expression: String,
    name: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    r#match: String,
    name: String,
}

/// Why a rule can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The expression isn't one.
    #[error("pattern rule `{name}`: `{expression}` is no regular expression: {reason}; mend `match`")]
    Expression {
        /// The rule.
        name: String,
        /// Its `match`.
        expression: String,
        /// What the expression lacks.
        reason: String,
    },
    /// The name can't be a label.
    #[error(
        "the pattern rule that matches `{0}` has no usable name; give it a `name` of 1 to {NAME_MAX} printable characters"
    )]
    Name(String),
}

impl Rule {
    /// A rule, if its expression and its name can be used.
    pub fn new(expression: impl Into<String>, name: impl Into<String>) -> Result<Self, RuleError> {
        let (expression, name) = (expression.into(), name.into());
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(RuleError::Name(expression));
        }
        if let Err(error) = compile([&expression]) {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it compiles too large".into(),
                // The message is many lines with a drawing; its last line says what is wrong.
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .into(),
            };
            return Err(RuleError::Expression {
                name,
                expression,
                reason,
            });
        }
        Ok(Self { expression, name })
    }

    /// What the keys it matches are called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TryFrom<RawRule> for Rule {
    type Error = RuleError;

    fn try_from(raw: RawRule) -> Result<Self, RuleError> {
        Self::new(raw.r#match, raw.name)
    }
}

impl From<Rule> for RawRule {
    fn from(rule: Rule) -> Self {
        Self {
            r#match: rule.expression,
            name: rule.name,
        }
    }
}

fn compile<'a>(expressions: impl IntoIterator<Item = &'a String>) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(expressions)
        .unicode(false)
        .size_limit(4 << 20)
        .build()
}

/// All rules, behind a cache of answers that is bounded and forgets by overwriting.
#[derive(Debug)]
pub(super) struct Rules {
    set: RegexSet,
    names: Vec<String>,
    cache: Vec<Option<Answer>>,
}

/// A key and the rule that matches it, if one does.
#[derive(Clone, Debug)]
struct Answer {
    key: Box<[u8]>,
    rule: Option<usize>,
}

impl Rules {
    pub(super) fn new(rules: &[Rule]) -> Option<Self> {
        (!rules.is_empty()).then(|| Self {
            set: compile(rules.iter().map(|rule| &rule.expression))
                .expect("each rule was compiled when it was made, within the limit"),
            names: rules.iter().map(|rule| rule.name.clone()).collect(),
            cache: vec![None; CACHE],
        })
    }

    /// The first rule that matches `key`, whose `hash` chooses the place in the cache. A rule's name, read as a key, is its own pattern.
    pub(super) fn find(&mut self, key: &[u8], hash: u64) -> Option<usize> {
        let place = hash as usize & (CACHE - 1);
        if let Some(known) = &self.cache[place]
            && *known.key == *key
        {
            return known.rule;
        }
        let rule = self
            .names
            .iter()
            .position(|name| name.as_bytes() == key)
            .or_else(|| self.set.matches(key).iter().next());
        if key.len() <= CACHED_KEY_MAX {
            self.cache[place] = Some(Answer { key: key.into(), rule });
        }
        rule
    }
}
