//! `[web]`: where to listen, and what may be asked.

use std::fmt;
use std::path::PathBuf;

use axum::http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::routes;

/// The settings of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSettings {
    /// Where to listen: one address or several.
    #[serde(deserialize_with = "one_or_several")]
    pub listen_address: Vec<ListenAddress>,
    /// The path of the metrics.
    pub telemetry_path: TelemetryPath,
    /// The address under which people reach the page, where that isn't the one it listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<ExternalUrl>,
    /// Whether reload, pause, resume and rounds may be asked for.
    pub enable_lifecycle: bool,
    /// Whether the archive may be asked in SQL.
    pub enable_sql: bool,
    /// Whether page and API answer on addresses that others can reach, though nobody has to say who they are.
    pub allow_unauthenticated: bool,
    /// Encryption and passwords.
    pub config: WebConfigSettings,
}

/// `[web.config]`: where encryption and passwords are set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfigSettings {
    /// The file, in the form that Prometheus exporters share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            listen_address: vec![ListenAddress("127.0.0.1:9468".to_owned())],
            telemetry_path: TelemetryPath("/metrics".to_owned()),
            external_url: None,
            enable_lifecycle: false,
            enable_sql: false,
            allow_unauthenticated: false,
            config: WebConfigSettings::default(),
        }
    }
}

/// A path that no other route has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TelemetryPath(String);

/// Why a text is no path for the metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryPathError {
    /// It isn't a plain path.
    #[error("`{0}` is no path for the metrics; write one such as /metrics, of letters, digits and -._/")]
    NotPlain(String),
    /// Something else is there.
    #[error("`{0}` is taken by the page, the API or health; write another path such as /metrics")]
    Taken(String),
}

impl TelemetryPath {
    /// The path, with its slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TelemetryPath {
    type Error = TelemetryPathError;

    fn try_from(path: String) -> Result<Self, TelemetryPathError> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/".contains(letter);
        if !path.starts_with('/') || !path.chars().all(plain) {
            return Err(TelemetryPathError::NotPlain(path));
        }
        if routes::is_taken(&path) {
            return Err(TelemetryPathError::Taken(path));
        }
        Ok(Self(path))
    }
}

impl From<TelemetryPath> for String {
    fn from(path: TelemetryPath) -> Self {
        path.0
    }
}

impl fmt::Display for TelemetryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// `http://host` or `https://host`, with a port and a path as they apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalUrl {
    text: String,
    host: String,
}

/// Why a text is no address of the page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a page; write one such as https://hotshard.example.com")]
pub struct ExternalUrlError(String);

impl ExternalUrl {
    /// The host that it names.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl TryFrom<String> for ExternalUrl {
    type Error = ExternalUrlError;

    fn try_from(text: String) -> Result<Self, ExternalUrlError> {
        let url = text.parse::<Uri>().ok();
        let host = url
            .filter(|url| matches!(url.scheme_str(), Some("http" | "https")))
            .and_then(|url| url.host().map(str::to_owned));
        match host {
            Some(host) => Ok(Self { text, host }),
            None => Err(ExternalUrlError(text)),
        }
    }
}

impl From<ExternalUrl> for String {
    fn from(url: ExternalUrl) -> Self {
        url.text
    }
}

/// `host:port`, `[address]:port`, or `:port` for every address of the machine.
#[derive(Clone, PartialEq, Eq)]
pub struct ListenAddress(String);

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address to listen on; write host:port, [address]:port for IPv6, or :port for every address")]
pub struct ListenAddressError(String);

impl ListenAddress {
    /// The host without brackets, empty for every address.
    pub fn host(&self) -> &str {
        self.parts().0
    }

    /// The port; 0 lets the system choose.
    pub fn port(&self) -> u16 {
        self.parts().1
    }

    fn parts(&self) -> (&str, u16) {
        split(&self.0).expect("the constructor refuses what can't be split")
    }
}

fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(open) => open.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((bare, port.parse().ok()?))
}

impl std::str::FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        match split(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(ListenAddressError(text.to_owned())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ListenAddress>, D::Error> {
    struct OneOrSeveral;

    impl<'de> serde::de::Visitor<'de> for OneOrSeveral {
        type Value = Vec<ListenAddress>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an address such as \"127.0.0.1:9468\", or a list of them")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.split(',')
                .map(|address| address.trim().parse().map_err(E::custom))
                .collect()
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut addresses = Vec::new();
            while let Some(address) = list.next_element()? {
                addresses.push(address);
            }
            if addresses.is_empty() {
                return Err(serde::de::Error::invalid_length(0, &self));
            }
            Ok(addresses)
        }
    }

    deserializer.deserialize_any(OneOrSeveral)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str, expected: &str) {
        let outcome = match toml::from_str::<WebSettings>(toml) {
            Ok(settings) => format!("{:?}", settings.listen_address),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn one_address_or_several() {
        check("", "[127.0.0.1:9468]");
        check("listen_address = ':9468'", "[:9468]");
        check(
            "listen_address = ['[::1]:0', 'localhost:80']",
            "[[::1]:0, localhost:80]",
        );
        check("listen_address = '127.0.0.1:1, [::1]:1'", "[127.0.0.1:1, [::1]:1]");
    }

    #[test]
    fn a_mistake_is_named_with_its_cure() {
        check(
            "telemetry_path = 'metrics'",
            "`metrics` is no path for the metrics; write one such as /metrics, of letters, digits and -._/",
        );
        check(
            "telemetry_path = '/healthz'",
            "`/healthz` is taken by the page, the API or health; write another path such as /metrics",
        );
        check(
            "external_url = 'hotshard.example.com'",
            "`hotshard.example.com` is no address of a page; write one such as https://hotshard.example.com",
        );
        check(
            "listen_address = '::1:9468'",
            "`::1:9468` is no address to listen on; write host:port, [address]:port for IPv6, or :port for every address",
        );
        check(
            "listen_address = []",
            "invalid length 0, expected an address such as \"127.0.0.1:9468\", or a list of them",
        );
        check(
            "listen = 'x'",
            concat!(
                "unknown field `listen`, expected one of `listen_address`, `telemetry_path`, `external_url`, ",
                "`enable_lifecycle`, `enable_sql`, `allow_unauthenticated`, `config`"
            ),
        );
    }
}
