//! Names of keys as people may see them: as they are, as a keyed hash, or not at all.
//!
//! A tally works with keys as servers print them; whatever of them leaves it for people goes through here first. Commands, clients,
//! slots and the parts of a pattern that many keys share stay readable. It refuses to know where the secret comes from.
//!
//! ```
//! use hotshard::analysis::veil::{KeyNames, Veil};
//!
//! let veil = Veil::new(KeyNames::Hash, b"a secret of this installation");
//! let key = veil.key("user:1001:cart", "user:{ID}:cart");
//! assert!(key.starts_with('#') && key.len() == 17);
//! ```

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter, Write};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::pattern::has_variable;

/// How keys are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyNames {
    /// As they are.
    #[default]
    Plain,
    /// By a keyed hash, the same for the same key as long as the secret stays.
    Hash,
    /// By their pattern and a mark that tells them apart until the process ends; kept lines have the pattern alone.
    Patterns,
}

/// What stands between keys and people.
#[derive(Clone, Default)]
pub struct Veil {
    names: KeyNames,
    secret: Arc<[u8]>,
}

/// Bytes of a hash that are shown, of which keys of one archive share none by chance.
const HASH_BYTES: usize = 8;

/// Bytes of a mark that tells keys of one window apart.
const MARK_BYTES: usize = 4;

/// What a pattern is called that is a single key's whole name.
const WHOLE: &str = "{KEY}";

impl Veil {
    /// Names keys so; `secret` must be nobody else's, unless they are named as they are.
    pub fn new(names: KeyNames, secret: &[u8]) -> Self {
        Self {
            names,
            secret: secret.into(),
        }
    }

    /// How keys are named.
    pub fn names(&self) -> KeyNames {
        self.names
    }

    /// A key whose pattern is called so.
    pub fn key(&self, key: &str, pattern: &str) -> Arc<str> {
        match self.names {
            KeyNames::Plain => key.into(),
            KeyNames::Hash => self.hashed(key, HASH_BYTES).into(),
            KeyNames::Patterns => format!("{pattern}{}", self.hashed(key, MARK_BYTES)).into(),
        }
    }

    /// A key on a line that is kept: nothing that could tell two keys of one pattern apart unless they are hashed for good.
    pub fn kept_key<'key>(&self, key: &'key str, pattern: &'key str) -> Cow<'key, str> {
        match self.names {
            KeyNames::Plain => key.into(),
            KeyNames::Hash => self.hashed(key, HASH_BYTES).into(),
            KeyNames::Patterns => pattern.into(),
        }
    }

    /// A hash tag, without its braces.
    pub fn tag<'tag>(&self, tag: &'tag str) -> Cow<'tag, str> {
        match self.names {
            KeyNames::Plain => tag.into(),
            KeyNames::Hash => self.hashed(tag, HASH_BYTES).into(),
            KeyNames::Patterns => self.hashed(tag, MARK_BYTES).into(),
        }
    }

    /// A pattern that was found, not given by the user: one without anything variable is the name of a key.
    pub fn pattern<'pattern>(&self, pattern: &'pattern str) -> Cow<'pattern, str> {
        match self.names {
            KeyNames::Plain => pattern.into(),
            _ if has_variable(pattern) => pattern.into(),
            KeyNames::Hash => self.hashed(pattern, HASH_BYTES).into(),
            KeyNames::Patterns => WHOLE.into(),
        }
    }

    fn hashed(&self, text: &str, bytes: usize) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key may have any length");
        mac.update(text.as_bytes());
        let mut shown = String::with_capacity(1 + 2 * bytes);
        shown.push('#');
        for byte in mac.finalize().into_bytes().iter().take(bytes) {
            write!(shown, "{byte:02x}").expect("a text takes everything");
        }
        shown
    }
}

impl Debug for Veil {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Veil")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_for_the_same_key_and_secret_alone() {
        let (one, other) = (Veil::new(KeyNames::Hash, b"one"), Veil::new(KeyNames::Hash, b"other"));
        let named = one.key("user:alice", "user:{VAR}");
        assert_eq!(named, one.key("user:alice", "another pattern"));
        assert_eq!(*named, *one.kept_key("user:alice", "-"));
        assert_ne!(named, one.key("user:bob", "user:{VAR}"));
        assert_ne!(named, other.key("user:alice", "user:{VAR}"));
        // HMAC-SHA-256 of "user:alice" under "one", as `openssl dgst -sha256 -hmac one` gives it.
        assert_eq!(&*named, "#efcccedcc22a038e");
    }

    #[test]
    fn what_is_a_keys_whole_name_is_no_pattern() {
        let check = |names, pattern, expected: &str| {
            let shown = Veil::new(names, b"one").pattern(pattern).into_owned();
            let shown = if shown.starts_with('#') {
                "hashed".to_owned()
            } else {
                shown
            };
            assert_eq!(shown, expected, "{pattern}");
        };
        check(KeyNames::Plain, "vip:alice", "vip:alice");
        check(KeyNames::Hash, "vip:alice", "hashed");
        check(KeyNames::Patterns, "vip:alice", "{KEY}");
        check(KeyNames::Hash, "{alice}:cart", "hashed");
        check(KeyNames::Patterns, "vip:{VAR}", "vip:{VAR}");
        check(KeyNames::Hash, "{{ID}}:cart", "{{ID}}:cart");
    }

    #[test]
    fn under_patterns_alone_a_line_shows_no_key_and_a_window_tells_keys_apart() {
        let veil = Veil::new(KeyNames::Patterns, b"one");
        assert_eq!(veil.kept_key("user:1", "user:{ID}"), "user:{ID}");
        let (one, two) = (veil.key("user:1", "user:{ID}"), veil.key("user:2", "user:{ID}"));
        assert!(
            one.starts_with("user:{ID}#") && one != two && one.len() == 18,
            "{one} {two}"
        );
    }

    #[test]
    fn a_secret_is_not_told() {
        assert!(!format!("{:?}", Veil::new(KeyNames::Hash, b"one")).contains("111"));
    }
}
