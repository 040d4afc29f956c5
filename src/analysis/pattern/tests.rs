use proptest::prelude::*;

use super::*;

/// 2026-11-21 00:00:00 UTC.
const NOW: Timestamp = Timestamp(1_795_219_200_000_000);

fn fresh() -> Normaliser {
    Normaliser::new(&PatternSettings::default(), 1)
}

fn check(key: &str, expected: &str) {
    let mut normaliser = fresh();
    let id = normaliser.classify(key.as_bytes(), NOW);
    assert_eq!(normaliser.name(id), expected, "{key}");
    let mut again = fresh();
    let id = again.classify(expected.as_bytes(), NOW);
    assert_eq!(again.name(id), expected, "normalising {expected} again");
}

#[test]
fn names_stay_and_numbers_go() {
    check("user:1001:cart", "user:{ID}:cart");
    check("session", "session");
    check("v2:page_12", "v2:page_12");
    check("user123456:x", "user{ID}:x");
    check("a.b|c#d_e-f/123", "a.b|c#d_e-f/{ID}");
    check("order:4821947302115", "order:{USERID}");
    check("", "");
    check("::", "::");
    check("trailing:", "trailing:");
}

#[test]
fn a_long_number_is_a_time_only_near_the_lines_own() {
    check("at:1795219200", "at:{TIMESTAMP}");
    check("at:1795219200123", "at:{TIMESTAMP}");
    check("at:1595219200", "at:{USERID}");
    check("at:17952192001", "at:{USERID}");
    let mut normaliser = fresh();
    let id = normaliser.classify(b"at:1595219200", Timestamp(1_595_000_000_000_000));
    assert_eq!(normaliser.name(id), "at:{TIMESTAMP}");
}

#[test]
fn whole_tokens_are_found_across_separators() {
    check("s:550e8400-e29b-41d4-a716-446655440000:x", "s:{UUID}:x");
    check("s-550E8400-E29B-41D4-A716-446655440000_x", "s-{UUID}_x");
    check("mail:alice.smith+x@mail.example.com:seen", "mail:{EMAIL}:seen");
    check("mail:alice%40example.com", "mail:{EMAIL}");
    check("mail:a@example.com-inbox", "mail:{EMAIL}-inbox");
    check("ip:10.0.3.17:6379", "ip:{IP}:{ID}");
    check("ip:2001:db8::1:hits", "ip:{IP}:hits");
    check("ip:::1", "ip:{IP}");
    check("ip:fe80:0:0:0:1:2:3:4", "ip:{IP}");
    check("day:2026-01-02:sum", "day:{DATE}:sum");
    check("day:2026/01/02", "day:{DATE}");
    check("day:2026-01", "day:{DATE}");
    check("day:20261121", "day:{DATE}");
    check("at:2026-01-02T03:04:05.678Z:x", "at:{TIMESTAMP}:x");
    check("at:20260102T030405Z", "at:{TIMESTAMP}");
}

#[test]
fn what_only_resembles_a_class_is_none() {
    check("release:1.2.3", "release:1.2.3");
    check("release:1.2.3.4.5", "release:1.2.3.4.5");
    check("Cache::Entry", "Cache::Entry");
    check("add::12", "add::12");
    check("::a0000.:", "::a{ID}.:");
    check("user@host", "user@host");
    check("getUserProfileV2Data", "getUserProfileV2Data");
    check("order:99999999", "order:{ID}");
}

#[test]
fn a_key_of_any_length_is_read_alike() {
    for length in 0..200 {
        for piece in ["a", "7", "user:12345:", "d41d8cd98f00b204", "x7"] {
            let key: String = piece.chars().cycle().take(length).collect();
            let (mut quick, mut skeleton) = (Quick::new(), Vec::new());
            scan::scan(key.as_bytes(), NOW, &mut skeleton);
            assert!(
                !quick.scan(key.as_bytes(), NOW) || quick.skeleton() == skeleton,
                "{key}"
            );
        }
    }
}

#[test]
fn one_word_tokens() {
    check("h:d41d8cd98f00b204e9800998ecf8427e", "h:{HASH}");
    check("h:507f1f77bcf86cd799439011", "h:{HASH}");
    check("h:12345678901234567890abcdef123456", "h:{HASH}");
    check("u:01ARZ3NDEKTSV4RRFFQ69G5FAV", "u:{ULID}");
    check("t:dXNlcjoxMjM=", "t:{B64}");
    check("t:q7X9v-Kd_2mLz8RtYb3NcQ:x", "t:{B64}:x");
    check("t:Zm9vYmFy+2Jhei9x/dXV4MTIzNDU2Nzg5MDEyMg=", "t:{B64}");
}

#[test]
fn hash_tags_keep_their_braces() {
    check("{user1000}.following", "{user{ID}}.following");
    check("{1000}:a", "{{ID}}:a");
    check("cart:{eu}:550e8400-e29b-41d4-a716-446655440000", "cart:{eu}:{UUID}");
    check("{}{x}", "{}{x}");
}

#[test]
fn escapes_are_never_cut() {
    check(r"caf\xc3\xa9:123", r"caf\xc3\xa9:{ID}");
    check(r"\x12345:a", r"\x12{ID}:a");
    check(r#"a\"b\\c"#, r#"a\"b\\c"#);
}

#[test]
fn no_pattern_is_long() {
    check(&format!("q:{}", "x y".repeat(40)), "q:{VAR}");
    let deep = "a:".repeat(100);
    check(&deep, &format!("{}{{VAR}}", "a:".repeat(23)));
}

#[test]
fn rules_come_first_and_their_names_stay() {
    let settings = PatternSettings {
        rules: vec![
            Rule::new("^basket:", "basket:{SHOP}").expect("a rule"),
            Rule::new(r"^user:\d+$", "customer").expect("a rule"),
        ],
        ..PatternSettings::default()
    };
    let mut normaliser = Normaliser::new(&settings, 1);
    for (key, pattern) in [
        ("basket:a:b", "basket:{SHOP}"),
        ("basket:c", "basket:{SHOP}"),
        ("basket:{SHOP}", "basket:{SHOP}"),
        ("user:12", "customer"),
        ("customer", "customer"),
        ("user:12:x", "user:12:x"),
    ] {
        let id = normaliser.classify(key.as_bytes(), NOW);
        assert_eq!(normaliser.name(id), pattern, "{key}");
    }
}

#[test]
fn a_bad_rule_names_its_cure() {
    let error = Rule::new("user:(", "x").expect_err("an open group");
    assert_eq!(
        error.to_string(),
        "pattern rule `x`: `user:(` is no regular expression: unclosed group; mend `match`"
    );
    assert!(Rule::new("a", "").is_err());
}

#[test]
fn a_segment_that_varies_is_learned_and_its_past_folded_in() {
    let mut normaliser = fresh();
    let first = normaliser.classify(b"name:alice:cart", NOW);
    assert_eq!(normaliser.name(first), "name:alice:cart");
    for person in 0..64 {
        normaliser.classify(format!("name:{}:cart", letters(person)).as_bytes(), NOW);
    }
    assert_eq!(normaliser.name(first), "name:{VAR}:cart");
    let late = normaliser.classify(b"name:zoe:cart", NOW);
    assert_eq!(normaliser.resolve(first), normaliser.resolve(late));
    let beside = normaliser.classify(b"name:zoe", NOW);
    assert_eq!(normaliser.name(beside), "name:zoe");
    assert_eq!(normaliser.learned().segments(), ["name:{VAR}:"]);
}

#[test]
fn a_pattern_that_is_remembered_follows_what_is_learned() {
    let mut normaliser = fresh();
    let first = [0; 3].map(|_| normaliser.classify(b"user:zoe:cart", NOW));
    assert_eq!(normaliser.name(first[2]), "user:zoe:cart");
    let last = (0..100).map(|number| format!("user:{}:cart", letters(number)));
    let last = last.map(|key| normaliser.classify(key.as_bytes(), NOW)).last();
    let again = normaliser.classify(b"user:zoe:cart", NOW);
    assert_eq!((Some(again), normaliser.name(again)), (last, "user:{VAR}:cart".into()));
    normaliser.classify(b"page:7", NOW);
    let short = [0; 3].map(|_| normaliser.classify(b"page:8", NOW))[2];
    let long = normaliser.classify(b"page:12345", NOW);
    assert_eq!(normaliser.name(short), "page:{ID}");
    assert_eq!(normaliser.classify(b"page:8", NOW), long);
}

#[test]
fn short_numbers_are_names_until_longer_ones_stand_beside_them() {
    let mut normaliser = fresh();
    let page = normaliser.classify(b"page:2:hits", NOW);
    assert_eq!(normaliser.name(page), "page:2:hits");
    normaliser.classify(b"page:417:hits", NOW);
    assert_eq!(normaliser.name(page), "page:{ID}:hits");
    let late = normaliser.classify(b"page:31:hits", NOW);
    assert_eq!(normaliser.resolve(late), normaliser.resolve(page));
}

#[test]
fn what_was_learned_outlives_a_restart() {
    let mut normaliser = fresh();
    for person in 0..80 {
        let key = format!("a:{}:b:{}", letters(person), letters(person * 7));
        normaliser.classify(key.as_bytes(), NOW);
    }
    let learned = normaliser.learned();
    assert_eq!(learned.segments(), ["a:{VAR}:", "a:{VAR}:b:{VAR}"]);
    let mut next = fresh();
    assert_eq!(next.learn(&learned), 0);
    assert_eq!(next.learned(), learned);
    let id = next.classify(b"a:new:b:other", NOW);
    assert_eq!(next.name(id), "a:{VAR}:b:{VAR}");
    assert_eq!(next.learn(&Learned::new(["nonsense".into(), "x{VAR}".into()])), 2);
}

#[test]
fn a_flood_of_shapes_stays_bounded() {
    let mut normaliser = fresh();
    let mut state = 1_u64;
    for _ in 0..200_000 {
        let key: Vec<String> = (0..6).map(|_| letters(next(&mut state) as usize % 1_000_000)).collect();
        normaliser.classify(key.join(["-", ":", "_"][next(&mut state) as usize % 3]).as_bytes(), NOW);
    }
    assert!(normaliser.len() < 4096 * 16, "{}", normaliser.len());
    assert!(distinct(&normaliser) < 200, "{}", distinct(&normaliser));
}

fn distinct(normaliser: &Normaliser) -> usize {
    normaliser
        .registry
        .ids()
        .filter(|id| normaliser.resolve(*id) == *id)
        .count()
}

fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// So many random bytes as they stand in tokens.
fn base64url(bytes: usize, state: &mut u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..(bytes * 8).div_ceil(6))
        .map(|_| char::from(ALPHABET[next(state) as usize % 64]))
        .collect()
}

/// A word of letters for each number, none of them a class.
fn letters(mut number: usize) -> String {
    let mut word = String::from("w");
    loop {
        word.push(char::from(b'g' + (number % 20) as u8));
        number /= 20;
        if number == 0 {
            return word;
        }
    }
}

fn token() -> impl Strategy<Value = (String, &'static str)> {
    prop_oneof![
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}".prop_map(|text| (text, "{UUID}")),
        "[0-7][0-9A-HJKMNP-TV-Z]{12}[G-HJKMNP-TV-Z][0-9A-HJKMNP-TV-Z]{12}".prop_map(|text| (text, "{ULID}")),
        "[0-9a-f]{15}[a-f][0-9a-f]{16}|[0-9a-f]{39}[a-f]|[A-F][0-9A-F]{63}".prop_map(|text| (text, "{HASH}")),
        "[a-z]{1,12}[.+_-]?[a-z0-9]{1,12}@[a-z0-9]{1,9}(\\.[a-z]{1,5})?\\.[a-z]{2,4}"
            .prop_map(|text| (text, "{EMAIL}")),
        any::<std::net::Ipv4Addr>().prop_map(|address| (address.to_string(), "{IP}")),
        "(19|20)[7-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])".prop_map(|text| (text, "{DATE}")),
        (1_740_000_000_u64..1_850_000_000).prop_map(|second| (second.to_string(), "{TIMESTAMP}")),
        (1_740_000_000_000_u64..1_850_000_000_000).prop_map(|second| (second.to_string(), "{TIMESTAMP}")),
        (3_000_000_000_u64..900_000_000_000).prop_map(|number| (number.to_string(), "{USERID}")),
        (100_u64..9_999_999).prop_map(|number| (number.to_string(), "{ID}")),
    ]
}

/// The pattern that a key gets when nothing is remembered.
fn classified_slowly(normaliser: &mut Normaliser, key: &str, time: Timestamp) -> PatternId {
    scan::scan(key.as_bytes(), time, &mut normaliser.skeleton);
    let hash = normaliser.registry.hash(&normaliser.skeleton);
    let found = normaliser.registry.find(&normaliser.skeleton, hash);
    found.unwrap_or_else(|| normaliser.place(hash))
}

/// The key with other digits, and here and there with letters of hexadecimal numbers for digits and the other way round.
fn with_other_values(key: &str, mut state: u64) -> String {
    let mut other = |character: char| {
        let digit = next(&mut state);
        match (character, digit % 8) {
            ('0'..='9', 1..) => char::from(b'0' + (digit / 8 % 10) as u8),
            ('a'..='f', 1..4) | ('0'..='9', _) => char::from(b"0123456789abcdef"[(digit / 8 % 16) as usize]),
            _ => character,
        }
    };
    key.chars().map(&mut other).collect()
}

fn key_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => token().prop_map(|(text, _)| text),
        4 => "[a-zA-Z0-9]{0,24}",
        2 => "[ -~]{0,12}",
        1 => "[0-9a-f:.]{0,40}",
        1 => "[A-Za-z0-9_-]{16,44}={0,2}",
        1 => prop::sample::select(vec!["{ID}", "{VAR}", "{", "}", "\\x1f", "::", "=", "@", "%40", "2026-", "T12:"]).prop_map(String::from),
    ];
    let separator = prop::sample::select(vec![":", "/", ".", "|", "#", "_", "-", "", "=", "@"]);
    prop::collection::vec((piece, separator), 0..9).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(piece, separator)| [piece, separator.to_owned()])
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_class_shreds_another((text, class) in token(), before in "[a-z]{5}[:/|#]", after in "[:/|#][g-z]{5}") {
        let mut skeleton = Vec::new();
        scan::scan(format!("{before}{text}{after}").as_bytes(), NOW, &mut skeleton);
        prop_assert_eq!(String::from_utf8_lossy(&skeleton), format!("{before}{class}{after}"));
    }

    #[test]
    fn everyday_keys_are_read_quickly_and_alike(
        any in key_like(),
        everyday in "(([a-z]{1,9}|[0-9]{1,13}|[0-9a-fA-F]{1,20}|[a-zA-Z0-9]{1,20}|20[0-9]{2}|1?[0-9]{1,2}\\.1\\.2\\.3)[:/.|#_{}-]){0,6}[a-zA-Z0-9]{0,9}",
        lower in "[a-z]{1,9}(:([a-z0-9]{1,8}|([0-9]{1,4}-){0,2}[0-9]{1,4})){1,3}",
    ) {
        let mut quick = Quick::new();
        for key in [&any, &everyday, &lower] {
            let mut skeleton = Vec::new();
            scan::scan(key.as_bytes(), NOW, &mut skeleton);
            if quick.scan(key.as_bytes(), NOW) {
                prop_assert_eq!(String::from_utf8_lossy(quick.skeleton()), String::from_utf8_lossy(&skeleton), "{}", key);
            }
        }
        prop_assert!(quick.scan(lower.as_bytes(), NOW), "{}", lower);
    }

    #[test]
    fn patterns_are_the_same_whether_remembered_or_not(
        keys in prop::collection::vec("[ab]{1,3}:([a-f]{1,2}x|[1-6]|[0-9]{3,9})(:[xyz]{1,3}|)", 1..80),
        learn_after in 1_usize..70,
    ) {
        let settings = PatternSettings { learn_after, ..PatternSettings::default() };
        let (mut one, mut other) = (Normaliser::new(&settings, 1), Normaliser::new(&settings, 1));
        for key in keys.iter().chain(&keys).chain(&keys) {
            let slowly = classified_slowly(&mut other, key, NOW);
            let quickly = one.classify(key.as_bytes(), NOW);
            prop_assert_eq!((quickly, one.name(quickly)), (slowly, other.name(slowly)), "{}", key);
        }
    }

    #[test]
    fn keys_that_are_alike_get_the_pattern_of_a_scan_whatever_their_values(
        any in key_like(),
        everyday in "(([a-z]{1,9}|[0-9]{1,13}|[0-9a-f]{8,20}|[a-f]{1,4}|[a-z]{2,5}[0-9]{1,9}|20[0-9]{2}|[23f][0-9c-e][0-9a-f]{2}|1?[0-9]{1,2}\\.1\\.2\\.3)[:/.|#_{}-]){0,4}[a-z0-9]{0,9}",
        (token, _) in token(),
        values in prop::collection::vec((any::<u64>(), 0_u64..3), 1..12),
    ) {
        let (mut one, mut other) = (fresh(), fresh());
        for key in [any.clone(), everyday.clone(), format!("{everyday}:{token}"), format!("{token}:{everyday}")] {
            // Twice, so that it is remembered.
            let same = [(key.clone(), NOW), (key.clone(), NOW)].into_iter();
            let alike = values.iter().map(|(seed, years)| {
                let time = Timestamp(NOW.0 + years * 3 * 365 * 86_400_000_000);
                (with_other_values(&key, *seed), time)
            });
            for (alike, time) in same.chain(alike) {
                let slowly = classified_slowly(&mut other, &alike, time);
                let quickly = one.classify(alike.as_bytes(), time);
                prop_assert_eq!((quickly, one.name(quickly)), (slowly, other.name(slowly)), "{} after {}", alike, key);
            }
        }
    }

    #[test]
    fn normalising_again_changes_nothing(key in key_like()) {
        let mut once = Vec::new();
        scan::scan(key.as_bytes(), NOW, &mut once);
        let mut twice = Vec::new();
        scan::scan(&once, NOW, &mut twice);
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }

    #[test]
    fn parts_and_one_pass_give_the_same_patterns(
        keys in prop::collection::vec("[ab]:([a-f]|[1-6]|123)[:.-]([a-f]|[1-5]|123)([:.-][a-d1-3])?", 1..60),
        cut in any::<prop::sample::Index>(),
        learn_after in 1_usize..5,
    ) {
        let settings = PatternSettings { learn_after, ..PatternSettings::default() };
        let classify = |keys: &[String]| {
            let mut normaliser = Normaliser::new(&settings, 1);
            let ids: Vec<PatternId> = keys.iter().map(|key| normaliser.classify(key.as_bytes(), NOW)).collect();
            (normaliser, ids)
        };
        let (whole, whole_ids) = classify(&keys);
        let cut = cut.index(keys.len());
        let (mut first, mut ids) = classify(&keys[..cut]);
        let (second, second_ids) = classify(&keys[cut..]);
        let taken = first.adopt(&second);
        ids.extend(second_ids.iter().map(|id| taken[id.index()]));
        let names = |normaliser: &Normaliser, ids: &[PatternId]| ids.iter().map(|id| normaliser.name(*id).into_owned()).collect::<Vec<_>>();
        prop_assert_eq!(names(&first, &ids), names(&whole, &whole_ids));
    }

    #[test]
    fn any_bytes_are_classified(key in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut normaliser = fresh();
        let id = normaliser.classify(&key, NOW);
        prop_assert!(normaliser.name(id).len() <= 24 * 70);
    }
}

/// Whether another key that differs from this one in a value needs no more than a look.
fn is_remembered(key: &str) -> bool {
    let mut normaliser = fresh();
    // The second time its pattern is found by its text.
    for _ in 0..2 {
        normaliser.classify(key.as_bytes(), NOW);
    }
    let mut seen = [0; Window::LENGTH];
    seen[..key.len()].copy_from_slice(key.as_bytes());
    normaliser.alike.recall(Glance::of(&seen, key.len())).is_some()
}

#[test]
fn a_key_is_remembered_unless_its_values_could_make_it_a_date_or_an_address() {
    for key in [
        "user:2048:profile",
        "user:2048",
        "2048.x:1001",
        "2048:{1001}",
        "page/300.html",
        "cart:{4711}:items",
    ] {
        assert!(is_remembered(key), "{key}");
    }
    for key in [
        "user:2048-11",
        "user:2048:1f",
        "2048.1:x",
        "hosts:300.1.1.1",
        "user:20480000",
    ] {
        assert!(!is_remembered(key), "{key}");
    }
}

#[test]
fn what_is_unbounded_ends_up_in_few_patterns() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let kinds = [
        "[a-z]{3,9}\\.[a-z]{3,9}@[a-z]{3,9}\\.com",
        "01[0-9A-HJKMNP-TV-Z]{24}",
        "[a-z]{3,12}",
        "[a-z]{3,8}[0-9]{1,4}",
        "[a-z]{2,8}[._-][a-z]{2,8}",
        "[0-9]{1,3}-[0-9]{1,2}-[0-9]{1,3}",
        "[a-zA-Z0-9]{6,10}",
    ];
    let mut normaliser = fresh();
    for kind in kinds {
        let strategy = proptest::string::string_regex(kind).expect("a pattern of the test's own");
        for _ in 0..3000 {
            let tree = strategy.new_tree(&mut runner).expect("a value");
            let key = format!("k:{}:v", proptest::strategy::ValueTree::current(&tree));
            normaliser.classify(key.as_bytes(), NOW);
        }
    }
    let mut random = 7;
    for length in [16, 20, 32, 64] {
        for _ in 0..5000 {
            let key = format!("k:{}:v", base64url(length, &mut random));
            normaliser.classify(key.as_bytes(), NOW);
        }
    }
    assert!(distinct(&normaliser) < 400, "{}", distinct(&normaliser));
}
