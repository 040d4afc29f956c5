//! The web configuration file: what may stand in it, and what is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use axum::http::{HeaderName, HeaderValue};
use serde::Deserialize;

/// Why the web configuration file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// It, or a file that it names, can't be read.
    #[error("cannot read {path} ({setting}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It isn't what such a file is.
    #[error("{path} (web.config.file) is no web configuration file: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// Something in it has a value that can't be used.
    #[error("web.config.file: {0}")]
    Unusable(String),
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebConfig {
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    text: String,
    #[serde(rename = "tls_server_config")]
    pub(super) tls: Option<TlsConfig>,
    #[serde(default)]
    http_server_config: HttpConfig,
    #[serde(default)]
    basic_auth_users: HashMap<String, String>,
}

/// `tls_server_config`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsConfig {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) client_auth_type: String,
    #[serde(default)]
    pub(super) min_version: String,
    #[serde(default)]
    pub(super) max_version: String,
    #[serde(default)]
    pub(super) cipher_suites: Vec<String>,
    #[serde(default)]
    pub(super) curve_preferences: Vec<String>,
    #[serde(default = "yes")]
    pub(super) prefer_server_cipher_suites: bool,
}

/// `http_server_config`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpConfig {
    // Understood and without effect: there is no HTTP/2 here.
    #[serde(default, rename = "http2")]
    _http2: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// The headers that may be added, as exporters have it.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// What the file and the files that it names hold.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Contents {
    text: String,
    pub(super) certificates: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_authorities: Option<Vec<u8>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There is a key in it.
        formatter.write_str("Contents")
    }
}

impl WebConfig {
    pub(super) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let bytes = bytes(path, "web.config.file")?;
        let malformed = |reason: String| WebConfigError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let text = String::from_utf8(bytes).map_err(|_| malformed("it isn't UTF-8".to_owned()))?;
        // An empty file asks for nothing, which is allowed.
        let source = if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
        {
            "{}"
        } else {
            &text
        };
        let config: Self = serde_yaml_ng::from_str(source).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            text,
            ..config
        })
    }

    /// Everything that decides what the rules are, read now.
    pub(super) fn contents(&self) -> Result<Contents, WebConfigError> {
        let mut contents = Contents {
            text: self.text.clone(),
            ..Contents::default()
        };
        if let Some(tls) = &self.tls {
            // Paths are relative to the file that names them.
            let beside = |path: &Path| self.path.parent().unwrap_or(Path::new("")).join(path);
            contents.certificates = bytes(&beside(&tls.cert_file), "cert_file")?;
            contents.key = bytes(&beside(&tls.key_file), "key_file")?;
            contents.client_authorities = match &tls.client_ca_file {
                Some(path) => Some(bytes(&beside(path), "client_ca_file")?),
                None => None,
            };
        }
        Ok(contents)
    }

    pub(super) fn users(&self) -> Result<HashMap<String, String>, WebConfigError> {
        for (user, hash) in &self.basic_auth_users {
            // The hash itself stays unsaid.
            if hash.parse::<bcrypt::HashParts>().is_err() {
                return Err(WebConfigError::Unusable(format!(
                    "the password of {user} in basic_auth_users is no bcrypt hash; make one with `htpasswd -nBC 10 {user}`"
                )));
            }
        }
        Ok(self.basic_auth_users.clone())
    }

    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, WebConfigError> {
        let pair = |(name, value): (&String, &String)| {
            let known = HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name));
            let pair = (name.parse::<HeaderName>(), value.parse::<HeaderValue>());
            match pair {
                (Ok(name), Ok(value)) if known => Ok((name, value)),
                _ => Err(WebConfigError::Unusable(format!(
                    "http_server_config.headers may hold {}, not {name}: {value}",
                    HEADERS.join(", ")
                ))),
            }
        };
        self.http_server_config.headers.iter().map(pair).collect()
    }
}

fn bytes(path: &Path, setting: &'static str) -> Result<Vec<u8>, WebConfigError> {
    std::fs::read(path).map_err(|source| WebConfigError::Unreadable {
        path: path.to_owned(),
        setting,
        source,
    })
}
