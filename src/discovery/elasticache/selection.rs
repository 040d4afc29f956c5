//! Which of a region's caches are meant: by id, by glob, by tag. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a cache must be called and carry to be meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Selection {
    /// Its id; `*` stands for any run of characters, `?` for one.
    pub id: String,
    /// Tags it must carry, with these values (globs too).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Selection {
    /// Whether the id may name several caches.
    pub fn is_glob(&self) -> bool {
        self.id.contains(['*', '?'])
    }

    /// Whether a cache of this id is meant, its tags aside.
    pub fn takes_id(&self, id: &str) -> bool {
        // ElastiCache keeps ids in lower case, whatever the user wrote.
        matches(&self.id.to_lowercase(), &id.to_lowercase())
    }

    /// Whether a cache with these tags is meant.
    pub fn takes_tags(&self, tags: &BTreeMap<String, String>) -> bool {
        self.tags
            .iter()
            .all(|(name, wanted)| tags.get(name).is_some_and(|value| matches(wanted, value)))
    }
}

/// Whether `text` is what the glob describes. It goes back to the last star only, so its time is bounded by the product.
pub fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut reached) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while reached < text.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, reached));
                at += 1;
            }
            Some(expected) if *expected == '?' || *expected == text[reached] => {
                at += 1;
                reached += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                reached = taken + 1;
            }
        }
    }
    glob[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(glob: &str, taken: &[&str], left: &[&str]) {
        let selection = Selection {
            id: glob.into(),
            ..Selection::default()
        };
        for id in taken {
            assert!(selection.takes_id(id), "{glob} should take {id}");
        }
        for id in left {
            assert!(!selection.takes_id(id), "{glob} should leave {id}");
        }
    }

    #[test]
    fn caches_are_selected_by_id_and_glob() {
        check("orders", &["orders", "Orders"], &["orders-2", "order"]);
        check("orders-*", &["orders-", "orders-eu"], &["orders"]);
        check(
            "*-prod-*-??",
            &["a-prod-b-01", "-prod--xx"],
            &["a-prod-b-001", "a-prod-01"],
        );
        check("*", &["", "anything"], &[]);
    }

    #[test]
    fn every_tag_must_be_there() {
        let tags = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        let selection = Selection {
            id: "*".into(),
            tags: tags(&[("team", "pay*"), ("env", "prod")]),
        };
        assert!(selection.takes_tags(&tags(&[("env", "prod"), ("team", "payments"), ("x", "")])));
        assert!(!selection.takes_tags(&tags(&[("env", "prod")])));
        assert!(!selection.takes_tags(&tags(&[("env", "test"), ("team", "payments")])));
    }

    proptest! {
        #[test]
        fn a_glob_agrees_with_the_same_regular_expression(glob in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let pattern = format!("^{}$", glob.replace('*', ".*").replace('?', "."));
            let expected = regex::Regex::new(&pattern).expect("made of plain parts").is_match(&text);
            prop_assert_eq!(matches(&glob, &text), expected);
        }
    }
}
