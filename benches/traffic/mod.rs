//! Lines of MONITOR as realistic traffic gives them, the same ones each time.

use std::fmt::Write as _;

/// One of twelve kinds of commands on keys of which few are touched often, by one of 200 clients.
pub(crate) fn mixed(chance: &mut Chance, micros: u64, line: &mut String) {
    head(chance, micros, line);
    command(chance, line);
}

/// Time and client.
pub(crate) fn head(chance: &mut Chance, micros: u64, line: &mut String) {
    let (host, port) = (chance.below(200), 30_000 + chance.below(30_000));
    let _ = write!(line, "{}.{:06} ", micros / 1_000_000, micros % 1_000_000);
    let _ = write!(line, "[0 10.0.{}.{}:{port}] ", host / 50, host % 50 + 3);
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
pub(crate) struct Chance(u64);

impl Chance {
    /// From the beginning.
    pub(crate) fn new() -> Self {
        Self(0x5eed)
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One from zero on.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// The small numbers far more often than the large ones: each power of two as often as the next.
    fn skewed(&mut self, limit: u64) -> u64 {
        let part = self.next() as f64 / u64::MAX as f64;
        (limit as f64).powf(part) as u64
    }
}
