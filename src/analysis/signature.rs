//! What a command asks for, without what it carries: `ZREVRANGE | leaderboard:{DATE} | 0 -1`.
//!
//! A shape shows option words, small integers and bounds, never a member, a field, a glob or a value. Only commands whose arguments say
//! how much they read have one, so that the reader of a stream need not look at the arguments of the others.
//!
//! ```
//! use hotshard::analysis::signature::{ShapeRule, signature};
//!
//! let rule = ShapeRule::of("LRANGE").expect("a command with a shape");
//! let shape = rule.shape(&[b"queue:mail", b"0", b"-1"], 3);
//! assert_eq!(signature("LRANGE", Some("queue:mail"), shape.text()), "LRANGE | queue:mail | 0 -1");
//! assert!(shape.full_scan());
//! ```

/// How the arguments of one command become its [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeRule {
    /// Arguments before the first that is shown: the key, a cursor.
    hidden: u8,
    reads: Reads,
}

/// What a command reads, which decides when that is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Always everything: HGETALL.
    All,
    /// Keys by a glob.
    Glob,
    /// Members by index, score or name, unless its options limit them.
    Range,
    /// Everything, a piece at a time.
    Scan,
    /// All members, unless limited: SORT.
    Sorted,
    /// So many keys or fields as are named.
    Named,
    /// As many as asked for.
    Some,
    /// Streams: the options before STREAMS.
    Streams,
}

/// The longest text of a shape.
const TEXT_MAX: usize = 46;

/// The most arguments a shape looks at.
const ARGUMENTS_MAX: usize = 12;

/// Words that may stand in a shape; whatever else an argument holds is `?`.
const WORDS: [&str; 28] = [
    "ALPHA",
    "ASC",
    "BLOCK",
    "BY",
    "BYLEX",
    "BYSCORE",
    "COUNT",
    "DESC",
    "EX",
    "EXAT",
    "GET",
    "GROUP",
    "IDLE",
    "LIMIT",
    "MATCH",
    "NOACK",
    "NOVALUES",
    "PERSIST",
    "PX",
    "PXAT",
    "REV",
    "SAMPLES",
    "STORE",
    "STREAMS",
    "TYPE",
    "WITHSCORE",
    "WITHSCORES",
    "WITHVALUES",
];

impl ShapeRule {
    /// The rule of a command (in upper case); `None` when its arguments don't matter.
    pub fn of(command: &str) -> Option<Self> {
        let (hidden, reads) = match command {
            "HGETALL" | "HKEYS" | "HVALS" | "SMEMBERS" => (1, Reads::All),
            "KEYS" => (0, Reads::Glob),
            "LRANGE" | "ZRANGE" | "ZREVRANGE" | "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE" | "ZRANGEBYLEX"
            | "ZREVRANGEBYLEX" | "XRANGE" | "XREVRANGE" | "GETRANGE" => (1, Reads::Range),
            "SCAN" => (1, Reads::Scan),
            "HSCAN" | "SSCAN" | "ZSCAN" => (2, Reads::Scan),
            "SORT" | "SORT_RO" => (1, Reads::Sorted),
            "MGET" | "DEL" | "UNLINK" | "SINTER" | "SUNION" | "SDIFF" => (0, Reads::Named),
            "HMGET" => (1, Reads::Named),
            "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" | "GETEX" | "LTRIM" => (1, Reads::Some),
            "XREAD" | "XREADGROUP" => (0, Reads::Streams),
            _ => return None,
        };
        Some(Self { hidden, reads })
    }

    /// How many arguments, from the first after the command's name, [`ShapeRule::shape`] looks at.
    pub fn arguments_max(self) -> usize {
        match self.reads {
            Reads::All | Reads::Named => 0,
            _ => ARGUMENTS_MAX,
        }
    }

    /// The shape of every call, where the arguments don't matter at all.
    pub fn only_shape(self) -> Option<Shape> {
        (self.reads == Reads::All).then(|| self.shape(&[], 0))
    }

    /// The shape of a command with these arguments (all after its name, in MONITOR's escaped form; more than
    /// [`ShapeRule::arguments_max`] aren't needed), of which there are `total`.
    pub fn shape(self, arguments: &[&[u8]], total: usize) -> Shape {
        let shown = arguments.get(usize::from(self.hidden)..).unwrap_or_default();
        let mut shape = Shape::default();
        match self.reads {
            Reads::All => {}
            Reads::Glob => shape.push(if shown.first() == Some(&b"*".as_slice()) {
                "*"
            } else {
                "?"
            }),
            Reads::Named => {
                shape.push(magnitude(total.saturating_sub(self.hidden.into())));
                shape.push(if self.hidden == 0 { "keys" } else { "fields" });
            }
            Reads::Streams => {
                let options = shown.iter().take_while(|argument| !is_word(argument, "STREAMS"));
                options.for_each(|argument| shape.push_argument(argument));
            }
            _ => shown
                .iter()
                .take(ARGUMENTS_MAX)
                .for_each(|argument| shape.push_argument(argument)),
        }
        shape.full_scan = self.is_full(shown);
        shape
    }

    fn is_full(self, shown: &[&[u8]]) -> bool {
        let limited = || {
            shown
                .iter()
                .any(|argument| is_word(argument, "LIMIT") || is_word(argument, "COUNT"))
        };
        match self.reads {
            Reads::All | Reads::Glob | Reads::Scan => true,
            Reads::Range => matches!(shown, [first, last, ..] if is_everything(first, last)) && !limited(),
            Reads::Sorted => !limited(),
            Reads::Named | Reads::Some | Reads::Streams => false,
        }
    }
}

/// The shape of one command: a short text that is copied, compared and hashed as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    text: [u8; TEXT_MAX],
    length: u8,
    full_scan: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            text: [0; TEXT_MAX],
            length: 0,
            full_scan: false,
        }
    }
}

impl Shape {
    /// Such as `0 -1 WITHSCORES`; empty when there is nothing to show.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether such a command reads a whole collection, or the whole keyspace.
    pub fn full_scan(&self) -> bool {
        self.full_scan
    }

    fn push_argument(&mut self, argument: &[u8]) {
        if let Some(word) = WORDS.iter().find(|word| is_word(argument, word)) {
            return self.push(word);
        }
        match argument {
            b"-" | b"+" | b"$" | b">" => self.push_bytes(argument),
            _ if is_infinite(argument) => self.push(if argument[0] == b'-' { "-inf" } else { "+inf" }),
            _ => match integer(argument) {
                Some(number) if is_shown(number) => self.push_bytes(argument),
                Some(_) => self.push("N"),
                None => self.push("?"),
            },
        }
    }

    fn push(&mut self, word: &str) {
        self.push_bytes(word.as_bytes());
    }

    /// Appends a word, or nothing when it doesn't fit.
    fn push_bytes(&mut self, word: &[u8]) {
        let start = usize::from(self.length);
        let space = usize::from(start > 0);
        let end = start + space + word.len();
        if end > TEXT_MAX {
            return;
        }
        self.text[start..start + space].fill(b' ');
        self.text[start + space..end].copy_from_slice(word);
        self.length = end as u8;
    }
}

/// The text of a signature; a command without a key has `-` for its pattern.
pub fn signature(command: &str, pattern: Option<&str>, shape: &str) -> String {
    let pattern = pattern.unwrap_or("-");
    if shape.is_empty() {
        return format!("{command} | {pattern}");
    }
    format!("{command} | {pattern} | {shape}")
}

fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

fn is_infinite(argument: &[u8]) -> bool {
    ["-inf", "+inf", "inf", "-infinity", "+infinity"]
        .iter()
        .any(|word| is_word(argument, word))
}

/// Both bounds as wide as they can be, in either direction.
fn is_everything(first: &[u8], last: &[u8]) -> bool {
    match (first, last) {
        (b"0", b"-1") | (b"-", b"+") | (b"+", b"-") => true,
        _ => is_infinite(first) && is_infinite(last) && first.starts_with(b"-") != last.starts_with(b"-"),
    }
}

fn integer(argument: &[u8]) -> Option<i64> {
    let digits = argument.strip_prefix(b"-").unwrap_or(argument);
    if digits.is_empty() || digits.len() > 9 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    let value = digits.iter().try_fold(0_i64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })?;
    Some(if digits.len() < argument.len() { -value } else { value })
}

/// Small, or a round COUNT.
fn is_shown(number: i64) -> bool {
    number.abs() <= 1000 || matches!(number, 10_000 | 100_000 | 1_000_000)
}

fn magnitude(count: usize) -> &'static str {
    match count {
        0..=1 => "1",
        2..=10 => "2-10",
        11..=100 => "11-100",
        101..=1000 => "101-1000",
        _ => ">1000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let mut words = line.split(' ');
        let command = words.next().unwrap_or_default();
        let arguments: Vec<&[u8]> = words.map(str::as_bytes).collect();
        let outcome = match ShapeRule::of(command) {
            None => "none".to_owned(),
            Some(rule) => {
                let seen = &arguments[..arguments.len().min(rule.arguments_max())];
                let shape = rule.shape(seen, arguments.len());
                format!("{}{}", shape.text(), if shape.full_scan() { " (full)" } else { "" })
            }
        };
        assert_eq!(outcome, expected, "{line}");
    }

    #[test]
    fn what_reads_everything_is_flagged() {
        check("KEYS *", "* (full)");
        check("KEYS user:*", "? (full)");
        check("HGETALL h", " (full)");
        check("SMEMBERS s", " (full)");
        check("LRANGE l 0 -1", "0 -1 (full)");
        check("ZRANGE z 0 -1 WITHSCORES", "0 -1 WITHSCORES (full)");
        check("ZRANGEBYSCORE z -inf +inf", "-inf +inf (full)");
        check("ZREVRANGEBYSCORE z INF -inf withscores", "+inf -inf WITHSCORES (full)");
        check("ZRANGE z -inf +inf byscore", "-inf +inf BYSCORE (full)");
        check("XRANGE x - +", "- + (full)");
        check("SCAN 0 MATCH user:* COUNT 10000", "MATCH ? COUNT 10000 (full)");
        check("HSCAN h 0 COUNT 500", "COUNT 500 (full)");
        check("SORT l", " (full)");
    }

    #[test]
    fn what_is_limited_is_not() {
        check("LRANGE l 0 99", "0 99");
        check("ZRANGEBYSCORE z -inf +inf LIMIT 0 10", "-inf +inf LIMIT 0 10");
        check("ZRANGEBYSCORE z 1790000000 +inf", "? +inf");
        check("XRANGE x - + COUNT 5", "- + COUNT 5");
        check("SORT l LIMIT 0 5", "LIMIT 0 5");
    }

    #[test]
    fn values_never_show() {
        check("ZRANGEBYLEX z [alice [bob", "? ?");
        check("SORT l BY weight_* GET secret_* ALPHA", "BY ? GET ? ALPHA (full)");
        check(
            "XREADGROUP GROUP billing worker-7 COUNT 10 STREAMS s >",
            "GROUP ? ? COUNT 10",
        );
        check("LRANGE l 123456 234567", "N N");
        check("LRANGE l 0123 1", "? 1");
        check("SET k 5", "none");
        check("HSET h f 1", "none");
    }

    #[test]
    fn many_keys_show_as_a_magnitude() {
        check("MGET a", "1 keys");
        check("MGET a b c", "2-10 keys");
        check("HMGET h a b c d e f g h i j k", "11-100 fields");
    }

    #[test]
    fn a_shape_ends_before_it_is_too_long() {
        check(
            "SORT l GET a GET b GET c GET d GET e GET f GET g",
            "GET ? GET ? GET ? GET ? GET ? GET (full)",
        );
    }
}
