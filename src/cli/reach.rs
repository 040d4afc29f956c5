//! From settings to connections: how the nodes of a configured group are reached.

use std::time::Duration;

use crate::config::{GroupSettings, Members, Settings};
use crate::discovery::elasticache::SharedAccount;
use crate::discovery::instance::Instance;
use crate::engine::clock::Clock;
use crate::engine::search::{Search, Wanted};
use crate::model::{GroupKey, Region};
use crate::node::survey::Reach;
use crate::node::{Accounts, AwsIdentity, Credentials, Dialer, LinkSettings, Network, Pace, TlsError};

/// How `group` is reached. Certificates are read now, so that a wrong path is known at the start.
pub(super) fn reach(settings: &Settings, group: &GroupSettings, pace: &Pace) -> Result<Reach, TlsError> {
    let patience: Duration = settings.poll.timeout;
    let network = if settings.is_encrypted(group) {
        Network::encrypted(settings.tls_of(group), patience, pace.clone())?
    } else {
        Network::plain(patience, pace.clone())
    };
    let auth = settings.auth_of(group);
    let identity = AwsIdentity {
        account: SharedAccount::new(group.access(&settings.discovery)),
        cache: group.id.clone(),
        serverless: false,
        now: || Clock::System.now(),
    };
    Ok(Reach {
        dialer: Dialer::Network(network),
        credentials: Credentials::new(auth).with_aws(auth, &identity),
        accounts: Accounts::default(),
        settings: LinkSettings {
            answer_timeout: patience,
        },
        parameters: None,
    })
}

/// What is to be looked for in AWS: groups of the same region and account share one search.
pub(super) fn searches(settings: &Settings, pace: &Pace, instance: Instance) -> Vec<Search> {
    let mut searches: Vec<Search> = Vec::new();
    for group in &settings.groups {
        let Ok(Members::ElastiCache(selection)) = group.members() else {
            continue;
        };
        let access = group.access(&settings.discovery);
        let wanted = Wanted {
            key: GroupKey {
                region: Region::new(access.region.as_deref().unwrap_or_default()),
                id: group.id.clone(),
            },
            selection,
            auth: settings.auth_of(group).clone(),
            tls: settings.tls_of(group).clone(),
        };
        match searches.iter_mut().find(|search| search.account.access() == &access) {
            Some(search) => search.wanted.push(wanted),
            None => searches.push(Search {
                account: SharedAccount::new(access),
                wanted: vec![wanted],
                instance,
                patience: settings.poll.timeout,
                pace: pace.clone(),
            }),
        }
    }
    searches
}
