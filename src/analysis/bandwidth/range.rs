//! A range by index as commands take it, negative ones counted from the end.

/// From the first index to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// Where it begins.
    pub first: i64,
    /// Where it ends.
    pub last: i64,
}

impl Range {
    /// All there is.
    pub const ALL: Self = Self { first: 0, last: -1 };

    /// From two arguments.
    pub fn read(first: &[u8], last: &[u8]) -> Option<Self> {
        Some(Self {
            first: number(first)?,
            last: number(last)?,
        })
    }

    /// The indexes it means in a collection of so many elements: the first, and how many.
    pub fn resolve(self, count: u64) -> (u64, u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let from_start = |index: i64| if index < 0 { index.saturating_add(count) } else { index };
        let first = from_start(self.first).max(0);
        let last = from_start(self.last).min(count - 1);
        if first > last {
            return (0, 0);
        }
        (first as u64, (last - first) as u64 + 1)
    }
}

/// A number as commands take it.
pub(super) fn number(argument: &[u8]) -> Option<i64> {
    std::str::from_utf8(argument).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, count: u64, expected: (u64, u64)) {
        let (first, last) = range.split_once(' ').expect("two indexes");
        let range = Range::read(first.as_bytes(), last.as_bytes()).expect("two numbers");
        assert_eq!(range.resolve(count), expected, "{range:?} of {count}");
    }

    #[test]
    fn a_range_is_resolved_as_the_server_does() {
        check("0 -1", 10, (0, 10));
        check("0 9", 100, (0, 10));
        check("0 99", 10, (0, 10));
        check("-3 -1", 10, (7, 3));
        check("-30 -1", 10, (0, 10));
        check("5 2", 10, (0, 0));
        check("10 20", 10, (0, 0));
        check("0 -11", 10, (0, 0));
        check("0 -1", 0, (0, 0));
        check("2 2", 3, (2, 1));
    }
}
