//! Passwords that AWS gives: IAM tokens, and secrets that are kept and rotated by Secrets Manager.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::CredentialsError;
use crate::discovery::elasticache::SharedAccount;
use crate::discovery::elasticache::secret::STAGES;
use crate::model::{GroupId, Timestamp};
use crate::node::iam::{self, IamLogin};

/// How long a secret stands before AWS is asked again: a cluster of hundreds of nodes is one question, not hundreds.
const SECRET_KEPT: Duration = Duration::from_secs(60);

/// What tokens and secrets need besides the settings.
#[derive(Clone, Debug)]
pub struct AwsIdentity {
    /// Who asks AWS, and signs tokens.
    pub account: SharedAccount,
    /// The cache that tokens are for, by its id.
    pub cache: GroupId,
    /// Whether that is a serverless cache.
    pub serverless: bool,
    /// Tells the time that goes into a token.
    pub now: fn() -> Timestamp,
}

/// A user whose password is a fresh token for each connection.
#[derive(Clone, Debug)]
pub(super) struct Iam {
    pub(super) user: String,
    pub(super) identity: AwsIdentity,
}

/// A secret whose versions are passwords.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) field: Option<String>,
    pub(super) account: SharedAccount,
    pub(super) kept: Arc<Mutex<Option<Kept>>>,
}

/// What AWS answered last, and when.
pub(super) type Kept = (Instant, Vec<SecretString>);

impl Iam {
    pub(super) async fn token(&self) -> Result<SecretString, CredentialsError> {
        let account = self.identity.account.get().await?;
        let login = IamLogin {
            user: self.user.clone(),
            cache: self.identity.cache.clone(),
            region: account.region().clone(),
            serverless: self.identity.serverless,
        };
        Ok(iam::token(
            &login,
            &account.credentials().await?,
            (self.identity.now)(),
        )?)
    }
}

impl Secret {
    /// The passwords of all versions that may be in force, each once.
    pub(super) async fn passwords(&self) -> Result<Vec<SecretString>, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some((asked, passwords)) = kept.as_ref()
            && asked.elapsed() < SECRET_KEPT
        {
            return Ok(passwords.clone());
        }
        let passwords = self.ask().await?;
        *kept = Some((Instant::now(), passwords.clone()));
        Ok(passwords)
    }

    async fn ask(&self) -> Result<Vec<SecretString>, CredentialsError> {
        let account = self.account.get().await?;
        let mut passwords: Vec<SecretString> = Vec::new();
        for stage in STAGES {
            let Some(text) = account.secret(&self.name, stage).await? else {
                continue;
            };
            let password = self.field_of(&text)?;
            if passwords
                .iter()
                .all(|known| known.expose_secret() != password.expose_secret())
            {
                passwords.push(password);
            }
        }
        match passwords.is_empty() {
            true => Err(CredentialsError::NoText(self.name.clone())),
            false => Ok(passwords),
        }
    }

    fn field_of(&self, text: &SecretString) -> Result<SecretString, CredentialsError> {
        let Some(field) = &self.field else {
            return Ok(text.clone());
        };
        let parsed: Option<serde_json::Value> = serde_json::from_str(text.expose_secret()).ok();
        let value = parsed.as_ref().and_then(|value| value.get(field)?.as_str());
        value
            .map(SecretString::from)
            .ok_or_else(|| CredentialsError::NoField(self.name.clone(), field.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: Option<&str>, text: &str, expected: &str) {
        let secret = Secret {
            name: "orders".into(),
            field: field.map(str::to_owned),
            account: SharedAccount::new(Default::default()),
            kept: Arc::default(),
        };
        let shown = match secret.field_of(&text.into()) {
            Ok(password) => password.expose_secret().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_secret_is_a_text_or_a_field_of_json() {
        check(None, "hunter2", "hunter2");
        check(Some("password"), r#"{"username":"u","password":"hunter2"}"#, "hunter2");
        let missing = "the secret orders has no text under password (auth.secret_field)";
        check(Some("password"), r#"{"token":"hunter2"}"#, missing);
        check(Some("password"), "hunter2", missing);
    }
}
