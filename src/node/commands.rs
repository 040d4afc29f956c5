//! The commands that servers know beyond the table: modules, newer ones. COMMAND is asked once for each kind of server.
//!
//! The answer is some hundred kilobytes, so the tables are shared: servers of one version that know as many commands know the same.
//! It refuses to know what is made of the commands.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use redis::Value;
use tracing::info;

use super::LinkError;
use super::link::Link;
use super::raw::Command;
use crate::analysis::info::Engine;
use crate::analysis::keyspec::{Begin, Commands, Find, ServerCommand, Spec};
use crate::discovery::answers::{entry, items, number, text};

/// No command has its keys further on; a server that says so is not believed.
const PLACE_MAX: u32 = 1024;

/// The tables of all kinds of servers that are watched. Clones are the same tables.
#[derive(Clone, Debug, Default)]
pub struct CommandTables(Arc<Mutex<HashMap<Kind, Known>>>);

/// Servers of one kind know the same commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    engine: String,
    commands: u64,
}

#[derive(Debug)]
enum Known {
    /// Somebody asks at this moment.
    Asked,
    /// The table, as long as a node has it.
    Table(Weak<Commands>),
}

/// The one who asks. If nothing comes of it, the next one does.
struct Claim<'a> {
    tables: &'a CommandTables,
    kind: Kind,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut tables = self.tables.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Known::Asked) = tables.get(&self.kind) {
            tables.remove(&self.kind);
        }
    }
}

/// What the tables say about a kind of server.
enum Sought<'a> {
    Found(Arc<Commands>),
    /// Somebody else asks.
    Awaited,
    Ours(Claim<'a>),
}

impl CommandTables {
    /// What the server behind `link` knows; `None` while another asks a server of its kind, whom nobody waits for. A server that doesn't
    /// tell knows what the table says.
    pub async fn of(&self, link: &Link, engine: Option<&Engine>) -> Result<Option<Arc<Commands>>, LinkError> {
        let Some(commands) = allowed(count(link).await)? else {
            return Ok(Some(Commands::builtin()));
        };
        let engine = engine.map(ToString::to_string).unwrap_or_default();
        let claim = match self.seek(Kind { engine, commands }) {
            Sought::Found(commands) => return Ok(Some(commands)),
            Sought::Awaited => return Ok(None),
            Sought::Ours(claim) => claim,
        };
        let Some(told) = allowed(ask(link).await)? else {
            return Ok(Some(Commands::builtin()));
        };
        let commands = Commands::of_server(&told);
        let beyond = commands.all().len() - Commands::builtin().all().len();
        info!(
            engine = claim.kind.engine,
            commands = claim.kind.commands,
            beyond,
            "commands of a kind of server"
        );
        self.learn(&claim.kind, &commands);
        Ok(Some(commands))
    }

    fn seek(&self, kind: Kind) -> Sought<'_> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tables.entry(kind.clone()) {
            Entry::Occupied(known) if matches!(known.get(), Known::Asked) => return Sought::Awaited,
            Entry::Occupied(mut known) => {
                if let Known::Table(table) = known.get()
                    && let Some(commands) = table.upgrade()
                {
                    return Sought::Found(commands);
                }
                known.insert(Known::Asked);
            }
            Entry::Vacant(place) => {
                place.insert(Known::Asked);
            }
        }
        Sought::Ours(Claim { tables: self, kind })
    }

    fn learn(&self, kind: &Kind, commands: &Arc<Commands>) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|_, known| !matches!(known, Known::Table(table) if table.strong_count() == 0));
        tables.insert(kind.clone(), Known::Table(Arc::downgrade(commands)));
    }
}

/// Every command the server knows, as it says.
pub async fn ask(link: &Link) -> Result<Vec<ServerCommand>, LinkError> {
    const NAME: &str = "COMMAND";
    let answer = link.ask(Command::new(NAME)).await?;
    let commands = items(&answer).map(|commands| commands.iter().filter_map(command).collect());
    commands.ok_or_else(|| link.unexpected(NAME, &answer))
}

async fn count(link: &Link) -> Result<u64, LinkError> {
    const NAME: &str = "COMMAND|COUNT";
    let answer = link.ask(Command::new(NAME)).await?;
    number(&answer).ok_or_else(|| link.unexpected(NAME, &answer))
}

/// `None` where the server doesn't let us ask.
fn allowed<Answer>(answer: Result<Answer, LinkError>) -> Result<Option<Answer>, LinkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(LinkError::Rejected { .. } | LinkError::NoPermission { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `[name, arity, [flag …], first key, last key, step, [category …], [tip …], [specification …], [subcommand …]]`: six of them in 5.0,
/// seven in 6.0, all from 7.0 on.
fn command(answer: &Value) -> Option<ServerCommand> {
    let [name, _arity, flags, first, last, step, more @ ..] = items(answer)? else {
        return None;
    };
    let list = |place: usize| more.get(place).and_then(items).unwrap_or_default();
    let specs = list(2);
    // The older form of the same doesn't tell keys from what only falls into a slot like one.
    let has_keys = specs.is_empty() || specs.iter().any(is_key);
    Some(ServerCommand {
        name: text(name)?.to_owned(),
        flags: items(flags)?.iter().filter_map(text).map(str::to_owned).collect(),
        first_key: if has_keys { place(first)? } else { 0 },
        last_key: place(last)?,
        step: place(step)?,
        specs: specs.iter().filter_map(spec).collect(),
        subcommands: list(3).iter().filter_map(command).collect(),
    })
}

/// `[flags, […], begin_search, [type, …, spec, […]], find_keys, [type, …, spec, […]]]`; `None` for what isn't a key, and for what the
/// server itself calls unknown.
fn spec(answer: &Value) -> Option<Spec> {
    is_key(answer).then_some(Spec {
        begin: begin(entry(answer, "begin_search")?)?,
        find: find(entry(answer, "find_keys")?)?,
    })
}

/// A sharded channel falls into a slot like a key, but isn't one; neither is a cursor.
fn is_key(spec: &Value) -> bool {
    let flags = entry(spec, "flags").and_then(items).unwrap_or_default();
    !flags
        .iter()
        .filter_map(text)
        .any(|flag| flag.eq_ignore_ascii_case("not_key"))
}

fn begin(answer: &Value) -> Option<Begin> {
    let spec = entry(answer, "spec")?;
    match text(entry(answer, "type")?)? {
        "index" => Some(Begin::Index(count_of(spec, "index")?)),
        "keyword" => Some(Begin::Keyword {
            word: text(entry(spec, "keyword")?)?.to_ascii_uppercase().into_bytes().into(),
            // Below zero it is looked for from the end, which a stream doesn't know; only MIGRATE does so, and it is read by code.
            from: count_of(spec, "startfrom")?,
        }),
        _ => None,
    }
}

fn find(answer: &Value) -> Option<Find> {
    let spec = entry(answer, "spec")?;
    match text(entry(answer, "type")?)? {
        "range" => Some(Find::Range {
            last: i32::try_from(place(entry(spec, "lastkey")?)?).ok()?,
            step: count_of(spec, "keystep").filter(|step| *step > 0)?,
            limit: count_of(spec, "limit")?,
        }),
        "keynum" => Some(Find::Count {
            count: count_of(spec, "keynumidx")?,
            first: count_of(spec, "firstkey")?,
            step: count_of(spec, "keystep").filter(|step| *step > 0)?,
        }),
        _ => None,
    }
}

fn count_of(spec: &Value, name: &str) -> Option<u32> {
    u32::try_from(place(entry(spec, name)?)?).ok()
}

/// A place among a command's arguments, from the end if below zero.
fn place(value: &Value) -> Option<i64> {
    match value {
        Value::Int(place) => Some(*place).filter(|place| place.unsigned_abs() <= u64::from(PLACE_MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discovery::answers::tests::value;

    /// The keys of a call by the table of a server that answers so; what the command does stands before them.
    fn check(answer: &serde_json::Value, call: &str, expected: &str) {
        let told: Vec<ServerCommand> = items(&value(answer))
            .expect("a list")
            .iter()
            .filter_map(command)
            .collect();
        let commands = Commands::of_server(&told);
        let known = commands
            .resolve(call.split(' ').map(str::as_bytes))
            .map(|id| commands.get(id));
        let does = match known {
            None => "unknown",
            Some(command) if command.reads => "reads",
            Some(command) if command.writes => "writes",
            Some(_) => "neither",
        };
        let keys = commands.keys(call.split(' ')).into_iter();
        let keys: Vec<String> = keys.map(|key| String::from_utf8(key).expect("ASCII")).collect();
        assert_eq!(format!("{does} {}", keys.join(" ")).trim_end(), expected, "{call}");
    }

    /// As a server of 6.2 answers, and a module in any version: no specifications.
    #[test]
    fn a_module_command_says_where_its_keys_are() {
        let answer = json!([
            ["BF.MEXISTS", -3, ["readonly", "fast"], 1, 1, 1, []],
            ["json.mget", -3, ["readonly"], 1, -2, 1, []],
            ["cms.merge", -4, ["write", "denyoom"], 1, 1, 1, []],
            ["ft.info", 2, ["readonly"], 0, 0, 0, []]
        ]);
        check(&answer, "bf.mexists seen a b", "reads seen");
        check(&answer, "JSON.MGET one two $.price", "reads one two");
        check(&answer, "CMS.MERGE all 2 one two", "writes all");
        check(&answer, "FT.INFO index", "reads");
        check(&answer, "TS.GET temperature", "unknown");
    }

    /// As servers answer from 7.0 on.
    #[test]
    fn a_newer_command_says_it_by_specifications() {
        let spec = |flags, begin, find| json!(["flags", flags, "begin_search", begin, "find_keys", find]);
        let index = |index: i64| json!(["type", "index", "spec", ["index", index]]);
        let range = |last: i64, step: i64| {
            let spec = json!(["lastkey", last, "keystep", step, "limit", 0]);
            json!(["type", "range", "spec", spec])
        };
        let keyword = json!(["type", "keyword", "spec", ["keyword", "from", "startfrom", 1]]);
        let counted = json!(["type", "keynum", "spec", ["keynumidx", 0, "firstkey", 1, "keystep", 1]]);
        let unknown = json!(["type", "unknown", "spec", []]);
        let command =
            |name: &str, specs: serde_json::Value| json!([name, -2, ["readonly"], 1, 1, 1, [], [], specs, []]);
        let subcommand = command("x.index|read", json!([spec(json!(["RO"]), index(2), range(0, 1))]));
        let answer = json!([
            command("x.pairs", json!([spec(json!(["RO"]), index(1), range(-1, 2))])),
            command("x.union", json!([spec(json!(["RO"]), keyword, counted)])),
            command("x.odd", json!([spec(json!(["RO"]), unknown, range(0, 1))])),
            command(
                "x.send",
                json!([
                    spec(json!(["not_key"]), index(1), range(0, 1)),
                    spec(json!(["RO"]), index(2), range(0, 1))
                ])
            ),
            command(
                "x.endless",
                json!([
                    spec(json!(["RO"]), index(1), range(-1, 0)),
                    spec(json!(["RO"]), index(1 << 40), range(0, 1))
                ])
            ),
            command("x.scan", json!([spec(json!(["not_key"]), index(1), range(0, 1))])),
            ["x.index", -2, [], 0, 0, 0, [], [], [], [subcommand]]
        ]);
        check(&answer, "X.PAIRS a 1 b 2", "reads a b");
        check(&answer, "X.UNION WITH FROM 2 a b c", "reads a b");
        check(&answer, "X.ODD a b", "reads a");
        check(&answer, "X.SEND channel key", "reads key");
        check(&answer, "X.ENDLESS a b", "reads a");
        check(&answer, "X.SCAN 0-{a}-0", "reads");
        check(&answer, "x.index READ a", "reads a");
    }

    #[test]
    fn a_server_changes_nothing_of_what_the_table_knows() {
        let answer = json!([["get", 2, ["write"], 2, 2, 1, []]]);
        check(&answer, "GET a", "reads a");
    }

    #[test]
    fn a_kind_is_asked_once_and_again_only_when_nothing_came_of_it() {
        let tables = CommandTables::default();
        let kind = |commands| Kind {
            engine: "valkey 8.0.1".to_owned(),
            commands,
        };
        let seek = |commands| match tables.seek(kind(commands)) {
            Sought::Found(_) => "found",
            Sought::Awaited => "awaited",
            Sought::Ours(_) => "ours",
        };
        let Sought::Ours(first) = tables.seek(kind(240)) else {
            panic!("nobody asked yet")
        };
        assert_eq!((seek(240), seek(241)), ("awaited", "ours"));
        drop(first);
        let Sought::Ours(second) = tables.seek(kind(240)) else {
            panic!("nothing came of the first")
        };
        let table = Arc::new(Commands::clone(&Commands::builtin()));
        tables.learn(&second.kind, &table);
        drop(second);
        assert_eq!(seek(240), "found");
        drop(table);
        assert_eq!(seek(240), "ours");
    }
}
