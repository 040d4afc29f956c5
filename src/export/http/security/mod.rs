//! Encryption and passwords, from the web configuration file that Prometheus exporters share.
//!
//! The file and the certificates it names are read again when they change; what can't be used changes nothing and is logged once.

mod encryption;
mod file;
mod passwords;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use file::{Contents, WebConfig};
use passwords::Passwords;

pub use file::WebConfigError;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the file says now. Clones see the same.
#[derive(Clone, Debug)]
pub(super) struct Security {
    file: Option<PathBuf>,
    now: Arc<ArcSwap<Rules>>,
}

/// What one version of the file says.
#[derive(Debug, Default)]
pub(super) struct Rules {
    contents: Contents,
    /// How connections are encrypted; `None` is plain HTTP.
    pub(super) encryption: Option<Arc<ServerConfig>>,
    /// Whether a connection proves who it is by its certificate.
    certified: bool,
    passwords: Passwords,
    /// Headers that the operator adds to every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Security {
    /// Reads the file, if there is one.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, WebConfigError> {
        let rules = match file {
            Some(path) => Rules::from_file(path)?,
            None => Rules::default(),
        };
        Ok(Self {
            file: file.map(Path::to_owned),
            now: Arc::new(ArcSwap::from_pointee(rules)),
        })
    }

    /// What holds now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.now.load_full()
    }

    /// Looks for changes until `shutdown`.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        let Some(path) = self.file.clone() else { return };
        let mut refused = None;
        while shutdown
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let (path, rules) = (path.clone(), self.rules());
            let looked = tokio::task::spawn_blocking(move || rules.changed(&path)).await;
            match looked {
                Ok(Ok(None)) => refused = None,
                Ok(Ok(Some(rules))) => {
                    self.now.store(Arc::new(rules));
                    refused = None;
                    tracing::info!("the web configuration file has changed and is in force");
                }
                Ok(Err(error)) => {
                    let text = error.to_string();
                    if refused.as_ref() != Some(&text) {
                        tracing::error!(
                            error = text,
                            "the web configuration file was not taken; what held before still holds"
                        );
                        refused = Some(text);
                    }
                }
                Err(error) => tracing::error!(%error, "looking at the web configuration file failed"),
            }
        }
    }
}

impl Rules {
    fn from_file(path: &Path) -> Result<Self, WebConfigError> {
        let config = WebConfig::read(path)?;
        let contents = config.contents()?;
        Self::new(&config, contents)
    }

    fn new(config: &WebConfig, contents: Contents) -> Result<Self, WebConfigError> {
        let encryption = config
            .tls
            .as_ref()
            .map(|tls| encryption::server_config(tls, &contents))
            .transpose()?;
        Ok(Self {
            encryption,
            certified: config.tls.as_ref().is_some_and(encryption::proves_clients),
            passwords: Passwords::new(config.users()?),
            headers: config.headers()?,
            contents,
        })
    }

    /// The rules that hold from now on, if they are others.
    fn changed(&self, path: &Path) -> Result<Option<Self>, WebConfigError> {
        let config = WebConfig::read(path)?;
        let contents = config.contents()?;
        if contents == self.contents {
            return Ok(None);
        }
        Self::new(&config, contents).map(Some)
    }

    /// Whether whoever gets in has said who they are.
    pub(super) fn authenticates(&self) -> bool {
        self.certified || !self.passwords.is_empty()
    }

    /// Whether a request's password is right; it is if none is asked for.
    pub(super) async fn admits(self: &Arc<Self>, headers: &HeaderMap) -> bool {
        self.passwords.is_empty() || self.passwords.check(headers.get(header::AUTHORIZATION)).await
    }
}
