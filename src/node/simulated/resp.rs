//! RESP2 as a server speaks it: requests taken apart, replies put together.

/// What the bytes received so far hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A command and how many bytes it took; no arguments for an empty line.
    Whole(Vec<Vec<u8>>, usize),
    /// Not all of it has come.
    Partial,
    /// No request at all; the server says so and hangs up.
    Broken(&'static str),
}

/// A request holds no more than this; nothing that is asked of a stage comes near.
const ARGUMENTS_MAX: usize = 1024;
const REQUEST_MAX: usize = 1 << 20;

impl Request {
    /// Takes the first request of `bytes`: an array of bulk strings, or a line of words.
    pub(super) fn read(bytes: &[u8]) -> Self {
        if bytes.len() > REQUEST_MAX {
            return Self::Broken("Protocol error: too big request");
        }
        let Some((line, mut used)) = line(bytes, 0) else {
            return Self::Partial;
        };
        let Some(count) = line.strip_prefix(b"*") else {
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            return Self::Whole(words.map(<[u8]>::to_vec).collect(), used);
        };
        let Some(count) = number(count).filter(|count| *count <= ARGUMENTS_MAX) else {
            return Self::Broken("Protocol error: invalid multibulk length");
        };
        let mut arguments = Vec::with_capacity(count);
        for _ in 0..count {
            let Some((head, after)) = self::line(bytes, used) else {
                return Self::Partial;
            };
            let Some(length) = head
                .strip_prefix(b"$")
                .and_then(number)
                .filter(|length| *length <= REQUEST_MAX)
            else {
                return Self::Broken("Protocol error: invalid bulk length");
            };
            let Some(argument) = bytes
                .get(after..after + length)
                .filter(|_| bytes.len() >= after + length + 2)
            else {
                return Self::Partial;
            };
            arguments.push(argument.to_vec());
            used = after + length + 2;
        }
        Self::Whole(arguments, used)
    }
}

fn line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(from..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), from + end + 1))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
    /// Nothing: a second MONITOR is passed over in silence.
    Silence,
}

impl Reply {
    pub(super) const OK: Self = Self::Simple("OK");

    pub(super) fn bulk(text: impl Into<String>) -> Self {
        Self::Bulk(text.into().into_bytes())
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Self::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Self::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::Silence => {}
            Self::Bulk(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Array(items) => {
                out.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| item.write(out));
            }
        }
    }
}

impl From<usize> for Reply {
    fn from(number: usize) -> Self {
        Self::Integer(number as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: Request) {
        assert_eq!(Request::read(bytes.as_bytes()), expected);
    }

    fn whole(words: &[&str], used: usize) -> Request {
        Request::Whole(words.iter().map(|word| word.as_bytes().to_vec()).collect(), used)
    }

    #[test]
    fn requests_are_arrays_or_lines() {
        check("*2\r\n$4\r\nINFO\r\n$3\r\ncpu\r\n*1\r\n", whole(&["INFO", "cpu"], 23));
        check("PING  x\r\nPING\r\n", whole(&["PING", "x"], 9));
        check("\r\n", whole(&[], 2));
    }

    #[test]
    fn what_has_not_all_come_is_waited_for() {
        let request = "*2\r\n$4\r\nINFO\r\n$3\r\ncpu\r\n";
        for length in 0..request.len() {
            check(&request[..length], Request::Partial);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        check("*x\r\n", Request::Broken("Protocol error: invalid multibulk length"));
        check("*1\r\n+4\r\n", Request::Broken("Protocol error: invalid bulk length"));
    }
}
