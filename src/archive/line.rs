//! From a line as MONITOR printed it to the row that is kept of it.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::analysis::keyspec::{CommandId, Commands, Keys, Walk};
use crate::analysis::line::{Arguments, Line, Source};
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::tally::Upkeep;
use crate::analysis::window::Rejection;

/// What is kept of one line. It borrows from the line what is printed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row<'line> {
    /// Microseconds since the epoch, by the server's clock.
    pub(super) at: i64,
    /// Without the port.
    pub(super) client: Cow<'line, str>,
    pub(super) port: Option<u16>,
    pub(super) command: Command,
    /// The first key, as printed.
    pub(super) key: Option<Key<'line>>,
    /// The arguments after the command and the line itself, if they are to be kept.
    pub(super) texts: Option<Box<(String, String)>>,
}

/// A command's name, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Known(CommandId),
    Other(Arc<str>),
}

impl Command {
    pub(super) fn name(&self, commands: &Commands) -> Arc<str> {
        match self {
            Self::Known(id) => (&*commands.get(*id).name).into(),
            Self::Other(name) => Arc::clone(name),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key<'line> {
    pub(super) text: Cow<'line, str>,
    pub(super) pattern: PatternId,
}

/// No more of a key is kept.
const KEY_MAX: usize = 4096;

/// Reads the lines of one window.
pub(super) struct Reader<'window> {
    pub(super) commands: &'window Commands,
    pub(super) upkeep: &'window Upkeep,
    pub(super) patterns: Normaliser,
    pub(super) with_texts: bool,
    /// Commands by their names as clients spell them.
    spelled: HashMap<Box<[u8]>, CommandId, foldhash::fast::RandomState>,
}

impl<'window> Reader<'window> {
    pub(super) fn new(
        commands: &'window Commands,
        upkeep: &'window Upkeep,
        patterns: Normaliser,
        with_texts: bool,
    ) -> Self {
        Self {
            commands,
            upkeep,
            patterns,
            with_texts,
            spelled: HashMap::default(),
        }
    }

    /// Reads a line, perhaps one whose end was cut off; `None` if it isn't one of MONITOR's, or no load of anybody's.
    pub(super) fn read<'line>(&mut self, raw: &'line [u8]) -> Option<Row<'line>> {
        let line = Line::parse(raw).ok()?;
        let arguments = line.arguments.clone();
        let printed = arguments.clone().next()?.ok()?;
        if self.upkeep.holds(line.printed_source, printed) {
            return None;
        }
        let (client, port) = address(line.printed_source, line.source);
        let command = self.resolve(printed, &arguments);
        let key = command.and_then(|id| first_key(arguments.clone(), &self.commands.get(id).keys));
        let key = key.map(|key| {
            let key = &key[..key.len().min(KEY_MAX)];
            Key {
                text: text(key),
                pattern: self.patterns.classify(key, line.time),
            }
        });
        let texts = self
            .with_texts
            .then(|| Box::new((quoted(arguments.skip(1)), text(trimmed(raw)).into_owned())));
        Some(Row {
            at: i64::try_from(line.time.0).ok()?,
            client,
            port,
            command: match command {
                Some(id) => Command::Known(id),
                None => Command::Other(text(&printed.to_ascii_uppercase()).into()),
            },
            key,
            texts,
        })
    }

    fn resolve(&mut self, printed: &[u8], arguments: &Arguments<'_>) -> Option<CommandId> {
        if let Some(id) = self.spelled.get(printed) {
            return Some(*id);
        }
        let id = self.commands.resolve(arguments.clone().map_while(Result::ok))?;
        // Which command a container's is stands in the next argument.
        if !self.commands.get(id).name.contains('|') && !self.commands.get(id).container {
            self.spelled.insert(printed.into(), id);
        }
        Some(id)
    }
}

fn trimmed(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\r").unwrap_or(raw);
    line.strip_prefix(b"+").unwrap_or(line)
}

/// What stands between the database and `]`, with the port apart.
fn address<'line>(printed: &'line [u8], source: Source<'line>) -> (Cow<'line, str>, Option<u16>) {
    let Source::Client(host) = source else {
        return (text(printed), None);
    };
    let port = printed
        .get(host.len() + 1..)
        .and_then(|port| std::str::from_utf8(port).ok());
    (text(host), port.and_then(|port| port.parse().ok()))
}

fn first_key<'line>(arguments: Arguments<'line>, keys: &Keys) -> Option<&'line [u8]> {
    let mut walk = Walk::new(keys);
    let mut first = None;
    for argument in arguments.map_while(Result::ok).skip(1) {
        walk.argument(
            argument,
            || argument,
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

fn quoted<'line>(arguments: impl Iterator<Item = Result<&'line [u8], Rejection>>) -> String {
    let quoted: Vec<String> = arguments
        .map_while(Result::ok)
        .map(|argument| format!("\"{}\"", text(argument)))
        .collect();
    quoted.join(" ")
}

/// MONITOR prints ASCII; whatever else comes is shown as well as it goes.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::pattern::PatternSettings;

    fn check(line: &str, expected: &str) {
        let (commands, upkeep) = (Commands::builtin(), Upkeep::default());
        let patterns = Normaliser::new(&PatternSettings::default(), 7);
        let mut reader = Reader::new(&commands, &upkeep, patterns, true);
        // The second time, the command's spelling is known.
        assert_eq!(reader.read(line.as_bytes()), reader.read(line.as_bytes()), "{line}");
        let shown = reader.read(line.as_bytes()).map_or("nothing".to_owned(), |row| {
            let key = row
                .key
                .map(|key| format!("{} as {}", key.text, reader.patterns.name(key.pattern)));
            let port = row.port.map_or(String::new(), |port| format!(" port {port}"));
            let args = row.texts.expect("they were asked for").0;
            let command = match &row.command {
                Command::Known(id) => &commands.get(*id).name,
                Command::Other(name) => name,
            };
            format!(
                "{} {}{port}: {command} {} ({args})",
                row.at,
                row.client,
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
