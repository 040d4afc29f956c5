//! What was learned of keys, as text that can be kept and taken over.

use serde::{Deserialize, Serialize};

use super::{Normaliser, PatternSettings};

/// The segments that were learned: kept over restarts, and shared between windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Learned(pub(super) Vec<String>);

/// No more than this part of a window's segments are known beforehand; the rest is for what is new.
const SHARE: usize = 4;

impl Learned {
    /// From a list as [`Learned::segments`] gives it.
    pub fn new(segments: impl IntoIterator<Item = String>) -> Self {
        Self(segments.into_iter().collect())
    }

    /// Each as the pattern up to it: `user:{VAR}` where the key ends there, `user:{VAR}:` where it goes on.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Both in one, sorted, with how many segments found no room: what is known must leave windows room to learn.
    #[must_use]
    pub fn joined(&self, other: &Self, settings: &PatternSettings) -> (Self, usize) {
        let room = PatternSettings {
            rules: Vec::new(),
            learn_after: settings.learn_after,
            segments_max: settings.segments_max / SHARE,
        };
        // Nothing is found by its hash here.
        let mut all = Normaliser::new(&room, 0);
        let left_out = all.learn(self) + all.learn(other);
        let Self(mut segments) = all.learned();
        segments.sort_unstable();
        (Self(segments), left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &[&str], other: &[&str], segments_max: usize, expected: (&[&str], usize)) {
        let learned = |segments: &[&str]| Learned::new(segments.iter().map(|segment| (*segment).to_owned()));
        let settings = PatternSettings {
            segments_max,
            ..PatternSettings::default()
        };
        let (joined, left_out) = learned(one).joined(&learned(other), &settings);
        assert_eq!(
            (joined, left_out),
            (learned(expected.0), expected.1),
            "{one:?} {other:?}"
        );
    }

    #[test]
    fn what_was_learned_apart_is_one() {
        check(
            &["user:{VAR}"],
            &["cart:{VAR}:"],
            4096,
            (&["cart:{VAR}:", "user:{VAR}"], 0),
        );
        // A name under which something was learned before the names themselves were is none any more.
        let nested = ["name:alice:{VAR}"];
        check(
            &nested,
            &["name:{VAR}:"],
            4096,
            (&["name:{VAR}:", "name:{VAR}:{VAR}"], 0),
        );
        check(
            &["name:{VAR}:"],
            &nested,
            4096,
            (&["name:{VAR}:", "name:{VAR}:{VAR}"], 0),
        );
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_counted() {
        let many: Vec<String> = (0..100).map(|number| format!("kind{number:03}x:{{VAR}}")).collect();
        let (joined, left_out) = Learned::new(many).joined(
            &Learned::default(),
            &PatternSettings {
                segments_max: 256,
                ..PatternSettings::default()
            },
        );
        assert!(left_out > 0 && joined.segments().len() + left_out >= 100, "{left_out}");
    }
}
