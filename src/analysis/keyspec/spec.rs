//! How a command says where its keys are: the key specifications that servers publish since 7.0.

use std::sync::Arc;

use serde::Deserialize;

/// Where the keys of one kind are among a command's arguments; the command itself is argument 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where to begin.
    pub begin: Begin,
    /// Which of the arguments from there on are keys.
    pub find: Find,
}

/// Where a specification begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(u32),
    /// At the argument after this word, looked for from an argument on.
    Keyword {
        /// The word in upper case.
        word: Arc<[u8]>,
        /// The first argument that may be it.
        from: u32,
    },
}

/// Which arguments are keys, counted from where the specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Each `step`-th up to the `last`.
    Range {
        /// From the beginning; below zero from the command's end, −1 being its last argument.
        last: i32,
        /// From one key to the next.
        step: u32,
        /// With 2, only the first half of them are keys; 0 and 1 are all.
        limit: u32,
    },
    /// As many as one argument says.
    Count {
        /// Which argument says it.
        count: u32,
        /// The first key.
        first: u32,
        /// From one key to the next.
        step: u32,
    },
}

/// Reads the column of the table: `None` for what it doesn't say in full, which is read by code instead.
pub(super) fn read(column: &str) -> Result<Vec<Spec>, serde_json::Error> {
    let rows: Vec<Row> = serde_json::from_str(column)?;
    Ok(rows.iter().filter_map(Row::spec).collect())
}

#[derive(Deserialize)]
struct Row {
    begin_search: RowBegin,
    find_keys: RowFind,
    flags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RowBegin {
    Index { pos: u32 },
    Keyword { keyword: String, startfrom: i64 },
    Unknown(()),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RowFind {
    Range { lastkey: i32, step: u32, limit: u32 },
    Keynum { keynumidx: u32, firstkey: u32, step: u32 },
    Unknown(()),
}

impl Row {
    fn spec(&self) -> Option<Spec> {
        // A sharded channel falls into a slot like a key, but isn't one.
        if self.flags.iter().any(|flag| flag == "NOT_KEY") {
            return None;
        }
        let begin = match &self.begin_search {
            RowBegin::Index { pos } => Begin::Index(*pos),
            RowBegin::Keyword { keyword, startfrom } => Begin::Keyword {
                word: keyword.to_ascii_uppercase().into_bytes().into(),
                from: u32::try_from(*startfrom).ok()?,
            },
            RowBegin::Unknown(()) => return None,
        };
        let find = match self.find_keys {
            RowFind::Range { lastkey, step, limit } => Find::Range {
                last: lastkey,
                step,
                limit,
            },
            RowFind::Keynum {
                keynumidx,
                firstkey,
                step,
            } => Find::Count {
                count: keynumidx,
                first: firstkey,
                step,
            },
            RowFind::Unknown(()) => return None,
        };
        Some(Spec { begin, find })
    }
}
