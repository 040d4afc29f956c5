//! Secrets Manager: where passwords may be kept, and rotated.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::SecretString;

use super::api::{Account, AwsError};

/// The versions of a secret that may be in force during a rotation, the likeliest first.
pub const STAGES: [&str; 3] = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"];

impl Account {
    /// The text of a secret in one of its versions; `None` if there is no such version, or no text in it.
    pub async fn secret(&self, name: &str, stage: &str) -> Result<Option<SecretString>, AwsError> {
        let client = Client::new(self.config());
        let answer = client
            .get_secret_value()
            .secret_id(name)
            .version_stage(stage)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.secret_string().map(SecretString::from)),
            // A secret that isn't being rotated has only its current version.
            Err(error) if stage != STAGES[0] && is_absent(error.as_service_error()) => Ok(None),
            Err(error) => Err(self.failure("secretsmanager:GetSecretValue", &error)),
        }
    }
}

fn is_absent(error: Option<&impl ProvideErrorMetadata>) -> bool {
    error.and_then(ProvideErrorMetadata::code) == Some("ResourceNotFoundException")
}
