//! Where a server listens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

/// A host (name or address, without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no `:port`.
    #[error("`{0}` has no port; write host:port, or [address]:port for IPv6")]
    NoPort(String),
    /// What stands for the port isn't one.
    #[error("`{0}` has no usable port; a port is a number from 1 to 65535")]
    BadPort(String),
    /// Nothing stands before the port.
    #[error("`{0}` has no host; write host:port")]
    NoHost(String),
    /// An IPv6 address without its brackets.
    #[error("`{0}` looks like an IPv6 address without brackets; write [address]:port")]
    Unbracketed(String),
}

impl Endpoint {
    /// An endpoint from its parts; brackets around an IPv6 address are taken off.
    pub fn new(host: impl AsRef<str>, port: u16) -> Self {
        let host = host.as_ref();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        Self {
            host: bare.into(),
            port,
        }
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Reads `host:port` or `host:port:name`; the name may hold anything but a colon.
    pub fn parse_named(text: &str) -> Result<(Self, Option<&str>), EndpointError> {
        let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
            inner
                .split_once("]:")
                .ok_or_else(|| EndpointError::NoPort(text.into()))?
        } else {
            text.split_once(':').ok_or_else(|| EndpointError::NoPort(text.into()))?
        };
        if host.is_empty() {
            return Err(if rest.starts_with(':') {
                EndpointError::Unbracketed(text.into())
            } else {
                EndpointError::NoHost(text.into())
            });
        }
        let (port, name) = match rest.split_once(':') {
            Some((port, name)) => (port, Some(name).filter(|name| !name.is_empty())),
            None => (rest, None),
        };
        if !text.starts_with('[') && rest.matches(':').count() > 1 {
            return Err(EndpointError::Unbracketed(text.into()));
        }
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| EndpointError::BadPort(text.into()))?;
        Ok((Self::new(host, port), name))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match Self::parse_named(text)? {
            (endpoint, None) => Ok(endpoint),
            (_, Some(_)) => Err(EndpointError::BadPort(text.into())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match Endpoint::parse_named(text) {
            Ok((endpoint, name)) => format!("{endpoint} {name:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn endpoints_read_as_people_write_them() {
        check("10.0.3.7:6379", "10.0.3.7:6379 None");
        check(
            "orders-0001-002.abc.cache.amazonaws.com:6379:0001",
            "orders-0001-002.abc.cache.amazonaws.com:6379 Some(\"0001\")",
        );
        check("[fd00::7]:6379:0002", "[fd00::7]:6379 Some(\"0002\")");
    }

    #[test]
    fn a_mistake_is_named_with_its_cure() {
        check(
            "redis",
            "`redis` has no port; write host:port, or [address]:port for IPv6",
        );
        check(
            "redis:0",
            "`redis:0` has no usable port; a port is a number from 1 to 65535",
        );
        check(
            "redis:99999",
            "`redis:99999` has no usable port; a port is a number from 1 to 65535",
        );
        check(":6379", "`:6379` has no host; write host:port");
        check(
            "fd00::7:6379",
            "`fd00::7:6379` looks like an IPv6 address without brackets; write [address]:port",
        );
        check(
            "[fd00::7]",
            "`[fd00::7]` has no port; write host:port, or [address]:port for IPv6",
        );
    }
}
