//! From settings to connections: how the nodes of a configured group are reached.

use std::time::Duration;

use crate::config::{GroupSettings, Members, Settings};
use crate::model::Endpoint;
use crate::node::survey::Reach;
use crate::node::{Accounts, Credentials, Dialer, LinkSettings, Network, Pace, TlsError};

/// How `group` is reached. Certificates are read now, so that a wrong path is known at the start.
pub(super) fn reach(settings: &Settings, group: &GroupSettings, pace: &Pace) -> Result<Reach, TlsError> {
    let patience: Duration = settings.poll.timeout;
    let network = if is_encrypted(settings, group) {
        Network::encrypted(settings.tls_of(group), patience, pace.clone())?
    } else {
        Network::plain(patience, pace.clone())
    };
    Ok(Reach {
        dialer: Dialer::Network(network),
        credentials: Credentials::new(settings.auth_of(group)),
        accounts: Accounts::default(),
        settings: LinkSettings {
            answer_timeout: patience,
        },
    })
}

/// Whether a group is spoken to in TLS: all of it if any of its endpoints is, since one group is one cluster.
pub(super) fn is_encrypted(settings: &Settings, group: &GroupSettings) -> bool {
    let tls = settings.tls_of(group);
    endpoints(group).iter().any(|endpoint| tls.wanted(endpoint, None))
}

fn endpoints(group: &GroupSettings) -> Vec<Endpoint> {
    match group.members() {
        Ok(Members::Seeds(seeds)) => seeds,
        Ok(Members::Given(nodes)) => nodes.into_iter().map(|(endpoint, _)| endpoint).collect(),
        // It was refused when it was read.
        Err(_) => Vec::new(),
    }
}
