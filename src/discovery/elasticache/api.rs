//! Asking AWS: the only place that calls its API.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError};
use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::error::{ProvideErrorMetadata, SdkError};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::listing::Listing;
use crate::model::Region;

/// AWS's largest page.
const PAGE: i32 = 100;

/// Who asks, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Access {
    /// The region; without one the profile's or the environment's is taken.
    pub region: Option<String>,
    /// The profile of the shared AWS configuration.
    pub profile: Option<String>,
    /// A role to assume, for caches of another account.
    pub role_arn: Option<String>,
    /// Another address for AWS's API, such as a VPC endpoint.
    pub endpoint_url: Option<String>,
}

/// Why AWS gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// Nobody says which region.
    #[error("no AWS region is set; set discovery.region, groups.region, AWS_REGION or a profile with a region")]
    NoRegion,
    /// Nobody says who we are.
    #[error("no usable AWS credentials: {0}; set a profile, an instance or pod role, or AWS_ACCESS_KEY_ID")]
    NoCredentials(String),
    /// We may not ask this.
    #[error("AWS does not permit {action} in {region}: {message}; `hotshard check` prints the policy it needs")]
    Denied {
        /// The IAM action.
        action: &'static str,
        /// Where.
        region: Region,
        /// AWS's words.
        message: String,
    },
    /// We asked too often.
    #[error("AWS throttles {action} in {region}; the last known topology is kept")]
    Throttled {
        /// The IAM action.
        action: &'static str,
        /// Where.
        region: Region,
    },
    /// The API can't be reached.
    #[error("cannot reach AWS for {action} in {region}: {reason}; check the network or set discovery.endpoint_url")]
    Unreachable {
        /// The IAM action.
        action: &'static str,
        /// Where.
        region: Region,
        /// What went wrong.
        reason: String,
    },
    /// AWS answered, but not with what was asked for.
    #[error("AWS refused {action} in {region}: {code}: {message}")]
    Refused {
        /// The IAM action.
        action: &'static str,
        /// Where.
        region: Region,
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The answer can't be read.
    #[error("AWS answered {action} in {region} with something that can't be read: {reason}")]
    Malformed {
        /// The IAM action.
        action: &'static str,
        /// Where.
        region: Region,
        /// What was wrong.
        reason: String,
    },
}

impl AwsError {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoRegion => "no_region",
            Self::NoCredentials(_) => "no_credentials",
            Self::Denied { .. } => "denied",
            Self::Throttled { .. } => "throttled",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// An [`Account`] that is opened when it is first needed. Clones share it, and with it the credentials it keeps fresh.
#[derive(Clone, Debug)]
pub struct SharedAccount {
    access: Access,
    account: Arc<OnceCell<Account>>,
}

impl SharedAccount {
    /// Nothing is read or asked yet.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            account: Arc::new(OnceCell::new()),
        }
    }

    /// One whose region and credentials are in hand already.
    pub fn given(region: &str, credentials: Credentials) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let account = Account {
            region: Region::new(region),
            client: Client::new(&config),
            config,
        };
        Self {
            access: Access {
                region: Some(region.to_owned()),
                ..Access::default()
            },
            account: Arc::new(OnceCell::new_with(Some(account))),
        }
    }

    /// Who asks, and where.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The account; the region and where credentials come from are found now if they weren't yet.
    pub async fn get(&self) -> Result<&Account, AwsError> {
        self.account.get_or_try_init(|| Account::open(&self.access)).await
    }
}

/// AWS as one [`Access`] sees it.
#[derive(Clone, Debug)]
pub struct Account {
    region: Region,
    config: SdkConfig,
    client: Client,
}

impl Account {
    /// Finds region and credentials' sources; nothing is asked yet.
    pub async fn open(access: &Access) -> Result<Self, AwsError> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &access.region {
            loader = loader.region(aws_config::Region::new(region.clone()));
        }
        if let Some(profile) = &access.profile {
            loader = loader
                .profile_name(profile)
                .credentials_provider(of_profile(profile, access).await);
        }
        let config = assume(loader.load().await, access).await;
        // The SDK would send the request to nowhere; without a region there is nothing to ask.
        let region = Region::new(config.region().ok_or(AwsError::NoRegion)?.as_ref());
        let mut own = aws_sdk_elasticache::config::Builder::from(&config);
        // Another address of ElastiCache is none of STS's or Secrets Manager's.
        if let Some(url) = &access.endpoint_url {
            own = own.endpoint_url(url);
        }
        let client = Client::from_conf(own.build());
        Ok(Self { region, config, client })
    }

    /// The region it asks in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The configuration, for another of AWS's services.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The credentials of this moment, refreshed by the SDK when they near their end.
    pub async fn credentials(&self) -> Result<Credentials, AwsError> {
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| AwsError::NoCredentials("no source is configured".into()))?;
        provider
            .provide_credentials()
            .await
            .map_err(|error| AwsError::NoCredentials(innermost(&error)))
    }

    /// Every cache of the region, page by page. Serverless caches are asked for only by who may see them.
    pub async fn list(&self) -> Result<Listing, AwsError> {
        let groups = self
            .client
            .describe_replication_groups()
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send();
        let clusters = self
            .client
            .describe_cache_clusters()
            .show_cache_node_info(true)
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send();
        let serverless = self
            .client
            .describe_serverless_caches()
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send();
        let (groups, clusters, serverless) = tokio::join!(
            groups.collect::<Result<Vec<_>, _>>(),
            clusters.collect::<Result<Vec<_>, _>>(),
            serverless.collect::<Result<Vec<_>, _>>(),
        );
        Ok(Listing {
            replication_groups: groups
                .map_err(|error| self.failure("elasticache:DescribeReplicationGroups", &error))?,
            cache_clusters: clusters.map_err(|error| self.failure("elasticache:DescribeCacheClusters", &error))?,
            serverless: serverless.or_else(|error| {
                let error = self.failure("elasticache:DescribeServerlessCaches", &error);
                if is_optional(&error) {
                    Ok(Vec::new())
                } else {
                    Err(error)
                }
            })?,
        })
    }

    /// The tags of one cache.
    pub async fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let answer = self.client.list_tags_for_resource().resource_name(arn).send().await;
        let answer = answer.map_err(|error| self.failure("elasticache:ListTagsForResource", &error))?;
        let tags = answer.tag_list().iter();
        Ok(tags
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect())
    }

    /// The values of a parameter group, which hold the server's output buffer limits.
    pub async fn parameters(&self, group: &str) -> Result<HashMap<String, String>, AwsError> {
        let pages = self
            .client
            .describe_cache_parameters()
            .cache_parameter_group_name(group)
            .into_paginator()
            .items()
            .send();
        let parameters = pages.collect::<Result<Vec<_>, _>>().await;
        let parameters = parameters.map_err(|error| self.failure("elasticache:DescribeCacheParameters", &error))?;
        Ok(parameters
            .iter()
            .filter_map(|one| Some((one.parameter_name()?.to_owned(), one.parameter_value()?.to_owned())))
            .collect())
    }

    /// The SDK's `DisplayErrorContext` would print the raw body of the answer; only code and message are shown.
    pub(super) fn failure<E, R>(&self, action: &'static str, error: &SdkError<E, R>) -> AwsError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let region = self.region.clone();
        match error {
            SdkError::ServiceError(service) => refusal(action, region, service.err()),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) if is_about_credentials(connector) => AwsError::NoCredentials(innermost(connector)),
                Some(connector) => AwsError::Unreachable {
                    action,
                    region,
                    reason: innermost(connector),
                },
                None => AwsError::Unreachable {
                    action,
                    region,
                    reason: "the request was not sent".into(),
                },
            },
            SdkError::TimeoutError(_) => AwsError::Unreachable {
                action,
                region,
                reason: "no answer in time".into(),
            },
            SdkError::ResponseError(_) => AwsError::Malformed {
                action,
                region,
                reason: innermost(error),
            },
            SdkError::ConstructionFailure(_) => AwsError::Unreachable {
                action,
                region,
                reason: innermost(error),
            },
            _ => AwsError::Malformed {
                action,
                region,
                reason: "an unknown failure".into(),
            },
        }
    }
}

/// The SDK would take the environment's credentials first; whoever names a profile means the profile's, as with AWS's own tools.
async fn of_profile(profile: &str, access: &Access) -> ProfileFileCredentialsProvider {
    let config = match &access.region {
        Some(region) => ProviderConfig::without_region().with_region(Some(aws_config::Region::new(region.clone()))),
        None => ProviderConfig::with_default_region().await,
    };
    let profile = ProfileFileCredentialsProvider::builder().profile_name(profile);
    profile.configure(&config).build()
}

async fn assume(config: SdkConfig, access: &Access) -> SdkConfig {
    let Some(role) = &access.role_arn else { return config };
    let provider = AssumeRoleProvider::builder(role)
        .session_name("hotshard")
        .configure(&config)
        .build()
        .await;
    config
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .build()
}

fn refusal(action: &'static str, region: Region, error: &impl ProvideErrorMetadata) -> AwsError {
    let Some(code) = error.code() else {
        return AwsError::Malformed {
            action,
            region,
            reason: "neither a result nor an error of AWS".into(),
        };
    };
    let message = error.message().unwrap_or("no message").to_owned();
    match code {
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
            AwsError::Throttled { action, region }
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => AwsError::Denied {
            action,
            region,
            message,
        },
        "InvalidClientTokenId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => AwsError::NoCredentials(message),
        _ => AwsError::Refused {
            action,
            region,
            code: code.to_owned(),
            message,
        },
    }
}

/// Serverless caches came later: an older endpoint doesn't know the question, and many policies don't allow it.
fn is_optional(error: &AwsError) -> bool {
    match error {
        AwsError::Denied { .. } => true,
        AwsError::Refused { code, .. } => matches!(code.as_str(), "InvalidAction" | "UnknownOperationException"),
        _ => false,
    }
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}

/// The innermost cause says what went wrong; the layers above it only say that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// An error and everything beneath it.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
