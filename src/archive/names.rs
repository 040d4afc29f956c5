//! Names that occur again and again, of commands, patterns and clients: each is kept once, under a number, as long as a window that may
//! have it is kept.
//!
//! A name knows the last day on which a window had it, so that names nobody has any more can be told without looking through all lines.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::model::Timestamp;

/// The tables of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dictionary {
    Commands,
    Patterns,
    Clients,
}

/// A day, counted from the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

/// Names that have a number already; forgotten when they are too many, since the file knows them.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: [HashMap<Box<str>, Known>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: i64,
    seen: Day,
}

/// How many names of one kind are remembered.
const NAMES_MAX: usize = 50_000;

/// Names that one step forgets.
const NAMES_A_STEP: i64 = 5_000;

const MICROS_A_DAY: u64 = 86_400_000_000;

impl Day {
    pub(super) fn of(time: Timestamp) -> Self {
        // At most 213 million days fit into a time stamp.
        Self((time.0 / MICROS_A_DAY) as i64)
    }
}

impl Names {
    /// The number of a name that a window of that day has.
    pub(super) fn id(
        &mut self,
        transaction: &Transaction<'_>,
        dictionary: Dictionary,
        name: &str,
        day: Day,
    ) -> rusqlite::Result<i64> {
        let known = &mut self.known[dictionary as usize];
        if let Some(known) = known.get(name).filter(|known| known.seen >= day) {
            return Ok(known.id);
        }
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        let found = in_file(transaction, dictionary, name, day)?;
        known.insert(name.into(), found);
        Ok(found.id)
    }
}

/// Finds a name in the file, or adds it there.
fn in_file(transaction: &Transaction<'_>, dictionary: Dictionary, name: &str, day: Day) -> rusqlite::Result<Known> {
    let statements = dictionary.statements();
    let found = transaction
        .prepare_cached(statements.find)?
        .query_row([name], |row| Ok((row.get(0)?, Day(row.get(1)?))))
        .optional()?;
    let Some((id, seen)) = found else {
        transaction
            .prepare_cached(statements.insert)?
            .execute(params![name, day.0])?;
        let id = transaction.last_insert_rowid();
        return Ok(Known { id, seen: day });
    };
    if seen < day {
        transaction
            .prepare_cached(statements.see)?
            .execute(params![id, day.0])?;
    }
    Ok(Known {
        id,
        seen: seen.max(day),
    })
}

/// Forgets names that no window has had since that day, as many as fit into a short step; tells whether more may be left.
pub(super) fn forget(connection: &mut Connection, before: Day) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut more = false;
    for dictionary in [Dictionary::Commands, Dictionary::Patterns, Dictionary::Clients] {
        let forgotten = transaction
            .prepare_cached(dictionary.statements().forget)?
            .execute(params![before.0, NAMES_A_STEP])?;
        more |= forgotten as i64 == NAMES_A_STEP;
    }
    transaction.commit()?;
    Ok(more)
}

struct Statements {
    find: &'static str,
    insert: &'static str,
    see: &'static str,
    forget: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            find: concat!("SELECT id, seen FROM ", $table, " WHERE name = ?"),
            insert: concat!("INSERT INTO ", $table, " (name, seen) VALUES (?, ?)"),
            see: concat!("UPDATE ", $table, " SET seen = ?2 WHERE id = ?1"),
            // The pattern of lines without a key has no name, and stays.
            forget: concat!(
                "DELETE FROM ",
                $table,
                " WHERE id IN (SELECT id FROM ",
                $table,
                " WHERE seen < ? AND name IS NOT NULL LIMIT ?)"
            ),
        }
    };
}

impl Dictionary {
    fn statements(self) -> Statements {
        match self {
            Self::Commands => statements!("commands"),
            Self::Patterns => statements!("patterns"),
            Self::Clients => statements!("clients"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::archive::retention::Limits;
    use crate::archive::{Kept, Store, testing};
    use crate::model::Bytes;

    fn noon(day: u64) -> Timestamp {
        Timestamp((20_000 + day) * MICROS_A_DAY + MICROS_A_DAY / 2)
    }

    fn window(day: u64, key: &str, clients: &[&str]) -> Kept {
        testing::window(noon(day), key, clients)
    }

    fn texts(path: &Path, sql: &str) -> Vec<String> {
        let archive = Connection::open(path).expect("it opens");
        let mut statement = archive.prepare(sql).expect("it is understood");
        let rows = statement.query_map([], |row| row.get(0)).expect("it is answered");
        rows.collect::<Result<_, _>>().expect("texts")
    }

    #[test]
    fn names_leave_with_the_last_day_that_had_them() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("h.db");
        let mut store = Store::open(&path, testing::reading()).expect("it opens");
        let days = [
            window(100, "once", &["10.0.0.1", "10.0.0.2"]),
            window(101, "often", &["10.0.0.2"]),
            window(102, "often", &["10.0.0.3"]),
        ];
        for kept in &days {
            store.keep(std::slice::from_ref(kept)).expect("it is written");
        }
        let limits = Limits {
            retention: Duration::from_secs(36 * 3600),
            size_max: Bytes(u64::MAX),
        };
        while store.tidy(limits, noon(102)).expect("it is tidied") {}
        let clients = "SELECT name FROM clients ORDER BY 1";
        let patterns = "SELECT name FROM patterns WHERE name IS NOT NULL ORDER BY 1";
        assert_eq!(texts(&path, clients), ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(texts(&path, patterns), ["often"]);

        // A name that comes back has a number again, and what stays is as it was.
        store
            .keep(&[window(102, "once", &["10.0.0.1"])])
            .expect("it is written");
        let lines = "SELECT client_ip || ' ' || command || ' ' || key_pattern FROM all_lines ORDER BY 1";
        let kept = ["10.0.0.1 GET once", "10.0.0.2 GET often", "10.0.0.3 GET often"];
        assert_eq!(texts(&path, lines), kept);

        while store.tidy(limits, noon(103)).expect("it is tidied") {}
        assert_eq!(texts(&path, lines), [kept[0], kept[2]]);
        assert_eq!(texts(&path, clients), ["10.0.0.1", "10.0.0.3"]);
    }

    #[test]
    fn names_of_a_file_made_before_stay_as_long_as_its_newest_window() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("h.db");
        let mut first = Store::open(&path, testing::reading()).expect("it opens");
        first
            .keep(&[window(100, "old", &["10.0.0.1"]), window(101, "old", &["10.0.0.2"])])
            .expect("it is written");
        first.close().expect("it is closed");
        let archive = Connection::open(&path).expect("it opens");
        archive
            .execute_batch(
                "ALTER TABLE commands DROP COLUMN seen; ALTER TABLE patterns DROP COLUMN seen;
                 ALTER TABLE clients DROP COLUMN seen; PRAGMA user_version = 3",
            )
            .expect("it is as it was before");
        drop(archive);

        let mut store = Store::open(&path, testing::reading()).expect("it opens");
        let limits = Limits {
            retention: Duration::from_secs(12 * 3600),
            size_max: Bytes(u64::MAX),
        };
        while store.tidy(limits, noon(101)).expect("it is tidied") {}
        assert_eq!(texts(&path, "SELECT client_ip FROM all_lines"), ["10.0.0.2"]);
        store.keep(&[window(103, "new", &["10.0.0.3"])]).expect("it is written");
        while store.tidy(limits, noon(103)).expect("it is tidied") {}
        assert_eq!(texts(&path, "SELECT name FROM clients"), ["10.0.0.3"]);
    }
}
