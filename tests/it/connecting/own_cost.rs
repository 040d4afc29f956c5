//! What a link costs a server, held to the server's own counters.

use std::sync::Arc;

use hotshard::model::OwnCost;
use hotshard::node::{Account, Credentials, Dialer, Link, probe};

use crate::harness::link::{SETTINGS, encrypted, endpoint, login, plain, trusting};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;

#[tokio::test]
async fn our_own_load_is_known_to_the_byte() {
    check_own_cost(Server::redis(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::redis6(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::valkey8(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::valkey9(), &plain(), &Credentials::none()).await;
    let authority = Arc::new(Authority::new());
    let plan = Server::redis().tls(&authority).user("watcher", "lemon", "+@all");
    check_own_cost(
        plan,
        &encrypted(&trusting(&authority)),
        &login(Some("watcher"), "lemon"),
    )
    .await;
}

/// Nobody else speaks to the server between two polls, so its counters moved by what we did.
async fn check_own_cost(plan: ServerPlan, dialer: &Dialer, credentials: &Credentials) {
    let server = plan.start().await;
    let account = Account::new();
    let link = Link::open(dialer, &endpoint(&server), credentials, &account, SETTINGS)
        .await
        .expect("it answers");
    let before = probe::poll(&link).await.expect("an answer");
    let other = Link::open(dialer, &endpoint(&server), credentials, &account, SETTINGS)
        .await
        .expect("it answers");
    other.client_list_masters().await.expect("an answer");
    assert!(other.cluster().await.expect("an answer").is_none());
    assert!(other.shard_id().await.expect("an answer").is_none());
    assert!(link.client_kill_id(other.client_id()).await.expect("an answer"));
    let after = probe::poll(&link).await.expect("an answer");
    let own = after.own.since(&before.own);
    let moved = |field: &str| number(&after.info, field) - number(&before.info, field);
    let version = after
        .info
        .lines()
        .find(|line| line.contains("_version:"))
        .unwrap_or_default();
    assert_eq!(own.bytes_in.0, moved("total_net_input_bytes"), "{version}: {own:?}");
    assert_eq!(own.bytes_out.0, moved("total_net_output_bytes"), "{version}: {own:?}");
    assert_eq!(own.calls(), moved("total_commands_processed"), "{version}: {own:?}");
    assert_eq!(calls(&own), calls_counted(&before.info, &after.info), "{version}");
}

fn number(info: &str, field: &str) -> u64 {
    let value = info
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).expect("INFO has the field")
}

/// Calls by the part before the bar: that is how older servers count.
fn calls(own: &OwnCost) -> Vec<(String, u64)> {
    let named = own.commands.iter().map(|(name, calls)| ((*name).to_owned(), *calls));
    by_container(named)
}

fn calls_counted(before: &str, after: &str) -> Vec<(String, u64)> {
    let read = |info: &str| -> Vec<(String, u64)> {
        let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
        let named = lines.filter_map(|line| {
            let (name, fields) = line.split_once(":calls=")?;
            Some((name.to_uppercase(), fields.split(',').next()?.parse().ok()?))
        });
        by_container(named)
    };
    let before = read(before);
    let earlier = |name: &str| {
        before
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, calls)| *calls)
    };
    read(after)
        .into_iter()
        .map(|(name, calls)| (name.clone(), calls - earlier(&name)))
        .filter(|(_, calls)| *calls > 0)
        .collect()
}

fn by_container(named: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums = std::collections::BTreeMap::new();
    for (name, calls) in named {
        let container = name.split('|').next().unwrap_or_default().to_owned();
        *sums.entry(container).or_insert(0) += calls;
    }
    sums.into_iter().collect()
}
