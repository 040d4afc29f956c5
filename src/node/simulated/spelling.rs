//! How an order is spelled: its arguments as the client or the replication stream writes them, the reply's size, and MONITOR's line.

use std::sync::LazyLock;
use std::time::Duration;

use super::key::{Key, Kind};
use super::traffic::{Order, Origin};
use super::verb::Verb;
use crate::model::Timestamp;

/// Which of its two lives an order is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the client sent it.
    Sent,
    /// As it reaches a replica: rewritten where the server rewrites.
    Replicated,
}

/// The text that values are cut from: quotes, a backslash, a line break and UTF-8 are in it, as in real ones.
static VALUES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let one =
        "{\"id\":48213,\"name\":\"Zoë\",\"path\":\"C:\\tmp\",\"note\":\"line\nbreak\",\"tags\":[1,2,3],\"ok\":true},";
    one.as_bytes().repeat(64)
});

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// The value of so many bytes that the dice choose.
pub(super) fn value(kind: Kind, length: u32, dice: u32) -> &'static [u8] {
    let pool: &'static [u8] = if kind == Kind::Zeros { &ZEROS } else { &VALUES };
    let length = (length as usize).min(pool.len());
    let start = dice as usize % (pool.len() - length + 1).min(97);
    &pool[start..start + length]
}

/// Hands every argument to `put`, the command first.
pub(super) fn arguments(order: &Order, key: Option<&Key>, form: Form, at: Timestamp, put: &mut impl FnMut(&[u8])) {
    let spelled = Spelled { order, key, at };
    match form {
        Form::Sent => spelled.sent(put),
        Form::Replicated => spelled.replicated(put),
    }
}

struct Spelled<'a> {
    order: &'a Order,
    key: Option<&'a Key>,
    at: Timestamp,
}

impl Spelled<'_> {
    fn sent(&self, put: &mut impl FnMut(&[u8])) {
        let dice = self.order.dice;
        self.command(put);
        if let Some(key) = self.key
            && self.order.verb != Verb::EvalSha
        {
            put(key.name.as_bytes());
        }
        match self.order.verb {
            Verb::Set => {
                put(self.value());
                if self.key.is_some_and(|key| key.expires) {
                    put(b"EX");
                    put(b"1800");
                }
            }
            Verb::Expire => put(b"1800"),
            Verb::HGet => self.field(put),
            Verb::HSet => {
                self.field(put);
                put(self.value());
            }
            Verb::HIncrBy => {
                self.field(put);
                put(b"1");
            }
            Verb::ZAdd => {
                put((dice % 100_000).to_string().as_bytes());
                self.member(put);
            }
            Verb::ZIncrBy => {
                put(b"5");
                self.member(put);
            }
            Verb::ZRevRange if self.whole() => ["0", "-1"].iter().for_each(|text| put(text.as_bytes())),
            Verb::ZRevRange => ["0", "9", "WITHSCORES"].iter().for_each(|text| put(text.as_bytes())),
            Verb::LPush => put(self.value()),
            Verb::LTrim => ["0", "199"].iter().for_each(|text| put(text.as_bytes())),
            Verb::LRange => ["0", "19"].iter().for_each(|text| put(text.as_bytes())),
            Verb::EvalSha => {
                put(b"6b1bf486c81ceb7edf3c093f4c48582e38c0e791");
                put(b"1");
                put(self.key.map_or(b"", |key| key.name.as_bytes()));
                put(b"60");
            }
            Verb::Keys => put(b"cart:*:archived"),
            _ => {}
        }
    }

    fn replicated(&self, put: &mut impl FnMut(&[u8])) {
        let name = self.key.map_or(&b""[..], |key| key.name.as_bytes());
        match self.order.verb {
            Verb::Set if self.key.is_some_and(|key| key.expires) => {
                [b"SET", name, self.value(), b"PXAT"].into_iter().for_each(&mut *put);
                put(self.expiry().as_bytes());
            }
            Verb::Expire => {
                [b"PEXPIREAT", name].into_iter().for_each(&mut *put);
                put(self.expiry().as_bytes());
            }
            Verb::Del => [b"DEL", name].into_iter().for_each(&mut *put),
            Verb::Ping => put(b"ping"),
            Verb::Select => [&b"SELECT"[..], b"0"].into_iter().for_each(&mut *put),
            _ => self.sent(put),
        }
    }

    /// A third of the applications write commands in lower case.
    fn command(&self, put: &mut impl FnMut(&[u8])) {
        let name = self.order.verb.name().as_bytes();
        if matches!(self.order.origin, Origin::App(number) if number % 3 == 0) {
            return put(name);
        }
        let mut upper = [0; 16];
        let upper = &mut upper[..name.len().min(16)];
        upper.copy_from_slice(&name[..upper.len()]);
        upper.make_ascii_uppercase();
        put(upper);
    }

    fn value(&self) -> &'static [u8] {
        self.key.map_or(b"", |key| value(key.kind, key.item, self.order.dice))
    }

    fn field(&self, put: &mut impl FnMut(&[u8])) {
        let Some(key) = self.key else { return };
        put(key.field(self.order.dice % key.count.max(1)).as_bytes());
    }

    fn member(&self, put: &mut impl FnMut(&[u8])) {
        let count = self.key.map_or(1, |key| key.count.max(1));
        put(Key::member(self.order.dice % count).as_bytes());
    }

    fn whole(&self) -> bool {
        self.key.is_some_and(|key| key.whole)
    }

    fn expiry(&self) -> String {
        let moment = self.order.at.min(self.at) + Duration::from_secs(1800);
        (moment.0 / 1000).to_string()
    }
}

/// How many bytes the reply takes.
pub(super) fn reply_size(order: &Order, key: Option<&Key>) -> u64 {
    let Some(key) = key else {
        return match order.verb {
            Verb::Ping => 7,
            _ => 4,
        };
    };
    let (item, count) = (u64::from(key.item), u64::from(key.count));
    match order.verb {
        Verb::Get if order.missed => 5,
        Verb::Get | Verb::HGet => bulk(item),
        Verb::HGetAll => {
            let names: u64 = (0..key.count).map(|index| bulk(key.field(index).len() as u64)).sum();
            array(2 * count) + names + count * bulk(item)
        }
        Verb::LRange => array(count.min(20)) + count.min(20) * bulk(item),
        Verb::ZRevRange if key.whole => array(count) + count * bulk(item),
        // Scores are five digits.
        Verb::ZRevRange => array(20) + 10 * (bulk(item) + bulk(5)),
        Verb::ZIncrBy => bulk(5),
        Verb::Set | Verb::LTrim => 5,
        Verb::HLen => 3 + digits(count),
        Verb::LPush => 6,
        Verb::Incr | Verb::EvalSha => 6,
        _ => 4,
    }
}

/// How many bytes a command takes on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WireSize {
    arguments: u64,
    /// The arguments' own bytes.
    pub(super) content: u64,
    framed: u64,
}

impl WireSize {
    pub(super) fn add(&mut self, argument: &[u8]) {
        self.arguments += 1;
        self.content += argument.len() as u64;
        self.framed += bulk(argument.len() as u64);
    }

    pub(super) fn total(&self) -> u64 {
        array(self.arguments) + self.framed
    }
}

/// Bytes of a bulk string's reply.
fn bulk(length: u64) -> u64 {
    digits(length) + length + 5
}

fn array(items: u64) -> u64 {
    digits(items) + 3
}

fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0)) + 1
}

/// Begins a line of MONITOR: time, database and who sent it.
pub(super) fn open_line(line: &mut Vec<u8>, at: Timestamp, source: &str) {
    let head = format!("+{}.{:06} [0 {source}]", at.0 / 1_000_000, at.0 % 1_000_000);
    line.extend_from_slice(head.as_bytes());
}

/// One argument more, quoted as the server quotes.
pub(super) fn quote(line: &mut Vec<u8>, argument: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(b" \"");
    for &byte in argument {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &[u8], expected: &str) {
        let mut line = Vec::new();
        open_line(&mut line, Timestamp(1_795_202_082_056_081), "10.0.0.1:6379");
        quote(&mut line, argument);
        let expected = format!("+1795202082.056081 [0 10.0.0.1:6379] {expected}");
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }

    #[test]
    fn lines_are_quoted_as_the_server_quotes() {
        check(b"plain text", r#""plain text""#);
        check(b"q\"uote\\", r#""q\"uote\\""#);
        check(b"\n\r\t\x07\x08\x00\x7f", r#""\n\r\t\a\b\x00\x7f""#);
        check("Zoë".as_bytes(), r#""Zo\xc3\xab""#);
    }
}
