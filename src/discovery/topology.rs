//! From answers to a group: which node is which, and names that outlive failovers and resharding.
//!
//! A shard is never named after its primary's address: it keeps the name it had, told by its members, else takes the one
//! the cluster gives it, else the next number.

mod naming;

use std::net::IpAddr;

use super::answers::{MemberAnswer, ShardAnswer};
use super::fixed;
use super::role::RoleAnswer;
use crate::model::{Endpoint, Group, GroupKey, Node, Role, Shard, SlotSet};

/// A node by the name it was asked under, and the addresses behind that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name: configured, or announced by another node.
    pub endpoint: Endpoint,
    /// The addresses it resolved to.
    pub addresses: Vec<IpAddr>,
}

/// A shard as its cluster shows it, not yet named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Its members; where the role is open, ROLE will tell.
    pub members: Vec<Member>,
    /// Its slots, where there are slots.
    pub slots: Option<SlotSet>,
    /// The cluster's own name for it (CLUSTER MYSHARDID), where it has been asked for.
    pub shard_id: Option<String>,
}

/// A member of a sighted shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is reached, which is its name.
    pub endpoint: Endpoint,
    /// Its role in the eyes of whoever answered.
    pub role: Option<Role>,
    /// Whether the cluster has given it up.
    pub failed: bool,
}

/// The shards that a cluster's node `asked` announces. `configured` are the names by which people know the nodes: an announced
/// address behind one of them goes by that name.
pub fn of_cluster(shards: &[ShardAnswer], asked: &Known, configured: &[Known], encrypted: bool) -> Vec<Sighting> {
    let all: Vec<&MemberAnswer> = shards.iter().flat_map(|shard| &shard.members).collect();
    let named: Vec<(&Endpoint, &str)> = configured
        .iter()
        .filter_map(|known| {
            let mut behind = all.iter().filter(|member| is_behind(known, member));
            // A name with several nodes behind it, such as a configuration endpoint, is none of them.
            match (behind.next(), behind.next()) {
                (Some(only), None) => Some((&known.endpoint, only.id.as_str())),
                _ => None,
            }
        })
        .collect();
    let endpoint = |member: &MemberAnswer| match named.iter().find(|(_, id)| *id == member.id) {
        Some((endpoint, _)) => (*endpoint).clone(),
        None => announced(member, asked, encrypted),
    };
    let mut sightings: Vec<Sighting> = shards
        .iter()
        .map(|shard| Sighting {
            members: shard
                .members
                .iter()
                .map(|member| Member {
                    endpoint: endpoint(member),
                    role: member.role,
                    failed: member.failed,
                })
                .collect(),
            slots: Some(shard.slots.clone()),
            shard_id: None,
        })
        .collect();
    sightings.sort_by_key(|shard| {
        (
            first_slot(shard),
            shard.members.iter().map(|member| member.endpoint.clone()).min(),
        )
    });
    sightings
}

/// The shard that announces the node which is `known` by one of its names or addresses.
pub fn shard_of<'a>(shards: &'a [ShardAnswer], known: &Known) -> Option<&'a ShardAnswer> {
    shards
        .iter()
        .find(|shard| shard.members.iter().any(|member| is_behind(known, member)))
}

/// The shards without a cluster: each primary with its replicas, in the order they were asked. Nodes that are only spoken of
/// belong to them too.
pub fn of_roles(answers: &[(Known, RoleAnswer)]) -> Vec<Sighting> {
    let mut sightings: Vec<Sighting> = Vec::new();
    for (known, role) in answers {
        let mut members = vec![Member {
            endpoint: known.endpoint.clone(),
            role: Some(role.role()),
            failed: false,
        }];
        for related in relatives(role) {
            members.push(Member {
                endpoint: name_of(related, answers),
                role: None,
                failed: false,
            });
        }
        join(&mut sightings, members);
    }
    sightings
}

/// Adds configured nodes that don't answer: to the shard they were in, else to the only one there is. Elsewhere they would be a
/// guess, so they stay out until they answer.
pub fn with_silent(previous: Option<&Group>, mut sightings: Vec<Sighting>, silent: &[Endpoint]) -> Vec<Sighting> {
    for endpoint in silent {
        let belongs = |sighting: &Sighting| sighting.members.iter().any(|member| member.endpoint == *endpoint);
        if sightings.iter().any(belongs) {
            continue;
        }
        let mut shards = previous.into_iter().flat_map(|group| &group.shards);
        let was_in = shards.find(|shard| shard.nodes.iter().any(|node| node.endpoint == *endpoint));
        let home = match (was_in, sightings.as_mut_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(shard), sightings) => sightings
                .iter_mut()
                .find(|sighting| naming::shared_members(shard, sighting) > 0),
        };
        if let Some(home) = home {
            home.members.push(Member {
                endpoint: endpoint.clone(),
                role: None,
                failed: true,
            });
        }
    }
    sightings
}

/// The nodes that `role` speaks of and that haven't been asked yet.
pub fn unasked(role: &RoleAnswer, asked: &[Known]) -> Vec<Endpoint> {
    relatives(role)
        .filter(|endpoint| !is_known(endpoint, asked))
        .cloned()
        .collect()
}

/// Whether `endpoint` is one of these nodes, by name or by address.
pub fn is_known(endpoint: &Endpoint, asked: &[Known]) -> bool {
    asked.iter().any(|known| is_at(known, endpoint))
}

/// Whether the shard's name follows from the group as it was, so that the cluster needn't be asked for it.
pub fn is_familiar(previous: Option<&Group>, sighting: &Sighting) -> bool {
    previous.is_some_and(|group| {
        group
            .shards
            .iter()
            .any(|shard| naming::shared_members(shard, sighting) > 0)
    })
}

/// The group that these shards are, each under the name it had in `previous`.
pub fn topology(key: GroupKey, previous: Option<&Group>, sightings: Vec<Sighting>) -> Group {
    let sightings = naming::reunited(previous, sightings);
    let names = naming::names(previous, &sightings);
    let mut shards: Vec<Shard> = names
        .into_iter()
        .zip(sightings)
        .map(|(id, sighting)| {
            let mut nodes: Vec<Node> = sighting.members.into_iter().map(node).collect();
            nodes.sort_by(|one, other| one.id.cmp(&other.id));
            nodes.dedup_by(|one, other| one.id == other.id);
            Shard {
                id,
                nodes,
                slots: sighting.slots,
            }
        })
        .collect();
    shards.sort_by(|one, other| one.id.cmp(&other.id));
    Group { key, shards }
}

fn node(member: Member) -> Node {
    Node {
        role: member.role.filter(|_| !member.failed),
        ..fixed::node(member.endpoint)
    }
}

/// Where a member is reached by its cluster's word. A certificate carries names rather than addresses.
fn announced(member: &MemberAnswer, asked: &Known, encrypted: bool) -> Endpoint {
    let MemberAnswer {
        preferred,
        address,
        hostname,
        port,
        tls_port,
        ..
    } = member;
    let host = if encrypted {
        hostname.as_ref().or(preferred.as_ref()).or(address.as_ref())
    } else {
        preferred.as_ref().or(address.as_ref()).or(hostname.as_ref())
    };
    let port = if encrypted {
        tls_port.or(*port)
    } else {
        port.or(*tls_port)
    };
    // A cluster that doesn't know a member's address means the one it was asked at.
    Endpoint::new(
        host.map_or(asked.endpoint.host(), String::as_str),
        port.unwrap_or(asked.endpoint.port()),
    )
}

fn is_behind(known: &Known, member: &MemberAnswer) -> bool {
    let ports = [member.port, member.tls_port];
    let hosts = [&member.preferred, &member.address, &member.hostname];
    ports.contains(&Some(known.endpoint.port())) && hosts.into_iter().flatten().any(|host| is_host(known, host))
}

fn is_at(known: &Known, endpoint: &Endpoint) -> bool {
    known.endpoint.port() == endpoint.port() && is_host(known, endpoint.host())
}

fn is_host(known: &Known, host: &str) -> bool {
    known.endpoint.host().eq_ignore_ascii_case(host)
        || host
            .parse()
            .is_ok_and(|address: IpAddr| known.addresses.contains(&address))
}

fn relatives(role: &RoleAnswer) -> Box<dyn Iterator<Item = &Endpoint> + '_> {
    match role {
        // What takes the stream and listens nowhere is a program that copies, and no node.
        RoleAnswer::Primary { replicas, .. } => {
            let nodes = replicas.iter().filter(|(endpoint, _)| endpoint.port() != 0);
            Box::new(nodes.map(|(endpoint, _)| endpoint))
        }
        RoleAnswer::Replica { primary, .. } => Box::new(std::iter::once(primary)),
    }
}

/// The name under which the node at `endpoint` was asked, else that endpoint.
fn name_of(endpoint: &Endpoint, answers: &[(Known, RoleAnswer)]) -> Endpoint {
    let asked = answers.iter().find(|(known, _)| is_at(known, endpoint));
    asked.map_or(endpoint, |(known, _)| &known.endpoint).clone()
}

/// Adds `members` to the shard that has one of them, and makes one shard of all that turn out to be one.
fn join(sightings: &mut Vec<Sighting>, members: Vec<Member>) {
    let shares = |sighting: &Sighting| {
        let known = |member: &Member| sighting.members.iter().any(|other| other.endpoint == member.endpoint);
        members.iter().any(known)
    };
    let first = sightings.iter().position(shares).unwrap_or(sightings.len());
    let mut joined = Sighting::default();
    for sighting in sightings.extract_if(.., |sighting| shares(sighting)) {
        joined.members.extend(sighting.members);
    }
    for member in members {
        match joined
            .members
            .iter_mut()
            .find(|known| known.endpoint == member.endpoint)
        {
            Some(known) => known.role = known.role.or(member.role),
            None => joined.members.push(member),
        }
    }
    sightings.insert(first, joined);
}

fn first_slot(sighting: &Sighting) -> u16 {
    let ranges = sighting.slots.as_ref().map(SlotSet::ranges).unwrap_or_default();
    ranges.first().map_or(u16::MAX, |range| range.first.number())
}

#[cfg(test)]
mod tests;
