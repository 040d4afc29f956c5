//! Who hotshard is to a server. The configuration says only where a password is found; it is read afresh for each
//! connection, so that a rotated file needs no restart, and it is never shown.

mod aws;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use aws::AwsIdentity;
use aws::{Iam, Secret};

use super::iam::IamError;
use crate::discovery::elasticache::AwsError;

/// A server ends the connection of an IAM user after twelve hours unless it logs in again.
const IAM_RENEWED_AFTER: Duration = Duration::from_secs(11 * 3600);

/// `[auth]`: where the password is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The user (RBAC); none is the default user (AUTH token).
    pub username: Option<String>,
    /// The environment variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password; one line end at its end is not part of it.
    pub password_file: Option<PathBuf>,
    /// The IAM user's id, which is its name too; its password is a token that is made for each connection.
    pub iam_user: Option<String>,
    /// The secret of AWS Secrets Manager that holds the password: its name or ARN.
    pub secret: Option<String>,
    /// The field of that secret, where it is JSON.
    pub secret_field: Option<String>,
}

/// Where logins come from. With several passwords each is tried in order, as a rotation needs it.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    username: Option<Arc<str>>,
    sources: Vec<Source>,
}

#[derive(Clone, Debug)]
enum Source {
    Given(SecretString),
    Environment(String),
    File(PathBuf),
    Iam(Iam),
    Secret(Secret),
}

/// One name and password to try.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) username: Option<Arc<str>>,
    pub(super) password: SecretString,
    /// Where the password came from, for a message: `in $REDIS_PASSWORD`.
    pub(super) origin: String,
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The variable isn't there.
    #[error("the environment variable {0} (auth.password_env) is not set; set it or name another")]
    NotSet(String),
    /// The variable's value is no text.
    #[error("the environment variable {0} (auth.password_env) is not valid UTF-8")]
    NotText(String),
    /// The file can't be read.
    #[error("cannot read {path} (auth.password_file): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// AWS gave none.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// No token could be made.
    #[error(transparent)]
    Iam(#[from] IamError),
    /// The secret is no text.
    #[error("the secret {0} (auth.secret) holds no text; store the password as a string")]
    NoText(String),
    /// The secret has another shape.
    #[error("the secret {0} has no text under {1} (auth.secret_field)")]
    NoField(String, String),
    /// There is a place for a password, but nothing in it.
    #[error("the password {0} is empty; leave the setting out if there is none")]
    Empty(String),
}

impl Credentials {
    /// No login at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// What the settings name. Nothing is read yet.
    pub fn new(settings: &AuthSettings) -> Self {
        let environment = settings.password_env.iter().cloned().map(Source::Environment);
        let file = settings.password_file.iter().cloned().map(Source::File);
        Self {
            username: settings.username.as_deref().map(Arc::from),
            sources: environment.chain(file).collect(),
        }
    }

    /// Adds what the settings name in AWS.
    #[must_use]
    pub fn with_aws(mut self, settings: &AuthSettings, identity: &AwsIdentity) -> Self {
        if let Some(name) = &settings.secret {
            self.sources.push(Source::Secret(Secret {
                name: name.clone(),
                field: settings.secret_field.clone(),
                account: identity.account.clone(),
                kept: Arc::default(),
            }));
        }
        if let Some(user) = &settings.iam_user {
            self.username = Some(Arc::from(user.as_str()));
            self.sources.push(Source::Iam(Iam {
                user: user.clone(),
                identity: identity.clone(),
            }));
        }
        self
    }

    /// The user, where there is one.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// After how long a connection must log in again; `None` if once is for good.
    pub fn renewed_after(&self) -> Option<Duration> {
        let is_iam = |source: &Source| matches!(source, Source::Iam(_));
        self.sources.iter().any(is_iam).then_some(IAM_RENEWED_AFTER)
    }

    /// A password that is in hand already.
    pub fn given(username: Option<&str>, password: SecretString) -> Self {
        Self {
            username: username.map(Arc::from),
            sources: vec![Source::Given(password)],
        }
    }

    /// Reads what there is to try, in order; nothing for a server without passwords.
    pub(super) async fn logins(&self) -> Result<Vec<Login>, CredentialsError> {
        let login = |password, origin: String| Login {
            username: self.username.clone(),
            password,
            origin,
        };
        if self.sources.is_empty() {
            // An RBAC user may be defined without a password; the server takes any.
            let nameless = self
                .username
                .iter()
                .map(|_| login(SecretString::default(), "(none is set)".into()));
            return Ok(nameless.collect());
        }
        let mut logins = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let passwords = source.read().await?;
            logins.extend(
                passwords
                    .into_iter()
                    .map(|password| login(password, source.to_string())),
            );
        }
        Ok(logins)
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<SecretString>, CredentialsError> {
        let text = match self {
            Self::Given(password) => return Ok(vec![password.clone()]),
            Self::Iam(iam) => return Ok(vec![iam.token().await?]),
            Self::Secret(secret) => return secret.passwords().await,
            Self::Environment(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => CredentialsError::NotSet(name.clone()),
                std::env::VarError::NotUnicode(_) => CredentialsError::NotText(name.clone()),
            })?,
            Self::File(path) => read_file(path).await?,
        };
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() {
            return Err(CredentialsError::Empty(self.to_string()));
        }
        Ok(vec![SecretString::from(password)])
    }
}

async fn read_file(path: &Path) -> Result<String, CredentialsError> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|source| CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        })
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => formatter.write_str("given"),
            Self::Environment(name) => write!(formatter, "in ${name}"),
            Self::File(path) => write!(formatter, "in {}", path.display()),
            Self::Iam(_) => formatter.write_str("made by IAM"),
            Self::Secret(secret) => write!(formatter, "in the secret {}", secret.name),
        }
    }
}

/// Names what was tried, for the message that nothing of it was accepted.
pub(super) fn origins(logins: &[Login]) -> String {
    let places: Vec<&str> = logins.iter().map(|login| login.origin.as_str()).collect();
    let places = places.join(" and the one ");
    match logins.first().and_then(|login| login.username.as_deref()) {
        Some(user) => format!("{places} for user {user}"),
        None => places,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn check(settings: AuthSettings, expected: &str) {
        let shown = match Credentials::new(&settings).logins().await {
            Ok(logins) => {
                let passwords: Vec<&str> = logins.iter().map(|login| login.password.expose_secret()).collect();
                format!("{passwords:?} {}", origins(&logins))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    fn in_file(path: &Path) -> AuthSettings {
        AuthSettings {
            password_file: Some(path.into()),
            ..AuthSettings::default()
        }
    }

    #[tokio::test]
    async fn a_password_file_is_read_again_for_each_connection() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        let shown = path.display();
        for (content, password) in [("first\n", "first"), ("second\r\n", "second"), (" third ", " third ")] {
            std::fs::write(&path, content).expect("the folder is writable");
            check(in_file(&path), &format!("[\"{password}\"] in {shown}")).await;
        }
        std::fs::write(&path, "\n").expect("the folder is writable");
        check(
            in_file(&path),
            &format!("the password in {shown} is empty; leave the setting out if there is none"),
        )
        .await;
        std::fs::remove_file(&path).expect("it was there");
        check(
            in_file(&path),
            &format!("cannot read {shown} (auth.password_file): No such file or directory (os error 2)"),
        )
        .await;
    }

    #[tokio::test]
    async fn a_missing_variable_is_named() {
        let settings = AuthSettings {
            password_env: Some("HOTSHARD_TEST_NO_SUCH_VARIABLE".into()),
            ..AuthSettings::default()
        };
        check(
            settings,
            "the environment variable HOTSHARD_TEST_NO_SUCH_VARIABLE (auth.password_env) is not set; set it or name another",
        )
        .await;
    }

    #[tokio::test]
    async fn nothing_is_tried_where_nothing_is_set_and_a_name_alone_goes_without_a_password() {
        check(AuthSettings::default(), "[] ").await;
        let named = AuthSettings {
            username: Some("monitor".into()),
            ..AuthSettings::default()
        };
        check(named, "[\"\"] (none is set) for user monitor").await;
    }

    #[test]
    fn a_password_shows_in_no_debug_output() {
        let credentials = Credentials::given(Some("monitor"), SecretString::from("planted-secret"));
        assert!(!format!("{credentials:?}").contains("planted-secret"));
    }
}
