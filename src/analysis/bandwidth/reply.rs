//! What a command is answered with, as far as its name and its arguments tell: the rest are questions about its keys.

use super::question::{Kind, Question};
use super::range::number;
use super::{Call, Certainty, Range};

/// The form of a reply (RESP2).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// So many bytes, whatever the keys hold.
    Fixed(u64, Certainty),
    /// The strings under these questions, of so many that were named; in an array, or one alone.
    Strings {
        questions: Vec<Question>,
        total: usize,
        array: bool,
    },
    /// A piece of a string.
    Piece(Question, Range),
    /// Elements of a collection.
    Elements(Question, Span, Parts),
    /// It can't be told.
    Unknown,
}

/// Which elements of a collection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Span {
    /// Those of a range by index.
    Range(Range),
    /// So many as another question says, without the first, and no more than a limit.
    Between {
        counted: Question,
        skipped: u64,
        limit: u64,
    },
    /// So many, all different.
    Some(u64),
    /// So many, the same again perhaps.
    Repeated(u64),
    /// One, not in an array.
    One,
}

/// What of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Items,
    Partners,
    Both,
}

use Certainty::{Exact, Uncertain};

impl Reply {
    /// What `command` (in upper case) is answered with when it is called so; without a call, when that doesn't matter.
    pub(super) fn to(command: &str, call: Option<&Call>) -> Self {
        Self::alike(command)
            .or_else(|| Asked { call: call? }.reply(command))
            .unwrap_or(Self::Unknown)
    }

    /// Every question there is in it.
    pub(super) fn questions(&self) -> Vec<&Question> {
        match self {
            Self::Fixed(..) | Self::Unknown => Vec::new(),
            Self::Strings { questions, .. } => questions.iter().collect(),
            Self::Piece(question, _) => vec![question],
            Self::Elements(question, Span::Between { counted, .. }, _) => vec![question, counted],
            Self::Elements(question, ..) => vec![question],
        }
    }

    /// Replies that don't depend on arguments.
    fn alike(command: &str) -> Option<Self> {
        Some(match command {
            "MSET" | "SETEX" | "PSETEX" | "HMSET" | "LTRIM" | "LSET" | "RENAME" | "SELECT" | "FLUSHDB" | "FLUSHALL"
            | "READONLY" | "READWRITE" | "MULTI" | "DISCARD" | "WATCH" | "UNWATCH" | "AUTH" | "PFMERGE"
            | "CLIENT|SETNAME" | "CLIENT|SETINFO" | "ASKING" => Self::Fixed(5, Exact),
            // 0 or 1.
            "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" | "PERSIST" | "HSETNX" | "SETNX" | "MSETNX" | "HEXISTS"
            | "SISMEMBER" | "SMOVE" | "MOVE" | "COPY" | "RENAMENX" | "SETBIT" | "GETBIT" | "PFADD" => {
                Self::Fixed(4, Exact)
            }
            // Mostly one digit.
            "DEL" | "UNLINK" | "EXISTS" | "TOUCH" | "SADD" | "SREM" | "HSET" | "HDEL" | "ZREM" | "LREM" | "XACK"
            | "XDEL" | "PUBLISH" | "SPUBLISH" | "ZREMRANGEBYSCORE" | "ZREMRANGEBYRANK" | "ZREMRANGEBYLEX"
            | "GEOADD" => Self::Fixed(4, Uncertain),
            // A few digits.
            "HLEN" | "LLEN" | "SCARD" | "ZCARD" | "XLEN" | "STRLEN" | "HSTRLEN" | "LPUSH" | "RPUSH" | "LPUSHX"
            | "RPUSHX" | "LINSERT" | "APPEND" | "SETRANGE" | "INCR" | "DECR" | "INCRBY" | "DECRBY" | "HINCRBY"
            | "ZCOUNT" | "ZLEXCOUNT" | "ZRANK" | "ZREVRANK" | "BITCOUNT" | "BITPOS" | "PFCOUNT" | "TTL"
            | "SUNIONSTORE" | "SINTERSTORE" | "SDIFFSTORE" | "ZUNIONSTORE" | "ZINTERSTORE" | "ZDIFFSTORE"
            | "ZRANGESTORE" | "XTRIM" | "SINTERCARD" | "ZINTERCARD" | "DBSIZE" | "LPOS" => Self::Fixed(6, Uncertain),
            "PTTL" => Self::Fixed(9, Uncertain),
            // Scores and floats as text.
            "ZINCRBY" | "ZSCORE" | "INCRBYFLOAT" | "HINCRBYFLOAT" => Self::Fixed(12, Uncertain),
            "TYPE" => Self::Fixed(9, Uncertain),
            "XADD" => Self::Fixed(22, Uncertain),
            // Nearly all are ours, and taken out of what is measured.
            "INFO" | "ROLE" => Self::Fixed(0, Uncertain),
            // An array's head: the answers in it stand behind their own commands.
            "EXEC" => Self::Fixed(4, Uncertain),
            _ => return None,
        })
    }
}

/// A call whose arguments decide.
struct Asked<'a> {
    call: &'a Call,
}

impl Asked<'_> {
    fn reply(&self, command: &str) -> Option<Reply> {
        let total = self.call.total;
        Some(match command {
            "PING" if total == 0 => Reply::Fixed(7, Exact),
            "PING" | "ECHO" => Reply::Fixed(super::bulk(self.call.arguments.first()?.len() as u64), Exact),
            "SET" if self.has("GET") => self.strings(0..1, 1, false)?,
            "SET" => Reply::Fixed(5, Exact),
            "ZADD" if self.has("INCR") => Reply::Fixed(12, Uncertain),
            "ZADD" => Reply::Fixed(4, Uncertain),
            "GET" | "GETEX" | "GETSET" => self.strings(0..1, 1, false)?,
            "MGET" => self.strings(0..self.call.arguments.len(), total, true)?,
            "GETRANGE" | "SUBSTR" => Reply::Piece(self.ask(Kind::Length)?, self.range(1)?),
            "HGET" => self.fields(1, 1, false)?,
            "HMGET" => self.fields(self.call.arguments.len().saturating_sub(1), total.checked_sub(1)?, true)?,
            "SMISMEMBER" => Reply::Fixed(super::array(total as u64 - 1) + 4 * (total as u64 - 1), Exact),
            "ZMSCORE" => Reply::Fixed(super::array(total as u64 - 1) + 12 * (total as u64 - 1), Uncertain),
            "HGETALL" => self.all(Kind::Hash, Parts::Both)?,
            "HKEYS" => self.all(Kind::Hash, Parts::Items)?,
            "HVALS" => self.all(Kind::Hash, Parts::Partners)?,
            "SMEMBERS" => self.all(Kind::Set, Parts::Items)?,
            "LRANGE" => {
                let range = self.range(1)?;
                Reply::Elements(self.ask(Kind::List(range))?, Span::Range(range), Parts::Items)
            }
            "LINDEX" => {
                let index = number(self.call.arguments.get(1)?)?;
                let range = Range {
                    first: index,
                    last: index,
                };
                Reply::Elements(self.ask(Kind::List(range))?, Span::One, Parts::Items)
            }
            "SRANDMEMBER" => self.random(Kind::Set)?,
            "HRANDFIELD" => self.random(Kind::Hash)?,
            "ZRANDMEMBER" => self.random(Kind::SortedSet)?,
            _ => return self.sorted_set(command),
        })
    }

    fn sorted_set(&self, command: &str) -> Option<Reply> {
        let parts = if self.has("WITHSCORES") {
            Parts::Both
        } else {
            Parts::Items
        };
        let of = |span| Some(Reply::Elements(self.ask(Kind::SortedSet)?, span, parts));
        match command {
            "ZRANGE" if self.has("BYSCORE") && self.has("REV") => of(self.between(2, 1)?),
            "ZRANGE" if self.has("BYSCORE") => of(self.between(1, 2)?),
            "ZRANGE" if self.has("BYLEX") => None,
            "ZRANGE" | "ZREVRANGE" => of(Span::Range(self.range(1)?)),
            "ZRANGEBYSCORE" => of(self.between(1, 2)?),
            "ZREVRANGEBYSCORE" => of(self.between(2, 1)?),
            _ => None,
        }
    }

    /// The keys at these places are strings that are answered with.
    fn strings(&self, places: std::ops::Range<usize>, total: usize, array: bool) -> Option<Reply> {
        let keys = self.call.arguments.get(places)?;
        if keys.is_empty() {
            return None;
        }
        let questions = keys.iter().map(|key| self.question(key, Kind::Length)).collect();
        Some(Reply::Strings {
            questions,
            total,
            array,
        })
    }

    fn fields(&self, known: usize, total: usize, array: bool) -> Option<Reply> {
        let key = self.call.arguments.first()?;
        let fields = self.call.arguments.get(1..=known)?;
        if fields.is_empty() {
            return None;
        }
        let questions = fields
            .iter()
            .map(|field| self.question(key, Kind::FieldLength(field.clone())))
            .collect();
        Some(Reply::Strings {
            questions,
            total,
            array,
        })
    }

    fn all(&self, kind: Kind, parts: Parts) -> Option<Reply> {
        Some(Reply::Elements(self.ask(kind)?, Span::Range(Range::ALL), parts))
    }

    /// So many random ones: none named is one alone, a negative number allows the same again.
    fn random(&self, kind: Kind) -> Option<Reply> {
        let both = self.has("WITHVALUES") || self.has("WITHSCORES");
        let span = match self.call.arguments.get(1) {
            None => Span::One,
            Some(count) => match number(count)? {
                count if count < 0 => Span::Repeated(count.unsigned_abs()),
                count => Span::Some(count.unsigned_abs()),
            },
        };
        let parts = if both { Parts::Both } else { Parts::Items };
        Some(Reply::Elements(self.ask(kind)?, span, parts))
    }

    /// Scores between the arguments at these places.
    fn between(&self, least: usize, most: usize) -> Option<Span> {
        let argument = |place: usize| self.call.arguments.get(place).cloned();
        let limit = self
            .call
            .arguments
            .iter()
            .position(|word| word.eq_ignore_ascii_case(b"LIMIT"));
        let limits = |place: usize| number(self.call.arguments.get(place)?);
        let (skipped, limit) = match limit {
            Some(place) => (limits(place + 1)?, limits(place + 2)?),
            None => (0, -1),
        };
        Some(Span::Between {
            counted: self.ask(Kind::Between(argument(least)?, argument(most)?))?,
            skipped: u64::try_from(skipped).ok()?,
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
        })
    }

    fn range(&self, place: usize) -> Option<Range> {
        Range::read(self.call.arguments.get(place)?, self.call.arguments.get(place + 1)?)
    }

    fn has(&self, word: &str) -> bool {
        let options = self.call.arguments.iter().skip(1);
        options
            .into_iter()
            .any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn ask(&self, kind: Kind) -> Option<Question> {
        Some(self.question(self.call.arguments.first()?, kind))
    }

    fn question(&self, key: &[u8], kind: Kind) -> Question {
        Question {
            database: self.call.database,
            key: key.into(),
            kind,
        }
    }
}
