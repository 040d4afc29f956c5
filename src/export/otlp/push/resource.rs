//! Who pushes: the attributes of the resource.

use std::collections::BTreeMap;

use super::Identity;
use super::pairs::pairs;
use super::variables::{Said, first};

/// Who we are, as far as the variables don't say it.
pub(super) fn attributes(identity: &Identity, said: &Said<'_>) -> BTreeMap<String, String> {
    let host = said("HOSTNAME").or_else(|| identity.host.clone());
    // As Prometheus names an instance.
    let instance = match (&host, identity.port) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        _ => host.clone(),
    };
    let region = first(said, &["AWS_REGION", "AWS_DEFAULT_REGION"]).map(|(_, region)| region);
    let region = region.or_else(|| identity.region.clone());
    let mut attributes: BTreeMap<String, String> = [
        ("service.name", Some("hotshard".to_owned())),
        ("service.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("service.instance.id", instance),
        ("host.name", host),
        ("cloud.provider", region.is_some().then(|| "aws".to_owned())),
        ("cloud.region", region),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    attributes.extend(
        said("OTEL_RESOURCE_ATTRIBUTES")
            .map(|value| pairs(&value))
            .unwrap_or_default(),
    );
    if let Some(name) = said("OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name);
    }
    attributes
}
