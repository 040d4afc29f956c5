//! Numbers and names as people read them.

use crate::analysis::bandwidth::Probing;
use crate::analysis::report::BytesOut;
use crate::analysis::status::Status;
use crate::model::Bytes;

/// `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `14.2k`: three digits that tell, and a unit.
pub(super) fn short(figure: f64) -> String {
    let (value, unit) = match figure.abs() {
        size if size >= 999_500_000.0 => (figure / 1e9, "G"),
        size if size >= 999_500.0 => (figure / 1e6, "M"),
        size if size >= 999.5 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let decimals = match value.abs() {
        size if size >= 99.95 || (unit.is_empty() && figure.fract() == 0.0) => 0,
        _ => 1,
    };
    format!("{value:.decimals$}{unit}")
}

/// `14.2k/s`, or a dash where there is no rate.
pub(super) fn rate(per_second: Option<f64>) -> String {
    per_second.map_or_else(dash, |rate| format!("{}/s", short(rate)))
}

/// `61.2%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `+107%` or `−40%`.
pub(super) fn deviation(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| {
        let sign = if ratio < 0.0 { '−' } else { '+' };
        format!("{sign}{:.0}%", ratio.abs() * 100.0)
    })
}

/// `3.1×`.
pub(super) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| format!("{ratio:.1}×"))
}

/// `0.4 s`, `60 s`, `2 min 5 s`, `3 h 0 min`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        short if short < 10.0 => format!("{short:.1} s"),
        short if short < 120.0 => format!("{short:.0} s"),
        medium if medium < 7200.0 => format!("{:.0} min {:.0} s", (medium / 60.0).floor(), (medium % 60.0).floor()),
        long => format!(
            "{:.0} h {:.0} min",
            (long / 3600.0).floor(),
            (long % 3600.0 / 60.0).floor()
        ),
    }
}

/// The text in lines of at most so many characters, broken between words; a word that is longer is cut.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = fitted(word, width);
        let line = lines.last_mut().expect("there is a line from the start");
        let used = line.chars().count();
        if used == 0 {
            line.push_str(&word);
        } else if used + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

/// `1 shard`, `2 shards`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(count))
}

/// `2026-11-21 00:00:00` from RFC 3339.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

pub(super) fn dash() -> String {
    "–".into()
}

/// The word for a status.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::VeryHot => "very hot",
        Status::Hot => "hot",
        Status::Normal => "normal",
        Status::Cold => "cold",
        Status::Idle => "idle",
        Status::Unknown => "unknown",
    }
}

/// A name without anything a terminal would obey.
pub(super) fn harmless(name: &str) -> String {
    if !name.chars().any(is_harmful) {
        return name.into();
    }
    let escape = |letter: char| {
        if is_harmful(letter) {
            letter.escape_unicode().to_string()
        } else {
            letter.to_string()
        }
    };
    name.chars().map(escape).collect()
}

/// Control characters, and marks that turn the reading direction around.
fn is_harmful(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most so many characters; what is left out of a longer name is its middle.
pub(super) fn fitted(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.into();
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 3;
    let head: String = name.chars().take(kept - tail).collect();
    let tail: String = name.chars().skip(length - tail).collect();
    format!("{head}…{tail}")
}

/// How many bytes went out, and how far the estimate is to be trusted.
pub(super) fn output(bytes_out: &BytesOut) -> String {
    let measured = match (bytes_out.measured, bytes_out.error_ratio) {
        (Some(measured), Some(error)) => format!(
            "{} sent to clients by the node's own counter, {} by the estimate ({})",
            Bytes(measured),
            Bytes(bytes_out.estimated),
            deviation(Some(error))
        ),
        _ => format!("{} sent to clients, estimated", Bytes(bytes_out.estimated)),
    };
    let named: Vec<&str> = bytes_out
        .not_estimable
        .iter()
        .take(3)
        .map(|part| &*part.command)
        .collect();
    let said = match bytes_out.sizes {
        Probing::Untouched => measured,
        Probing::Rough => format!(
            "{measured}, roughly: before 7.2 the server can't be asked for sizes without using the keys, so strings are known by their \
             memory and collections not at all (bandwidth.touch = true asks)"
        ),
        Probing::Touched => format!("{measured}; asking for sizes counted as a use of the keys that were asked about"),
    };
    if named.is_empty() {
        return said;
    }
    let share: f64 = bytes_out.not_estimable.iter().map(|part| part.share).sum();
    format!(
        "{said}; {} of the commands can't be estimated: {}",
        percent(share.min(1.0)),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let shown = [0.0, 7.0, 7.25, 99.96, 999.6, 14_230.0, 1_500_000.0].map(short);
        assert_eq!(shown, ["0", "7", "7.2", "100", "1.0k", "14.2k", "1.5M"]);
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(
            [deviation(Some(1.07)), deviation(Some(-0.4)), deviation(None)],
            ["+107%", "−40%", "–"]
        );
        assert_eq!(
            [span(0.41), span(60.0), span(125.0), span(10_800.0)],
            ["0.4 s", "60 s", "2 min 5 s", "3 h 0 min"]
        );
    }

    #[test]
    fn a_long_name_loses_its_middle_and_a_terminal_obeys_none() {
        assert_eq!(fitted("user:{ID}:profile:settings", 16), "user:{ID}:…tings");
        assert_eq!(harmless("a\u{1b}[31m"), "a\\u{1b}[31m");
    }
}
