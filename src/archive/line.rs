//! From a line as MONITOR printed it to the row that is kept of it.

use std::sync::Arc;

use crate::analysis::keyspec::{Commands, Walk};
use crate::analysis::line::{Head, Line, Source};
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::tally::Upkeep;

/// What is kept of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Microseconds since the epoch, by the server's clock.
    pub(super) at: i64,
    /// Without the port.
    pub(super) client: String,
    pub(super) port: Option<u16>,
    /// In upper case.
    pub(super) command: Arc<str>,
    /// The first key, as printed.
    pub(super) key: Option<Key>,
    /// The arguments after the command and the line itself, if they are to be kept.
    pub(super) texts: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) pattern: PatternId,
}

/// No more of a key is kept.
const KEY_MAX: usize = 4096;

impl Row {
    /// Reads a line, perhaps one whose end was cut off; `None` if it isn't one of MONITOR's, or no load of anybody's.
    pub(super) fn read(
        raw: &[u8],
        commands: &Commands,
        upkeep: &Upkeep,
        patterns: &mut Normaliser,
        with_texts: bool,
    ) -> Option<Self> {
        let line = Line::parse(raw).ok()?;
        let trimmed = trimmed(raw);
        let source = Head::read(trimmed, 0, trimmed.len()).ok()?.source;
        let arguments: Vec<&[u8]> = line.arguments.map_while(Result::ok).collect();
        if upkeep.holds(&trimmed[source.clone()], arguments.first()?) {
            return None;
        }
        let (client, port) = address(&trimmed[source]);
        let command = name(&arguments, commands)?;
        let key = first_key(&arguments, commands).map(|key| {
            let key = &key[..key.len().min(KEY_MAX)];
            Key {
                text: text(key),
                pattern: patterns.classify(key, line.time),
            }
        });
        let texts = with_texts.then(|| (quoted(&arguments[1..]), text(trimmed)));
        Some(Self {
            at: i64::try_from(line.time.0).ok()?,
            client,
            port,
            command,
            key,
            texts,
        })
    }
}

fn trimmed(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\r").unwrap_or(raw);
    line.strip_prefix(b"+").unwrap_or(line)
}

/// What stands between the database and `]`, with the port apart.
fn address(source: &[u8]) -> (String, Option<u16>) {
    let Source::Client(host) = Source::parse(source) else {
        return (text(source), None);
    };
    let port = source
        .get(host.len() + 1..)
        .and_then(|port| std::str::from_utf8(port).ok());
    (text(host), port.and_then(|port| port.parse().ok()))
}

fn name(arguments: &[&[u8]], commands: &Commands) -> Option<Arc<str>> {
    match commands.resolve(arguments.iter().copied()) {
        Some(id) => Some(Arc::clone(&commands.get(id).name)),
        None => Some(text(&arguments.first()?.to_ascii_uppercase()).into()),
    }
}

fn first_key<'line>(arguments: &[&'line [u8]], commands: &Commands) -> Option<&'line [u8]> {
    let id = commands.resolve(arguments.iter().copied())?;
    let mut walk = Walk::new(&commands.get(id).keys);
    let mut first = None;
    for argument in arguments.iter().skip(1) {
        walk.argument(
            argument,
            || *argument,
            |key| {
                first.get_or_insert(key);
            },
        );
        if first.is_some() || walk.is_over() {
            return first;
        }
    }
    walk.end(|key| {
        first.get_or_insert(key);
    });
    first
}

fn quoted(arguments: &[&[u8]]) -> String {
    let quoted: Vec<String> = arguments
        .iter()
        .map(|argument| format!("\"{}\"", text(argument)))
        .collect();
    quoted.join(" ")
}

/// MONITOR prints ASCII; whatever else comes is shown as well as it goes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::pattern::PatternSettings;

    fn check(line: &str, expected: &str) {
        let mut patterns = Normaliser::new(&PatternSettings::default(), 7);
        let row = Row::read(
            line.as_bytes(),
            &Commands::builtin(),
            &Upkeep::default(),
            &mut patterns,
            true,
        );
        let shown = row.map_or("nothing".to_owned(), |row| {
            let key = row
                .key
                .map(|key| format!("{} as {}", key.text, patterns.name(key.pattern)));
            let port = row.port.map_or(String::new(), |port| format!(" port {port}"));
            let args = row.texts.expect("they were asked for").0;
            format!(
                "{} {}{port}: {} {} ({args})",
                row.at,
                row.client,
                row.command,
                key.unwrap_or("-".to_owned())
            )
        });
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn a_line_becomes_a_row() {
        check(
            r#"+1795202082.056681 [0 10.0.0.9:35656] "get" "user:1001""#,
            r#"1795202082056681 10.0.0.9 port 35656: GET user:1001 as user:{ID} ("user:1001")"#,
        );
        check(
            r#"1795202082.056681 [0 [::1]:35656] "config" "get" "*""#,
            r#"1795202082056681 [::1] port 35656: CONFIG|GET - ("get" "*")"#,
        );
        check(
            r#"1795202082.056681 [0 lua] "eval2" "a\"b""#,
            r#"1795202082056681 lua: EVAL2 - ("a\"b")"#,
        );
        check(
            r#"1795202082.056681 [0 unix:/run/redis.sock] "xread" "STREAMS" "orders" "bills" "0" "0""#,
            r#"1795202082056681 unix:/run/redis.sock: XREAD orders as orders ("STREAMS" "orders" "bills" "0" "0")"#,
        );
    }

    #[test]
    fn a_line_that_was_cut_keeps_what_it_has() {
        check(
            r#"1795202082.056681 [0 10.0.0.9:1] "SET" "hot" "val"#,
            r#"1795202082056681 10.0.0.9 port 1: SET hot as hot ("hot")"#,
        );
        check("-ERR no", "nothing");
    }
}
