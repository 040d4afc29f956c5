//! How large a few keys are: cheap questions about them, after a window, of which none can cost or return much.
//!
//! A server is asked for a type's own count and for MEMORY USAGE with a few samples first; elements are looked at only if, by those,
//! they are small. Nothing here reads a value's string, counts as a use of a key (CLIENT NO-TOUCH), or walks through a collection. Where
//! a server has no NO-TOUCH (before 7.2), only what leaves a key's idle time alone is asked, which is little. No question can tell that
//! none of many elements is huge, so there is a second bound: when the answers exceed what is allowed, the connection is closed over them.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;
use tokio::time::sleep;

use super::LinkError;
use super::link::{self, Link};
use super::raw::Command;
use super::version::Version;
use crate::analysis::bandwidth::{Answer, Elements, Kind, Probing, Question};
use crate::model::Bytes;

/// What questions may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Commands that are sent for one window, at most.
    pub commands_max: usize,
    /// Bytes of all answers, at most.
    pub bytes_max: u64,
    /// Whether keys may be asked about in a way that counts as a use of them, where the server knows no other.
    pub touch: bool,
}

/// Elements of a collection that are looked at.
const ELEMENTS: u64 = 24;

/// What the elements of one collection may take.
const ELEMENTS_BYTES_MAX: u64 = 16 * 1024;

/// Commands sent at once, and the pause after them.
const BATCH: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// How far from either end of a list elements are looked at: further in, a server has to search.
const LIST_DEPTH: u64 = 1000;

/// Elements whose size MEMORY USAGE looks at: of collections with no more than these it knows the whole.
const MEMORY_SAMPLES: u64 = 100;

/// Elements of a collection that as a whole takes more are not looked at: one of them may be nearly all of it.
const WHOLE_BYTES_MAX: u64 = 4 * ELEMENTS_BYTES_MAX;

/// What the first server to offer CLIENT NO-TOUCH says it is.
const NO_TOUCH_SINCE: Version = Version { major: 7, minor: 2 };

/// Asks one node about its keys.
#[derive(Debug)]
pub struct Sizes<'link> {
    link: &'link Link,
    limits: SizeLimits,
    database: u32,
    touches: bool,
    sent: usize,
    /// What had come from the node before.
    received: u64,
}

impl<'link> Sizes<'link> {
    /// Commands that preparing the connection takes, at most.
    pub const PREPARATION: usize = 4;

    /// Prepares the connection, which is then good for nothing else.
    pub async fn open(link: &'link Link, limits: SizeLimits) -> Result<Self, LinkError> {
        let received = link.account().total().bytes_out.0;
        link.allowance().limit(Bytes(limits.bytes_max));
        let mut sizes = Self {
            link,
            limits,
            database: 0,
            touches: true,
            sent: 0,
            received,
        };
        let server = link.info(&["server"]).await?;
        let mut commands = Vec::new();
        // On a server that isn't in a cluster READONLY is an error.
        // Valkey calls it differently unless it is told to look like Redis.
        let mode = link::field(&server, "redis_mode").or_else(|| link::field(&server, "server_mode"));
        if mode == Some("cluster") {
            commands.push(Command::new("READONLY"));
        }
        let has_no_touch = link.version() >= NO_TOUCH_SINCE;
        if has_no_touch {
            commands.push(Command::new("CLIENT|NO-TOUCH").arg("on"));
        }
        sizes.sent += 1 + commands.len();
        if commands.is_empty() {
            return Ok(sizes);
        }
        let last = link.pipeline(commands).await?.pop();
        sizes.touches = !(has_no_touch && last.is_some_and(|answer| answer.is_ok()));
        Ok(sizes)
    }

    /// Answers as many questions as the limits allow; `None` is one that the node didn't answer.
    pub async fn answer(&mut self, questions: Vec<Question>) -> Result<Vec<(Question, Option<Answer>)>, LinkError> {
        let mut by_database: HashMap<u32, Vec<Question>> = HashMap::new();
        for question in questions {
            by_database.entry(question.database).or_default().push(question);
        }
        let mut answers = Vec::new();
        for (database, questions) in by_database {
            if database != self.database {
                self.ask(vec![Command::new("SELECT").arg(database)]).await?;
                self.database = database;
            }
            answers.extend(self.answer_here(questions).await?);
        }
        Ok(answers)
    }

    /// What asking means for the keys.
    pub fn probing(&self) -> Probing {
        match (self.touches, self.limits.touch) {
            (false, _) => Probing::Untouched,
            (true, false) => Probing::Rough,
            (true, true) => Probing::Touched,
        }
    }

    /// How many commands were sent so far.
    pub fn sent(&self) -> usize {
        self.sent
    }

    async fn answer_here(&mut self, questions: Vec<Question>) -> Result<Vec<(Question, Option<Answer>)>, LinkError> {
        let touches = self.probing() == Probing::Rough;
        let first: Vec<Vec<Command>> = questions.iter().map(|question| counts(question, touches)).collect();
        let counted = self.ask_each(first).await?;
        let gated: Vec<Option<Gate>> = questions
            .iter()
            .zip(&counted)
            .map(|(question, answers)| Gate::of(question, answers))
            .collect();
        let second = questions.iter().zip(&gated).map(|(question, gate)| match gate {
            Some(gate) => gate.elements(question),
            None => Vec::new(),
        });
        let elements = self.ask_each(second.collect()).await?;
        let answers = questions.into_iter().zip(counted).zip(gated.into_iter().zip(elements));
        let answers = answers.map(|((question, counted), (gate, elements))| {
            let answer = match gate {
                Some(gate) => gate.answer(&question, &elements),
                None => plain_answer(&question, &counted, touches),
            };
            (question, answer)
        });
        Ok(answers.collect())
    }

    /// Sends the commands of each question, and gives each its answers; an answer that isn't there is nil.
    async fn ask_each(&mut self, commands: Vec<Vec<Command>>) -> Result<Vec<Vec<Value>>, LinkError> {
        let counts: Vec<usize> = commands.iter().map(Vec::len).collect();
        let mut answers = self.ask(commands.into_iter().flatten().collect()).await?.into_iter();
        let of_each = counts.into_iter().map(|count| answers.by_ref().take(count).collect());
        Ok(of_each.collect())
    }

    /// Sends commands in batches, until a limit is reached. A refusal is an answer that says nothing.
    async fn ask(&mut self, commands: Vec<Command>) -> Result<Vec<Value>, LinkError> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() && self.may_ask() {
            let room = (self.limits.commands_max - self.sent).min(BATCH);
            let batch: Vec<Command> = commands.by_ref().take(room).collect();
            self.sent += batch.len();
            match self.link.pipeline(batch).await {
                Ok(answered) => answers.extend(answered.into_iter().map(|answer| answer.unwrap_or(Value::Nil))),
                // What was learned so far is good; nobody is asked any more.
                Err(_) if self.link.allowance().is_spent() => break,
                Err(error) => return Err(error),
            }
            sleep(PAUSE).await;
        }
        Ok(answers)
    }

    fn may_ask(&self) -> bool {
        let received = self.link.account().total().bytes_out.0 - self.received;
        // What is under way must fit too: a batch whose every answer is as large as it may be.
        let is_closed = self.link.allowance().is_spent();
        !is_closed
            && self.sent < self.limits.commands_max
            && received + BATCH as u64 * ELEMENTS_BYTES_MAX <= self.limits.bytes_max
    }
}

/// The first questions about a key: its count, and its memory.
fn counts(question: &Question, must_not_touch: bool) -> Vec<Command> {
    let key = &*question.key;
    let memory = || Command::new("MEMORY|USAGE").arg(key).arg("SAMPLES").arg(MEMORY_SAMPLES);
    let count = |name| vec![Command::new(name).arg(key), memory()];
    match &question.kind {
        Kind::Length if must_not_touch => vec![memory()],
        _ if must_not_touch => Vec::new(),
        Kind::Length => vec![Command::new("STRLEN").arg(key)],
        Kind::FieldLength(field) => vec![Command::new("HSTRLEN").arg(key).arg(&**field)],
        Kind::Between(least, most) => vec![Command::new("ZCOUNT").arg(key).arg(&**least).arg(&**most)],
        Kind::Hash => count("HLEN"),
        Kind::Set => count("SCARD"),
        Kind::SortedSet => count("ZCARD"),
        Kind::List(_) => count("LLEN"),
    }
}

/// The answer to a question that has no second part.
fn plain_answer(question: &Question, answers: &[Value], must_not_touch: bool) -> Option<Answer> {
    let number = number(answers.first()?);
    match question.kind {
        Kind::Length if must_not_touch => Some(match number {
            Some(memory) => Answer::AboutLength(length_by_memory(memory, question.key.len() as u64)),
            None => Answer::Length(0),
        }),
        Kind::Length | Kind::FieldLength(_) => number.map(Answer::Length),
        Kind::Between(..) => number.map(Answer::Count),
        Kind::Hash | Kind::Set | Kind::SortedSet | Kind::List(_) => None,
    }
}

/// What lies around a string in memory: the entry of the table, the object, the heads of both strings; and what an allocator rounds up.
fn length_by_memory(memory: u64, key: u64) -> u64 {
    let around = 24 + 16 + 8 + key;
    let content = memory.saturating_sub(around);
    // Long ones are allocated in steps of a quarter, of which half is unused on average.
    if content > 64 {
        content - content / 11
    } else {
        content.max(1)
    }
}

/// What is known of a collection before its elements are looked at.
struct Gate {
    count: u64,
    /// Bytes that an element takes in memory, about.
    each: u64,
}

impl Gate {
    fn of(question: &Question, answers: &[Value]) -> Option<Self> {
        if !matches!(question.kind, Kind::Hash | Kind::Set | Kind::SortedSet | Kind::List(_)) {
            return None;
        }
        let [count, memory] = answers else { return None };
        let count = number(count)?;
        let memory = number(memory).unwrap_or(0);
        Some(Self {
            count,
            each: memory / count.max(1),
        })
    }

    /// How many elements may be looked at.
    fn room(&self) -> u64 {
        let is_whole = self.count <= MEMORY_SAMPLES;
        if is_whole && self.each * self.count > WHOLE_BYTES_MAX {
            return 0;
        }
        ELEMENTS.min(ELEMENTS_BYTES_MAX / self.each.max(1))
    }

    /// Commands that look at some elements; none if those may be large, or there are none.
    fn elements(&self, question: &Question) -> Vec<Command> {
        let key = &*question.key;
        let room = self.room();
        if room == 0 || self.count == 0 {
            return Vec::new();
        }
        let random = |name| Command::new(name).arg(key).arg(room);
        match &question.kind {
            Kind::Hash => vec![random("HRANDFIELD").arg("WITHVALUES")],
            Kind::Set => vec![random("SRANDMEMBER")],
            Kind::SortedSet => vec![random("ZRANDMEMBER").arg("WITHSCORES")],
            Kind::List(range) => {
                let (first, count) = range.resolve(self.count);
                let indexes = spread(first, count, self.count, room.min(Question::LIST_SAMPLES as u64));
                let element = |index| Command::new("LINDEX").arg(key).arg(index);
                indexes.into_iter().map(element).collect()
            }
            Kind::Length | Kind::FieldLength(_) | Kind::Between(..) => Vec::new(),
        }
    }

    fn answer(&self, question: &Question, elements: &[Value]) -> Option<Answer> {
        if self.count == 0 {
            return Some(Answer::Elements(Elements::default()));
        }
        let lengths = |values: &[Value]| values.iter().filter_map(length).collect::<Vec<usize>>();
        let (items, partners) = match (&question.kind, elements) {
            (Kind::List(_), values) => (lengths(values), Vec::new()),
            (Kind::Set, [Value::Array(members)]) => (lengths(members), Vec::new()),
            (Kind::Hash | Kind::SortedSet, [Value::Array(pairs)]) => {
                let all = lengths(pairs);
                let every_other = |from: usize| all.iter().skip(from).step_by(2).copied().collect();
                (every_other(0), every_other(1))
            }
            _ => (Vec::new(), Vec::new()),
        };
        Some(Answer::Elements(if items.is_empty() {
            Elements::about(self.count, self.each)
        } else {
            Elements::of(self.count, &items, &partners)
        }))
    }
}

/// So many indexes spread over a range of a list, as far as they are near its ends.
fn spread(first: u64, count: u64, length: u64, wanted: u64) -> Vec<u64> {
    let wanted = wanted.min(count);
    let indexes = (0..wanted).map(|place| first + place * count / wanted);
    let mut near: Vec<u64> = indexes
        .map(|index| match index {
            index if index < LIST_DEPTH || length - index <= LIST_DEPTH => index,
            index if index < length / 2 => index % LIST_DEPTH,
            index => length - 1 - index % LIST_DEPTH,
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near
}

fn number(answer: &Value) -> Option<u64> {
    match answer {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn length(answer: &Value) -> Option<usize> {
    match answer {
        Value::BulkString(bytes) => Some(bytes.len()),
        Value::SimpleString(text) => Some(text.len()),
        _ => None,
    }
}
