use super::*;
use crate::model::{GroupId, Region, Slot, SlotRange};

/// Shards as `a* b 0-99`: members by their host (`*` a primary, `!` failed), slots, and `=id` for the cluster's own name.
fn sightings(text: &str) -> Vec<Sighting> {
    text.split(';').map(|shard| sighting(shard.trim())).collect()
}

fn sighting(text: &str) -> Sighting {
    let mut seen = Sighting {
        slots: Some(SlotSet::default()),
        ..Sighting::default()
    };
    for word in text.split(' ') {
        if let Some(id) = word.strip_prefix('=') {
            seen.shard_id = Some(id.to_owned());
        } else if let Some((first, last)) = word.split_once('-') {
            let slot = |number: &str| number.parse().ok().and_then(Slot::new).expect("a test's slot");
            seen.slots = Some(SlotSet::new([SlotRange {
                first: slot(first),
                last: slot(last),
            }]));
        } else {
            seen.members.push(Member {
                endpoint: Endpoint::new(word.trim_end_matches(['*', '!']), 1),
                role: Some(if word.contains('*') {
                    Role::Primary
                } else {
                    Role::Replica
                }),
                failed: word.contains('!'),
            });
        }
    }
    seen
}

fn key() -> GroupKey {
    GroupKey {
        region: Region::new(""),
        id: GroupId::new("orders"),
    }
}

fn show(group: &Group) -> String {
    let shards = group.shards.iter().map(|shard| {
        let hosts: Vec<&str> = shard.nodes.iter().map(|node| node.endpoint.host()).collect();
        format!("{}: {}", shard.id, hosts.join(" "))
    });
    shards.collect::<Vec<_>>().join("; ")
}

/// What the group is called after each of these sights of it.
fn check(history: &[(&str, &str)]) {
    let mut previous = None;
    for (seen, expected) in history {
        let group = topology(key(), previous.as_ref(), sightings(seen));
        assert_eq!(show(&group), *expected, "{seen}");
        previous = Some(group);
    }
}

#[test]
fn a_failover_renames_nothing() {
    check(&[
        ("a* b 0-99; c* d 100-199", "0001: a b; 0002: c d"),
        ("a b* 0-99; c* d 100-199", "0001: a b; 0002: c d"),
    ]);
}

#[test]
fn a_primary_that_is_gone_stays_in_its_shard_until_it_returns() {
    check(&[
        ("a* b 0-99; c* d 100-199", "0001: a b; 0002: c d"),
        ("a*!; b* 0-99; c* d 100-199", "0001: a b; 0002: c d"),
        ("b* a 0-99; c* d 100-199", "0001: a b; 0002: c d"),
    ]);
}

#[test]
fn resharding_adds_and_removes_shards_under_new_names_only() {
    check(&[
        ("a* b 0-99; c* d 100-199", "0001: a b; 0002: c d"),
        ("a* b 0-49; e* f 50-99; c* d 100-199", "0001: a b; 0002: c d; 0003: e f"),
        ("e* f 0-99; c* d 100-199", "0002: c d; 0003: e f"),
        ("g* 0-9; e* f 10-99; c* d 100-199", "0002: c d; 0003: e f; 0004: g"),
    ]);
}

#[test]
fn a_replica_that_moves_takes_no_name_along() {
    check(&[
        ("a* b 0-99; c* 100-199", "0001: a b; 0002: c"),
        ("a* 0-99; c* b 100-199", "0001: a; 0002: b c"),
    ]);
}

#[test]
fn a_shard_whose_nodes_were_all_replaced_is_known_by_its_slots() {
    check(&[
        ("a* b 0-99; c* 100-199", "0001: a b; 0002: c"),
        ("x* y 0-99; c* 100-199", "0001: x y; 0002: c"),
    ]);
}

#[test]
fn the_clusters_own_name_is_taken_short_where_it_is_offered() {
    check(&[
        (
            "a* 0-99 =4f2c91d0aa11; c* 100-199 =4f2c91d0bb22",
            "4f2c91d0: a; 4f2c91d0bb22: c",
        ),
        // Now it isn't asked for again, and then every node is another one.
        ("a* b 0-99; c* 100-199", "4f2c91d0: a b; 4f2c91d0bb22: c"),
        ("x* 0-49 =4f2c91d0aa11; c* 100-199", "4f2c91d0: x; 4f2c91d0bb22: c"),
    ]);
}

fn known(endpoint: &str, addresses: &[&str]) -> Known {
    Known {
        endpoint: endpoint.parse().expect("a test's endpoint"),
        addresses: addresses
            .iter()
            .map(|address| address.parse().expect("a test's address"))
            .collect(),
    }
}

fn member(id: &str, address: Option<&str>, hostname: Option<&str>) -> MemberAnswer {
    MemberAnswer {
        id: id.to_owned(),
        preferred: address.map(str::to_owned),
        address: address.map(str::to_owned),
        hostname: hostname.map(str::to_owned),
        port: Some(7000),
        tls_port: Some(7001),
        ..MemberAnswer::default()
    }
}

fn check_names(members: Vec<MemberAnswer>, configured: &[Known], encrypted: bool, expected: &str) {
    let shards = [ShardAnswer {
        slots: SlotSet::default(),
        members,
    }];
    let shown: Vec<String> = of_cluster(&shards, &configured[0], configured, encrypted)
        .iter()
        .flat_map(|shard| shard.members.iter().map(|member| member.endpoint.to_string()))
        .collect();
    assert_eq!(shown.join(" "), expected);
}

#[test]
fn announced_addresses_go_by_the_configured_name_where_there_is_one() {
    let one = member("1", Some("10.0.0.1"), Some("one.example"));
    let two = member("2", Some("10.0.0.2"), Some("two.example"));
    let both = || vec![one.clone(), two.clone()];
    check_names(
        both(),
        &[known("seed:7000", &["10.0.0.1"])],
        false,
        "seed:7000 10.0.0.2:7000",
    );
    check_names(
        both(),
        &[known("seed:9", &["10.0.0.1"])],
        false,
        "10.0.0.1:7000 10.0.0.2:7000",
    );
    check_names(
        both(),
        &[known("TWO.example:7001", &[])],
        true,
        "one.example:7001 TWO.example:7001",
    );
}

#[test]
fn a_name_with_several_nodes_behind_it_names_none_of_them() {
    let nodes = vec![member("1", Some("10.0.0.1"), None), member("2", Some("10.0.0.2"), None)];
    let entry = known("clustercfg:7000", &["10.0.0.1", "10.0.0.2"]);
    check_names(nodes, &[entry], false, "10.0.0.1:7000 10.0.0.2:7000");
}

#[test]
fn a_member_without_an_address_is_where_it_was_asked() {
    check_names(
        vec![member("1", None, None)],
        &[known("[::1]:9", &[])],
        false,
        "[::1]:7000",
    );
}

fn primary(replicas: &[&str]) -> RoleAnswer {
    let replicas = replicas
        .iter()
        .map(|text| (text.parse().expect("a test's endpoint"), 0));
    RoleAnswer::Primary {
        offset: 0,
        replicas: replicas.collect(),
    }
}

fn replica(of: &str) -> RoleAnswer {
    RoleAnswer::Replica {
        primary: of.parse().expect("a test's endpoint"),
        linked: true,
        offset: 0,
    }
}

fn check_roles(answers: &[(Known, RoleAnswer)], expected: &str) {
    let group = topology(key(), None, of_roles(answers));
    assert_eq!(show(&group), expected);
}

#[test]
fn a_primary_and_its_replicas_are_one_shard() {
    check_roles(
        &[
            (known("b:2", &["10.0.0.2"]), replica("10.0.0.1:1")),
            (known("a:1", &["10.0.0.1"]), primary(&["10.0.0.2:2", "10.0.0.3:3"])),
        ],
        "0001: 10.0.0.3 a b",
    );
    // `redis-cli --rdb`, say.
    let dump = RoleAnswer::Primary {
        offset: 0,
        replicas: vec![(Endpoint::new("10.0.0.9", 0), 0)],
    };
    check_roles(&[(known("a:1", &[]), dump)], "0001: a");
}

#[test]
fn nodes_that_only_a_third_one_connects_become_one_shard() {
    check_roles(
        &[
            (known("b:2", &[]), replica("a:1")),
            (known("c:3", &[]), primary(&[])),
            (known("a:1", &[]), primary(&["b:2", "d:4"])),
            (known("d:4", &[]), replica("a:1")),
        ],
        "0001: a b d; 0002: c",
    );
}

#[test]
fn a_configured_node_that_is_silent_stays_where_it_was() {
    let was = topology(key(), None, sightings("a* b; c*"));
    let silent = |previous, seen, hosts: &[&str]| {
        let hosts: Vec<Endpoint> = hosts.iter().map(|host| Endpoint::new(host, 1)).collect();
        show(&topology(
            key(),
            previous,
            with_silent(previous, sightings(seen), &hosts),
        ))
    };
    assert_eq!(silent(Some(&was), "a*; c*", &["b"]), "0001: a b; 0002: c");
    assert_eq!(silent(Some(&was), "b*; c*", &["a", "c", "x"]), "0001: a b; 0002: c");
    assert_eq!(silent(None, "a*", &["b"]), "0001: a b");
    assert_eq!(silent(None, "a*; c*", &["b"]), "0001: a; 0002: c");
}

#[test]
fn relatives_are_asked_once() {
    let asked = [known("a:1", &["10.0.0.1"]), known("b:2", &[])];
    let names = |role: &RoleAnswer| {
        let found: Vec<String> = unasked(role, &asked).iter().map(Endpoint::to_string).collect();
        found.join(" ")
    };
    assert_eq!(names(&replica("10.0.0.1:1")), "");
    assert_eq!(names(&primary(&["b:2", "b:3"])), "b:3");
}
