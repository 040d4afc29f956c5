//! What bounds a server's buffers where the server itself may not say: on ElastiCache, the parameter group.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::survey::Reach;
use super::{Link, LinkError, ServerLimit, watch};
use crate::discovery::elasticache::{AwsError, SharedAccount};

/// AWS is asked again after so long: parameter groups are changed by hand.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// And after so long where it didn't tell.
const KEPT_FAILURE: Duration = Duration::from_secs(10 * 60);

/// A window doesn't wait for AWS any longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of a parameter group: what the server holds for one client at most, and for all.
const BUFFER: &str = "client-output-buffer-limit-normal-hard-limit";
const CLIENTS: &str = "maxmemory-clients";

/// The parameter group of a cache, asked of AWS when a server doesn't tell. Clones share the answer.
#[derive(Clone, Debug)]
pub struct Parameters {
    account: SharedAccount,
    group: String,
    kept: Arc<Mutex<Option<Answer>>>,
}

#[derive(Debug)]
struct Answer {
    until: Instant,
    values: Told,
}

/// The values of a parameter group, or why AWS didn't tell.
type Told = Result<Arc<HashMap<String, String>>, Arc<str>>;

/// Whether a server bounds what it holds for us, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldLimit {
    /// What the server or its parameter group says.
    pub limit: ServerLimit,
    /// Why AWS didn't say it either, where it was asked.
    pub untold: Option<Arc<str>>,
}

impl Parameters {
    /// Nothing is asked yet.
    pub fn new(account: SharedAccount, group: String) -> Self {
        Self {
            account,
            group,
            kept: Arc::default(),
        }
    }

    async fn values(&self) -> Told {
        // Whoever asks at the same time waits for the same answer.
        let mut kept = self.kept.lock().await;
        if let Some(answer) = kept.as_ref().filter(|answer| Instant::now() < answer.until) {
            return answer.values.clone();
        }
        let values: Told = match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(values)) => Ok(Arc::new(values)),
            Ok(Err(error)) => Err(error.to_string().into()),
            Err(_elapsed) => Err("AWS gave no answer in time".into()),
        };
        if let Err(reason) = &values {
            warn!(
                parameter_group = self.group,
                "it isn't known whether servers bound their buffers, so windows are short: {reason}"
            );
        }
        *kept = Some(Answer {
            until: Instant::now() + if values.is_ok() { KEPT } else { KEPT_FAILURE },
            values: values.clone(),
        });
        values
    }

    async fn ask(&self) -> Result<HashMap<String, String>, AwsError> {
        self.account.get().await?.parameters(&self.group).await
    }
}

impl Reach {
    /// Whether the server itself bounds what it holds for us, by its own word or its parameter group's.
    pub async fn server_limit(&self, link: &Link) -> Result<ToldLimit, LinkError> {
        let told = |limit, untold| ToldLimit { limit, untold };
        let limit = watch::server_limit(link).await?;
        let (ServerLimit::Unknown, Some(parameters)) = (limit, &self.parameters) else {
            return Ok(told(limit, None));
        };
        let values = match parameters.values().await {
            Ok(values) => values,
            Err(reason) => return Ok(told(limit, Some(reason))),
        };
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let memory = link.info(&["memory"]).await?;
        let memory_max = super::link::field(&memory, "maxmemory").unwrap_or_default();
        let buffer = format!("normal {} 0 0", value(BUFFER));
        Ok(told(ServerLimit::of(&buffer, value(CLIENTS), memory_max), None))
    }
}
