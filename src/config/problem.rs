//! What is wrong with a configuration, where it stands, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};

/// Everything that is wrong; one problem a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// At least one, in the order of the layers.
    pub problems: Vec<Problem>,
    /// A whole file that would do instead.
    pub instead: Option<String>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
            instead: None,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and the cure.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Nowhere => formatter.write_str(&self.text),
            place => write!(formatter, "{place}: {}", self.text),
        }
    }
}

/// Where a setting was written; problems are told in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, at this line if it is known.
    File(PathBuf, Option<usize>),
    /// In this environment variable.
    Variable(String),
    /// As this flag.
    Flag(String),
    /// Nowhere: it is missing, or it is a default.
    Nowhere,
}

impl Place {
    /// A line of a file.
    pub fn line(path: &Path, line: Option<usize>) -> Self {
        Self::File(path.to_owned(), line)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, Some(line)) => write!(formatter, "{}:{line}", path.display()),
            Self::File(path, None) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag(name) => write!(formatter, "--{name}"),
            Self::Nowhere => formatter.write_str("default"),
        }
    }
}

/// The known name that someone who wrote `name` most likely meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.replace('-', "_").to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether a setting's value may be a secret that someone put in the wrong place; such a value is never shown.
pub(super) fn is_private(path: &str) -> bool {
    const PRIVATE: [&str; 6] = ["auth", "password", "secret", "token", "username", "credential"];
    PRIVATE.iter().any(|word| path.contains(word))
}

/// A sentence for why the value at `path` was refused.
pub(super) fn refusal(path: &str, kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            format!("{path} is {}; write {}", described(path, found), plain(wanted))
        }
        Kind::UnknownVariant(found, known) => {
            let known_names = known.join(", ");
            let hint = nearest(found, known.iter().copied())
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            match is_private(path) {
                true => format!("{path} is none of {known_names}"),
                false => format!("{path} is `{found}`, which is none of {known_names}{hint}"),
            }
        }
        Kind::MissingField(field) => format!("{path}.{field} is missing; add it"),
        // What a module's own reader says may repeat the value.
        Kind::Message(_) if is_private(path) => format!("{path} can't be used as it is written"),
        Kind::Message(message) => format!("{path}: {message}"),
        other => format!("{path}: {other}"),
    }
}

fn described(path: &str, found: &Actual) -> String {
    match found {
        Actual::Str(_) | Actual::Char(_) if is_private(path) => "a text".into(),
        Actual::Str(text) => format!("the text \"{text}\""),
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) if is_private(path) => "a number".into(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// serde's words for a type, as a user would say them.
fn plain(wanted: &str) -> &str {
    match wanted {
        "a string" | "string" | "a borrowed string" | "path string" => "a text in quotes",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a nonzero u16" | "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number from 1",
        "f32" | "f64" => "a number",
        "a sequence" => "a list in [ ]",
        "a map" => "a table",
        structure if structure.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["listen_address", "external_url", "interval"];
        assert_eq!(nearest("listen_addres", known), Some("listen_address"));
        assert_eq!(nearest("Listen-Address", known), Some("listen_address"));
        assert_eq!(nearest("intreval", known), Some("interval"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn a_private_value_is_never_repeated() {
        for kind in [
            Kind::InvalidType(Actual::Str("hunter2".into()), "u64".into()),
            Kind::InvalidValue(Actual::Unsigned(4711), "a string".into()),
            Kind::UnknownVariant("hunter2".into(), &["a", "b"]),
            Kind::Message("`hunter2` is no name".into()),
        ] {
            let text = refusal("auth.password_env", &kind);
            assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
        }
    }
}
