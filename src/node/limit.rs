//! Whether a server bounds by itself what it buffers for a client that doesn't read: the last line if our host vanishes.
//!
//! ```
//! use hotshard::node::ServerLimit;
//!
//! let limit = ServerLimit::of("normal 67108864 0 0 slave 268435456 67108864 60", "0", "0");
//! assert_eq!(limit.to_string(), "the server closes a client for which it holds 64 MiB");
//! ```

use std::fmt;

use crate::model::Bytes;

/// What the server does about a client that doesn't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerLimit {
    /// It closes a client for which it holds so much.
    Buffer(Bytes),
    /// It closes the largest clients when all together hold so much.
    Clients(Bytes),
    /// Nothing, until its memory is full.
    None,
    /// It doesn't let us see its configuration.
    Unknown,
}

impl ServerLimit {
    /// Reads the values of `client-output-buffer-limit`, `maxmemory-clients` and `maxmemory`, empty where the server has none.
    pub fn of(buffer_limit: &str, clients_max: &str, memory_max: &str) -> Self {
        if let Some(hard) = hard_limit_of_normal_clients(buffer_limit) {
            return Self::Buffer(hard);
        }
        let memory_max: u64 = memory_max.parse().unwrap_or(0);
        let clients = match clients_max.strip_suffix('%') {
            Some(percent) => percent.parse::<u64>().unwrap_or(0).saturating_mul(memory_max) / 100,
            None => clients_max.parse().unwrap_or(0),
        };
        match clients {
            0 => Self::None,
            bytes => Self::Clients(Bytes(bytes)),
        }
    }

    /// Whether the server acts before its memory is full.
    pub fn is_bounded(self) -> bool {
        matches!(self, Self::Buffer(_) | Self::Clients(_))
    }
}

impl fmt::Display for ServerLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffer(bytes) => write!(formatter, "the server closes a client for which it holds {bytes}"),
            Self::Clients(bytes) => write!(formatter, "the server closes its largest clients when all hold {bytes}"),
            Self::None => formatter.write_str(
                "the server holds any amount for a client that does not read; set client-output-buffer-limit normal or \
                 maxmemory-clients",
            ),
            Self::Unknown => formatter.write_str(
                "the server does not tell whether it bounds its buffers (CONFIG is not permitted); look at its parameter group \
                 for client-output-buffer-limit-normal-hard-limit, or permit elasticache:DescribeCacheParameters",
            ),
        }
    }
}

/// Of `normal 0 0 0 slave 268435456 67108864 60 pubsub …` the first number; zero is no limit.
fn hard_limit_of_normal_clients(value: &str) -> Option<Bytes> {
    let mut words = value.split_ascii_whitespace();
    words.find(|word| *word == "normal")?;
    let hard = words.next()?.parse().ok()?;
    (hard != 0).then_some(Bytes(hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check([buffer, clients, memory]: [&str; 3], expected: ServerLimit) {
        assert_eq!(ServerLimit::of(buffer, clients, memory), expected);
    }

    #[test]
    fn the_servers_own_limit_is_read_from_its_configuration() {
        const SERVER: &str = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        check([SERVER, "0", "0"], ServerLimit::None);
        check([SERVER, "", ""], ServerLimit::None);
        check(["", "", ""], ServerLimit::None);
        check(
            ["slave 1 1 60 normal 1048576 0 0", "5%", "1000"],
            ServerLimit::Buffer(Bytes(1 << 20)),
        );
        check([SERVER, "1000000", "0"], ServerLimit::Clients(Bytes(1_000_000)));
        check([SERVER, "5%", "1000000"], ServerLimit::Clients(Bytes(50_000)));
        // A part of no limit is none.
        check([SERVER, "5%", "0"], ServerLimit::None);
    }
}
