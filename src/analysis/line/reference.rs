//! The slow, obvious reading of a line, against which the fast one is held, and the server's own way to print an argument.

use crate::analysis::window::Rejection;

/// A line, read whole and byte by byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Obvious {
    pub(crate) micros: u64,
    pub(crate) database: u32,
    pub(crate) source: Vec<u8>,
    /// As printed.
    pub(crate) arguments: Vec<Vec<u8>>,
}

/// Reads one line without its line end.
pub(crate) fn read(line: &[u8]) -> Result<Obvious, Rejection> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"+").unwrap_or(line);
    let blank = line.iter().position(|&byte| byte == b' ').ok_or(Rejection::Timestamp)?;
    let (stamp, rest) = line.split_at(blank);
    let micros = micros(stamp).ok_or(Rejection::Timestamp)?;
    let rest = rest.strip_prefix(b" [").ok_or(Rejection::Timestamp)?;
    let blank = rest.iter().position(|&byte| byte == b' ').ok_or(Rejection::Source)?;
    let database = std::str::from_utf8(&rest[..blank])
        .ok()
        .and_then(|text| text.parse().ok());
    let database = database.ok_or(Rejection::Source)?;
    let rest = &rest[blank + 1..];
    for close in 0..rest.len() {
        if rest[close..].starts_with(b"] \"")
            && let Ok(arguments) = arguments(&rest[close + 2..])
        {
            let source = rest[..close].to_vec();
            // An address has something before its last colon.
            let address = source
                .iter()
                .rposition(|&byte| byte == b':')
                .is_some_and(|colon| colon > 0);
            if source != b"lua" && !address {
                return Err(Rejection::Source);
            }
            return Ok(Obvious {
                micros,
                database,
                source,
                arguments,
            });
        }
    }
    Err(Rejection::Arguments)
}

/// Prints an argument as servers do, without the quotes around it.
pub(crate) fn print(argument: &[u8]) -> Vec<u8> {
    let mut printed = Vec::new();
    for &byte in argument {
        match byte {
            b'\\' | b'"' => printed.extend([b'\\', byte]),
            b'\n' => printed.extend(b"\\n"),
            b'\r' => printed.extend(b"\\r"),
            b'\t' => printed.extend(b"\\t"),
            0x07 => printed.extend(b"\\a"),
            0x08 => printed.extend(b"\\b"),
            b' '..=b'~' => printed.push(byte),
            _ => printed.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    printed
}

fn micros(stamp: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(stamp).ok()?;
    let (seconds, fraction) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 12 || fraction.len() != 6 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    Some(seconds.parse::<u64>().ok()? * 1_000_000 + fraction.parse::<u64>().ok()?)
}

/// `"a" "b" "c"`, to the end.
fn arguments(text: &[u8]) -> Result<Vec<Vec<u8>>, Rejection> {
    let mut arguments = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.strip_prefix(b"\"").ok_or(Rejection::Arguments)?;
        let mut argument = Vec::new();
        loop {
            match rest {
                [b'\\', escaped, after @ ..] => {
                    argument.extend([b'\\', *escaped]);
                    rest = after;
                }
                [b'"', after @ ..] => {
                    rest = after;
                    break;
                }
                [byte, after @ ..] => {
                    argument.push(*byte);
                    rest = after;
                }
                [] => return Err(Rejection::Arguments),
            }
        }
        arguments.push(argument);
        if rest.is_empty() {
            return Ok(arguments);
        }
        rest = rest.strip_prefix(b" ").ok_or(Rejection::Arguments)?;
    }
}
