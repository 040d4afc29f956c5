//! The password of an IAM user: a request that is signed for ElastiCache and never sent.
//!
//! Pure: credentials and the time come in, the token goes out. A token opens connections for 15 minutes;
//! an open connection lasts 12 hours unless it authenticates again.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use secrecy::SecretString;

use crate::model::{GroupId, Region, Timestamp};

/// How long a token opens connections.
const VALID_FOR: Duration = Duration::from_secs(900);

/// Who logs in to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamLogin {
    /// The user's id, which is also the user name.
    pub user: String,
    /// The replication group's or serverless cache's id, not its DNS name.
    pub cache: GroupId,
    /// Where it lives.
    pub region: Region,
    /// Whether it is a serverless cache.
    pub serverless: bool,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign an IAM token for {user} on {cache}: {reason}; check the user id and the region")]
pub struct IamError {
    user: String,
    cache: GroupId,
    reason: String,
}

/// The password for `login` at the moment `now`.
pub fn token(login: &IamLogin, credentials: &Credentials, now: Timestamp) -> Result<SecretString, IamError> {
    let fail = |reason: String| IamError {
        user: login.user.clone(),
        cache: login.cache.clone(),
        reason,
    };
    let uri = request_uri(login);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(VALID_FOR);
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(login.region.as_str())
        .name("elasticache")
        .time(SystemTime::UNIX_EPOCH + Duration::from_micros(now.0))
        .settings(settings)
        .build()
        .map_err(|error| fail(error.to_string()))?
        .into();
    let signable = SignableRequest::new("GET", &uri, std::iter::empty(), SignableBody::Bytes(b""))
        .map_err(|error| fail(error.to_string()))?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| fail(error.to_string()))?
        .into_parts();
    let mut request = http::Request::get(&uri)
        .body(())
        .map_err(|error| fail(error.to_string()))?;
    instructions.apply_to_request_http1x(&mut request);
    let signed = request.uri().to_string();
    Ok(signed.strip_prefix("http://").unwrap_or(&signed).into())
}

fn request_uri(login: &IamLogin) -> String {
    let (cache, user) = (login.cache.as_str().to_lowercase(), login.user.to_lowercase());
    let kind = if login.serverless {
        "&ResourceType=ServerlessCache"
    } else {
        ""
    };
    format!("http://{cache}/?Action=connect&User={user}{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// The signature AWS would make at 2026-01-02 03:04:05 UTC.
    fn check(serverless: bool, session: Option<&str>, signature: &str) {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session.map(str::to_owned),
            None,
            "test",
        );
        let login = IamLogin {
            user: "iam-user-01".into(),
            cache: "My-RG".into(),
            region: "us-east-1".into(),
            serverless,
        };
        let token = token(&login, &credentials, Timestamp(1_767_323_045_000_000)).expect("nothing to refuse");
        let text = token.expose_secret();
        assert!(text.starts_with("my-rg/?Action=connect&User=iam-user-01"), "{text}");
        assert!(text.contains(&format!("&X-Amz-Signature={signature}")), "{text}");
    }

    #[test]
    fn tokens_carry_the_signature_that_aws_expects() {
        check(
            false,
            None,
            "5ff90fe3217037918dafca536e46ef92e28a47ad5b7264acc9692e0ca696e361",
        );
        check(
            true,
            None,
            "27b4bdc74db8a3f2f94b1266db98f0f300d2a7737fbb2cee06cb4abcac2def74",
        );
        let session = Some("SESSION/TOKEN+==");
        check(
            false,
            session,
            "caf977c2fb04a6063f5b9aea81d89859ee2f3f8890bcdef82900938490273bf1",
        );
    }
}
