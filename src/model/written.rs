//! Spans and sizes as people write them: `90`, `"2m"`, `"1h30m"`, `"500ms"`; `65536`, `"64MiB"`, `"1.5GB"`.
//!
//! For settings and flags alike: the functions read and show, the modules are for `#[serde(with = …)]`.
//!
//! ```
//! use std::time::Duration;
//! use hotshard::model::written::{parse_duration, parse_size, show_duration};
//!
//! assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
//! assert_eq!(show_duration(Duration::from_secs(90)), "1m30s");
//! assert_eq!(parse_size("64MiB").map(|size| size.0), Ok(64 << 20));
//! ```

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

use super::Bytes;

/// Why a text is neither a span nor a size; the message says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrittenError {
    /// It can't be read as a span.
    #[error("`{0}` is no duration; write seconds, or a text such as \"500ms\", \"15s\", \"2m\" or \"1h30m\"")]
    Duration(String),
    /// It can't be read as a size.
    #[error("`{0}` is no size; write bytes, or a text such as \"64MiB\", \"512KiB\" or \"1MB\"")]
    Size(String),
}

/// A span's units, longest first, in nanoseconds.
const SPANS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A size's units; of two that fit, the earlier is shown.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a span: seconds with or without a fraction, or numbers with units, each unit once and the longest first.
pub fn parse_duration(text: &str) -> Result<Duration, WrittenError> {
    let trimmed = text.trim();
    let read = match trimmed.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => spans(trimmed),
    };
    read.ok_or_else(|| WrittenError::Duration(text.into()))
}

/// Shows a span so that [`parse_duration`] reads the same one.
pub fn show_duration(span: Duration) -> String {
    let mut left = span.as_nanos();
    let mut shown = String::new();
    for (unit, nanoseconds) in SPANS {
        let count = left / nanoseconds;
        left %= nanoseconds;
        if count > 0 {
            shown.push_str(&format!("{count}{unit}"));
        }
    }
    if shown.is_empty() {
        shown.push_str("0s");
    }
    shown
}

/// Reads a size: bytes, or a number with a unit (`MB` is a million bytes, `MiB` is 1024 × 1024).
pub fn parse_size(text: &str) -> Result<Bytes, WrittenError> {
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start();
    let scale = if unit.is_empty() {
        // Half a byte is a slip of the pen.
        (!number.contains('.')).then_some(1)
    } else {
        SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, scale)| *scale)
    };
    scale
        .and_then(|scale| scaled(number, u128::from(scale)))
        .and_then(|bytes| u64::try_from(bytes).ok())
        .map(Bytes)
        .ok_or_else(|| WrittenError::Size(text.into()))
}

/// Shows a size so that [`parse_size`] reads the same one.
pub fn show_size(Bytes(size): Bytes) -> String {
    let fits = |(_, scale): &&(&str, u64)| size != 0 && size.is_multiple_of(*scale);
    let (unit, scale) = SIZES.iter().find(fits).copied().unwrap_or(("B", 1));
    format!("{}{unit}", size / scale)
}

fn spans(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = SPANS.iter();
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        // The iterator only moves on, so a unit neither repeats nor comes after a shorter one.
        let (_, scale) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *scale)?)?;
        rest = after;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok().filter(|_| !text.is_empty())?;
    let nanoseconds = u32::try_from(total % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

/// `number` × `scale` without rounding whole numbers; a fraction is cut to a whole unit of the result.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 18)?;
    let part = fraction.parse::<u128>().ok()?.checked_mul(scale)? / 10_u128.pow(digits);
    whole.checked_add(part)
}

struct Written<Value>(fn(&str) -> Result<Value, WrittenError>, &'static str);

impl<Value> Visitor<'_> for Written<Value> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.1)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        (self.0)(text).map_err(E::custom)
    }
}

fn read<'de, D: Deserializer<'de>, Value>(
    deserializer: D,
    parse: fn(&str) -> Result<Value, WrittenError>,
    wanted: &'static str,
) -> Result<Value, D::Error> {
    deserializer.deserialize_any(Written(parse, wanted))
}

const A_DURATION: &str = "a duration such as 90, \"500ms\" or \"2m\"";
const A_SIZE: &str = "a size such as 65536, \"64MiB\" or \"1MB\"";

/// For `#[serde(with = "written::duration")]` on a [`Duration`].
pub mod duration {
    use super::{A_DURATION, Deserializer, Duration, parse_duration, read, show_duration};

    /// Reads seconds or a text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        read(deserializer, parse_duration, A_DURATION)
    }

    /// Writes the text.
    pub fn serialize<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&show_duration(*span))
    }
}

/// For `#[serde(with = "written::size")]` on [`Bytes`].
pub mod size {
    use super::{A_SIZE, Bytes, Deserializer, parse_size, read, show_size};

    /// Reads bytes or a text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        read(deserializer, parse_size, A_SIZE)
    }

    /// Writes the text.
    pub fn serialize<S: serde::Serializer>(size: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&show_size(*size))
    }
}

/// For `#[serde(with = "written::nonzero_size")]` on a limit that can't be zero bytes.
pub mod nonzero_size {
    use std::num::NonZeroU64;

    use super::{A_SIZE, Bytes, Deserializer, Error, parse_size, read, show_size};

    /// Reads bytes or a text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU64, D::Error> {
        let Bytes(size) = read(deserializer, parse_size, A_SIZE)?;
        NonZeroU64::new(size)
            .ok_or_else(|| D::Error::custom("a limit of 0 bytes would end everything at once; write at least 1"))
    }

    /// Writes the text.
    pub fn serialize<S: serde::Serializer>(size: &NonZeroU64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&show_size(Bytes(size.get())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match (parse_duration(text), parse_size(text)) {
            (Ok(span), Ok(size)) => format!("{span:?} or {} bytes", size.0),
            (Ok(span), Err(_)) => format!("{span:?}"),
            (Err(_), Ok(size)) => format!("{} bytes", size.0),
            (Err(error), Err(_)) => error.to_string(),
        };
        assert_eq!(outcome, expected, "{text}");
    }

    #[test]
    fn spans_and_sizes_read_as_people_write_them() {
        check("90", "90s or 90 bytes");
        check("0.25", "250ms");
        check("15s", "15s");
        check(" 2m ", "120s");
        check("1h30m", "5400s");
        check("1.5h", "5400s");
        check("500ms", "500ms");
        check("30d", "2592000s");
        check("64MiB", "67108864 bytes");
        check("64 mib", "67108864 bytes");
        check("1MB", "1000000 bytes");
        check("1.5kB", "1500 bytes");
    }

    #[test]
    fn what_is_neither_is_refused_with_what_would_be() {
        let refusal = "is no duration; write seconds, or a text such as \"500ms\", \"15s\", \"2m\" or \"1h30m\"";
        for text in [
            "",
            "m",
            "-5",
            "-5s",
            "5x",
            "30m1h",
            "1m1m",
            "1..5s",
            "inf",
            "NaN",
            "1e400",
            "64M",
            "99999999999999TiB",
        ] {
            check(text, &format!("`{text}` {refusal}"));
        }
        assert_eq!(
            parse_size("64M").map_err(|error| error.to_string()),
            Err("`64M` is no size; write bytes, or a text such as \"64MiB\", \"512KiB\" or \"1MB\"".into())
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same(seconds in any::<u64>(), nanoseconds in 0..1_000_000_000_u32, size in any::<u64>(), shift in 0..64_u32) {
            let span = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_duration(&show_duration(span)), Ok(span));
            let size = Bytes(size >> shift << (shift / 2));
            prop_assert_eq!(parse_size(&show_size(size)), Ok(size));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}") {
            check_total(&text);
        }
    }

    fn check_total(text: &str) {
        let _ = (parse_duration(text), parse_size(text));
    }
}
