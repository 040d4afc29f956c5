//! A MONITOR log of realistic traffic, the same one each time.

use std::fmt::Write as _;
use std::io::{self, Write};

/// What the log is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Twelve kinds of commands on keys of which few are touched often, by 200 clients.
    Mixed,
    /// As many different keys as lines.
    Distinct,
}

/// Writes `lines` lines.
pub(crate) fn write(traffic: Traffic, lines: u64, mut to: impl Write) -> io::Result<()> {
    let mut chance = Chance(0x5eed);
    let mut micros = 1_795_202_082_000_000_u64;
    let mut line = String::new();
    for number in 0..lines {
        micros += 1 + chance.below(11);
        line.clear();
        let (host, port) = (chance.below(200), 30_000 + chance.below(30_000));
        let _ = write!(line, "{}.{:06} ", micros / 1_000_000, micros % 1_000_000);
        let _ = write!(line, "[0 10.0.{}.{}:{port}] ", host / 50, host % 50 + 3);
        match traffic {
            Traffic::Mixed => command(&mut chance, &mut line),
            Traffic::Distinct => {
                let _ = write!(line, "\"GET\" \"session:{:016x}:{number}\"", chance.next());
            }
        }
        line.push('\n');
        to.write_all(line.as_bytes())?;
    }
    to.flush()
}

fn command(chance: &mut Chance, line: &mut String) {
    let user = chance.skewed(200_000);
    let value = "v".repeat(20 + chance.below(200) as usize);
    let _ = match chance.below(100) {
        0..45 => write!(line, "\"GET\" \"user:{}:profile\"", user + 100_000),
        45..55 => write!(
            line,
            "\"get\" \"session:{:032x}\"",
            u128::from(user) * 0x9e37_79b9_7f4a_7c15_f39c
        ),
        55..67 => write!(line, "\"SET\" \"cart:{{{user}}}:items\" \"{value}\" \"EX\" \"3600\""),
        67..77 => write!(line, "\"HGETALL\" \"product:{}\"", 10_000 + user % 5_000),
        77..82 => write!(
            line,
            "\"ZREVRANGE\" \"leaderboard:2026-11-{:02}\" \"0\" \"-1\"",
            user % 28 + 1
        ),
        82..87 => write!(
            line,
            "\"MGET\" \"user:{user}:profile\" \"user:{}:profile\" \"feature:{}\"",
            user + 1,
            user % 30
        ),
        87..92 => write!(line, "\"INCR\" \"ratelimit:10.0.0.{}\"", user % 200),
        92..95 => write!(line, "\"EXPIRE\" \"user:{user}:token\" \"300\""),
        95..98 => write!(
            line,
            "\"LPUSH\" \"queue:mail\" \"{{\\\"id\\\":{user},\\\"body\\\":\\\"{value}\\\"}}\""
        ),
        98 => write!(line, "\"EVALSHA\" \"{:040x}\" \"1\" \"lock:{user}\"", 0xab12),
        _ => write!(line, "\"PING\""),
    };
}

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// The small numbers far more often than the large ones: each power of two as often as the next.
    fn skewed(&mut self, limit: u64) -> u64 {
        let part = self.next() as f64 / u64::MAX as f64;
        (limit as f64).powf(part) as u64
    }
}
