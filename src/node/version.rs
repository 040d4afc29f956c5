//! A server's version, and INFO as that version takes it.

use super::link::field;
use super::raw::Command;

/// A server's version as far as it decides what may be asked. Valkey tells the Redis version it is compatible with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the first dot.
    pub major: u16,
    /// After it.
    pub minor: u16,
}

impl Version {
    /// Reads `redis_version` from INFO's section `server`; zero if it isn't there.
    pub fn of_info(info: &str) -> Self {
        let written = field(info, "redis_version").unwrap_or_default();
        let mut parts = written.split('.').map(|part| part.parse().unwrap_or(0));
        Self {
            major: parts.next().unwrap_or(0),
            minor: parts.next().unwrap_or(0),
        }
    }

    /// Whether CLIENT LIST finds a client by its number: without that nobody can see what the server holds for us.
    pub fn lists_clients_by_id(self) -> bool {
        self >= Self { major: 6, minor: 2 }
    }

    /// Whether INFO takes several sections in one call.
    pub fn takes_sections(self) -> bool {
        self >= Self { major: 7, minor: 0 }
    }
}

/// INFO as this version takes it.
pub(super) fn info(version: Version, sections: &[&str]) -> Command {
    let command = Command::new("INFO");
    match sections {
        [one] => command.arg(*one),
        several if version.takes_sections() => command.arg(several),
        _ => command.arg("all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_how_info_is_asked() {
        let asked = |info_text: &str, sections: &[&str]| {
            let packed = info(Version::of_info(info_text), sections).packed.get_packed_command();
            String::from_utf8_lossy(&packed).replace("\r\n", " ")
        };
        assert_eq!(
            asked("redis_version:7.0.15\r\n", &["cpu", "stats"]),
            "*3 $4 INFO $3 cpu $5 stats "
        );
        assert_eq!(
            asked("redis_version:6.2.14\r\n", &["cpu", "stats"]),
            "*2 $4 INFO $3 all "
        );
        assert_eq!(asked("", &["server"]), "*2 $4 INFO $6 server ");
    }
}
