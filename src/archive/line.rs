//! From a line as MONITOR printed it to the row that is kept of it.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::numbers::Numbers;
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
    /// Its number among the clients.
    pub(super) client: u32,
    pub(super) port: Option<u16>,
    /// Its number among the commands.
    pub(super) command: u32,
    /// The first key.
    pub(super) key: Option<Key<'line>>,
    /// The arguments after the command and the line itself, if they are to be kept.
    pub(super) texts: Option<Box<(String, String)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key<'line> {
    /// As printed.
    pub(super) text: &'line [u8],
    pub(super) pattern: PatternId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Command {
    Known(CommandId),
    /// One that the server doesn't have, in upper case.
    Other(Vec<u8>),
}

/// No more of a key is kept.
const KEY_MAX: usize = 4096;

/// Reads the lines of one window.
#[derive(Debug)]
pub(super) struct Reader<'drawn> {
    table: &'drawn Commands,
    upkeep: &'drawn Upkeep,
    patterns: Normaliser,
    with_texts: bool,
    /// Commands by their names as clients spell them.
    spelled: HashMap<&'drawn [u8], (CommandId, u32), foldhash::fast::RandomState>,
    commands: Numbers<Command>,
    /// Clients without their ports.
    clients: Numbers<&'drawn [u8]>,
}

/// The names that the numbers of rows stand for.
#[derive(Debug)]
pub(super) struct Met<'drawn> {
    /// In upper case.
    pub(super) commands: Vec<Cow<'drawn, str>>,
    pub(super) clients: Vec<Cow<'drawn, str>>,
    pub(super) patterns: Normaliser,
}

impl<'drawn> Reader<'drawn> {
    pub(super) fn new(table: &'drawn Commands, upkeep: &'drawn Upkeep, patterns: Normaliser, with_texts: bool) -> Self {
        Self {
            table,
            upkeep,
            patterns,
            with_texts,
            spelled: HashMap::default(),
            commands: Numbers::default(),
            clients: Numbers::default(),
        }
    }

    /// Reads a line, perhaps one whose end was cut off; `None` if it isn't one of MONITOR's, or no load of anybody's.
    pub(super) fn read(&mut self, raw: &'drawn [u8]) -> Option<Row<'drawn>> {
        let line = Line::parse(raw).ok()?;
        let at = i64::try_from(line.time.0).ok()?;
        let arguments = line.arguments.clone();
        let printed = arguments.clone().next()?.ok()?;
        if self.upkeep.holds(line.printed_source, printed) {
            return None;
        }
        let (host, port) = address(line.printed_source, line.source);
        let (known, command) = self.command(printed, &arguments);
        let key = known.and_then(|id| first_key(arguments.clone(), &self.table.get(id).keys));
        let key = key.map(|(_, key)| {
            let text = &key[..key.len().min(KEY_MAX)];
            let pattern = self.patterns.classify(text, line.time);
            Key { text, pattern }
        });
        let texts = self
            .with_texts
            .then(|| Box::new((quoted(arguments.skip(1)), text(trimmed(raw)).into_owned())));
        Some(Row {
            at,
            client: self.clients.of(host),
            port,
            command,
            key,
            texts,
        })
    }

    /// No more lines.
    pub(super) fn finish(self) -> Met<'drawn> {
        let name = |command| match command {
            Command::Known(id) => Cow::Borrowed(&*self.table.get(id).name),
            Command::Other(name) => Cow::Owned(text(&name).into_owned()),
        };
        Met {
            commands: self.commands.into_names().map(name).collect(),
            clients: self.clients.into_names().map(text).collect(),
            patterns: self.patterns,
        }
    }

    /// Which command it is, and its number.
    fn command(&mut self, printed: &'drawn [u8], arguments: &Arguments<'_>) -> (Option<CommandId>, u32) {
        if let Some((id, number)) = self.spelled.get(printed) {
            return (Some(*id), *number);
        }
        let Some(id) = self.table.resolve(arguments.clone().map_while(Result::ok)) else {
            return (None, self.commands.of(Command::Other(printed.to_ascii_uppercase())));
        };
        let number = self.commands.of(Command::Known(id));
        // Which command a container's is stands in the next argument.
        if !self.table.get(id).name.contains('|') && !self.table.get(id).container {
            self.spelled.insert(printed, (id, number));
        }
        (Some(id), number)
    }
}

fn trimmed(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\r").unwrap_or(raw);
    line.strip_prefix(b"+").unwrap_or(line)
}

/// What stands between the database and `]`, with the port apart.
fn address<'line>(printed: &'line [u8], source: Source<'line>) -> (&'line [u8], Option<u16>) {
    let Source::Client(host) = source else {
        return (printed, None);
    };
    let port = printed
        .get(host.len() + 1..)
        .and_then(|port| std::str::from_utf8(port).ok());
    (host, port.and_then(|port| port.parse().ok()))
}

/// The first key, and which argument it is.
pub(super) fn first_key<'line>(arguments: Arguments<'line>, keys: &Keys) -> Option<(usize, &'line [u8])> {
    let mut arguments = arguments.map_while(Result::ok).enumerate();
    if let Some(place) = keys.first_place() {
        return arguments.nth(place as usize);
    }
    let mut walk = Walk::new(keys);
    let mut first = None;
    for (place, argument) in arguments.skip(1) {
        walk.argument(
            argument,
            || (place, argument),
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
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
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
        let row = reader.read(line.as_bytes());
        let met = reader.finish();
        let shown = row.map_or("nothing".to_owned(), |row| {
            let key = row
                .key
                .map(|key| format!("{} as {}", text(key.text), met.patterns.name(key.pattern)));
            let port = row.port.map_or(String::new(), |port| format!(" port {port}"));
            let args = row.texts.expect("they were asked for").0;
            let (client, command) = (&met.clients[row.client as usize], &met.commands[row.command as usize]);
            let key = key.unwrap_or("-".to_owned());
            format!("{} {client}{port}: {command} {key} ({args})", row.at)
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
