//! A line of MONITOR without what it says beyond its command and its keys.
//!
//! Pure: a line in, a line out that reads the same to whoever looks for commands and keys, unless a veil names keys otherwise.

use std::borrow::Cow;

use super::line::first_key;
use crate::analysis::keyspec::{Commands, Walk};
use crate::analysis::line::{Head, Line};
use crate::analysis::pattern::Normaliser;
use crate::analysis::veil::KeyNames;
use crate::model::Timestamp;

/// What stands for an argument that isn't a key.
const ELIDED: &[u8] = b"?";

/// The line in redis-cli's form with its command and its keys; `None` if it isn't one of MONITOR's. What was cut off at its end is left out.
pub(super) fn elide(raw: &[u8], commands: &Commands, names: &mut Normaliser) -> Option<Vec<u8>> {
    with_arguments(raw, |line, arguments| {
        let shown = shown(arguments, commands);
        let text = |(place, argument)| match shown[place] {
            Shown::Not => ELIDED.into(),
            Shown::Command => Cow::Borrowed(argument),
            Shown::Key => key(argument, line.time, names),
        };
        arguments.iter().copied().enumerate().map(text).collect()
    })
}

/// All that is needed of a line to say later what it did to which key first: its arguments up to that key, and how many follow.
pub(super) fn without_values(raw: &[u8], commands: &Commands) -> Option<Vec<u8>> {
    with_arguments(raw, |line, arguments| {
        let command = commands.resolve(arguments.iter().copied()).map(|id| commands.get(id));
        let key = command.and_then(|command| first_key(line.arguments.clone(), &command.keys));
        // Which command a container's is stands in the argument after it.
        let is_part = command.is_some_and(|command| command.name.contains('|'));
        let last = key.map_or(usize::from(is_part), |(place, _)| place);
        let text = |(place, argument)| match place <= last {
            true => Cow::Borrowed(argument),
            false => ELIDED.into(),
        };
        arguments.iter().copied().enumerate().map(text).collect()
    })
}

/// The line with other arguments; `None` if it isn't one of MONITOR's, or has none.
fn with_arguments<'raw>(
    raw: &'raw [u8],
    change: impl FnOnce(&Line<'raw>, &[&'raw [u8]]) -> Vec<Cow<'raw, [u8]>>,
) -> Option<Vec<u8>> {
    let line = Line::parse(raw).ok()?;
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let raw = raw.strip_prefix(b"+").unwrap_or(raw);
    let head = Head::read(raw, 0, raw.len()).ok()?;
    let arguments: Vec<&[u8]> = line.arguments.clone().map_while(Result::ok).collect();
    if arguments.is_empty() {
        return None;
    }
    let mut changed = raw[..head.command - 1].to_vec();
    for (place, argument) in change(&line, &arguments).iter().enumerate() {
        if place > 0 {
            changed.push(b' ');
        }
        changed.push(b'"');
        changed.extend_from_slice(argument);
        changed.push(b'"');
    }
    Some(changed)
}

/// What an argument is, and so whether it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Not,
    Command,
    Key,
}

fn key<'line>(key: &'line [u8], time: Timestamp, names: &mut Normaliser) -> Cow<'line, [u8]> {
    if names.veil().names() == KeyNames::Plain {
        return key.into();
    }
    let pattern = names.classify(key, time);
    let text = String::from_utf8_lossy(key);
    names.kept_key(&text, pattern).into_owned().into_bytes().into()
}

/// Which arguments are the command, its subcommand, or keys. Of a command nobody knows, that is its name alone.
fn shown(arguments: &[&[u8]], commands: &Commands) -> Vec<Shown> {
    let mut shown = vec![Shown::Not; arguments.len()];
    if let Some(name) = shown.first_mut() {
        *name = Shown::Command;
    }
    let Some(id) = commands.resolve(arguments.iter().copied()) else {
        return shown;
    };
    let command = commands.get(id);
    if command.name.contains('|')
        && let Some(subcommand) = shown.get_mut(1)
    {
        *subcommand = Shown::Command;
    }
    let mut walk = Walk::new(&command.keys);
    for (place, argument) in arguments.iter().enumerate().skip(1) {
        walk.argument(argument, || place, |key| shown[key] = Shown::Key);
    }
    walk.end(|key| shown[key] = Shown::Key);
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::Reader;
    use super::*;
    use crate::analysis::pattern::PatternSettings;
    use crate::analysis::tally::Upkeep;
    use crate::analysis::veil::Veil;

    fn names(names: KeyNames) -> Normaliser {
        Normaliser::new(&PatternSettings::default(), 7).veiled(Veil::new(names, b"one"))
    }

    #[test]
    fn a_veiled_key_is_hashed_or_its_pattern() {
        let line = br#"1795202082.056681 [0 10.0.0.9:1] "MSET" "user:1234" "v" "alice" "w""#;
        let veiled = |how| {
            let line = elide(line, &Commands::builtin(), &mut names(how));
            String::from_utf8(line.expect("it is MONITOR's")).expect("it is text")
        };
        assert!(veiled(KeyNames::Patterns).ends_with(r#""MSET" "user:{ID}" "?" "{KEY}" "?""#));
        let hashed = veiled(KeyNames::Hash);
        assert!(
            !hashed.contains("1234\"") && !hashed.contains("alice") && hashed.contains("\"#"),
            "{hashed}"
        );
    }

    fn check(arguments: &str, expected: &str) {
        let line = |arguments: &str| format!("1795202082.056681 [0 10.0.0.9:35656] {arguments}");
        let elided = elide(
            format!("+{}\r", line(arguments)).as_bytes(),
            &Commands::builtin(),
            &mut names(KeyNames::Plain),
        );
        let elided = elided.map(|line| String::from_utf8(line).expect("it is text"));
        assert_eq!(elided, Some(line(expected)), "{arguments}");
    }

    #[test]
    fn a_line_keeps_its_command_and_its_keys() {
        check(r#""get" "user:1""#, r#""get" "user:1""#);
        check(r#""SET" "a" "secret" "EX" "60""#, r#""SET" "a" "?" "?" "?""#);
        check(r#""MSET" "a" "s" "b" "s""#, r#""MSET" "a" "?" "b" "?""#);
        check(r#""EVAL" "return 1" "1" "a" "s""#, r#""EVAL" "?" "?" "a" "?""#);
        check(r#""XREAD" "STREAMS" "a" "b" "0" "0""#, r#""XREAD" "?" "a" "b" "?" "?""#);
        check(r#""object" "encoding" "a""#, r#""object" "encoding" "a""#);
        check(r#""PING""#, r#""PING""#);
    }

    #[test]
    fn of_a_command_nobody_knows_only_its_name_is_kept() {
        check(r#""MYMODULE.SET" "a" "s""#, r#""MYMODULE.SET" "?" "?""#);
    }

    #[test]
    fn what_was_cut_off_is_left_out() {
        check(r#""SET" "a\"b" "secr"#, r#""SET" "a\"b""#);
    }

    #[test]
    fn what_is_not_monitors_is_nothing() {
        for line in ["-ERR secret", "OK", ""] {
            assert_eq!(
                elide(line.as_bytes(), &Commands::builtin(), &mut names(KeyNames::Plain)),
                None,
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_line_without_values_is_kept_as_the_line_would_be(
            command in "get|SET|mset|EVAL|object|XREAD|XREADGROUP|SORT|MIGRATE|ZUNION|BLPOP|BITOP|LMPOP|PING|nothing|[ -~]{0,3}",
            arguments in proptest::collection::vec("STREAMS|KEYS|STORE|GROUP|encoding|[0-3]|[ -~]{0,9}", 0..8),
            source in "10\\.0\\.0\\.9:35656|lua|\\[::1\\]:7|unix:/a b\\]|[ -~]{0,9}",
            end in "\r|",
            cut in 0..40_usize,
        ) {
            let mut line = format!("1795202082.056681 [0 {source}]");
            for argument in std::iter::once(&command).chain(&arguments) {
                line += &format!(" \"{}\"", argument.replace('\\', "\\\\").replace('"', "\\\""));
            }
            line.truncate(line.len().saturating_sub(cut));
            line += &end;
            if let Some(bare) = without_values(line.as_bytes(), &Commands::builtin()) {
                let (commands, upkeep) = (Commands::builtin(), Upkeep::default());
                let reader = || Reader::new(&commands, &upkeep, names(KeyNames::Plain), false);
                prop_assert_eq!(reader().read(&bare), reader().read(line.as_bytes()), "{}", String::from_utf8_lossy(&bare));
            }
        }
    }
}
