//! Replies against what servers send, and what is asked within which budget.

use super::*;
use crate::model::Bytes;

/// `command arguments`; every string under a key is as long as the number at the key's end says, a missing one has none. Collections
/// have so many elements of ten bytes.
fn call(text: &str) -> (String, Call) {
    let mut words = text.split(' ');
    let command = words.next().unwrap_or_default().to_owned();
    let arguments: Vec<Box<[u8]>> = words.map(|word| word.as_bytes().into()).collect();
    let total = arguments.len();
    let call = Call {
        database: 0,
        arguments,
        total,
        patterns: Vec::new(),
    };
    (command, call)
}

fn calls(text: &str, calls: f64) -> Calls {
    let (command, call) = call(text);
    let pattern = call
        .arguments
        .first()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    Calls {
        signature: text.into(),
        pattern: pattern.map(Arc::from),
        command: command.into(),
        full_scan: false,
        calls,
        lines: vec![call],
    }
}

fn number_in(name: &[u8]) -> u64 {
    let digits: String = name
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .map(|byte| *byte as char)
        .collect();
    digits.parse().unwrap_or(0)
}

fn answer(question: &Question) -> Option<Answer> {
    let number = number_in(&question.key);
    Some(match &question.kind {
        Kind::Length => Answer::Length(number),
        Kind::FieldLength(field) => Answer::Length(number_in(field)),
        Kind::Between(..) => Answer::Count(number / 2),
        Kind::Hash | Kind::SortedSet => Answer::Elements(Elements::of(number, &[10, 10], &[4, 4])),
        Kind::Set | Kind::List(_) => Answer::Elements(Elements::of(number, &[10, 10], &[])),
    })
}

fn surveyed(calls: Vec<Calls>, budget: usize) -> Survey {
    let mut survey = Survey::new(calls, budget);
    loop {
        let asked = survey.next_questions();
        if asked.is_empty() {
            return survey;
        }
        let answers: Vec<_> = asked
            .into_iter()
            .map(|question| (question.clone(), answer(&question)))
            .collect();
        survey.take(answers);
    }
}

/// What one such call is answered with, beside the very bytes a server sends.
#[track_caller]
fn check(text: &str, reply: &str) {
    let estimate = surveyed(vec![calls(text, 1.0)], 200).finish(None);
    assert_eq!(estimate.estimated.0, reply.len() as u64, "{text}");
    assert!(estimate.not_estimable.is_empty(), "{text}");
}

fn bulk_of(length: usize) -> String {
    format!("${length}\r\n{}\r\n", "x".repeat(length))
}

fn array_of(items: usize, each: &str) -> String {
    format!("*{items}\r\n{}", each.repeat(items))
}

#[test]
fn a_reply_has_the_bytes_that_a_server_sends() {
    check("GET k120", &bulk_of(120));
    check("GET missing", "$-1\r\n");
    check("GETRANGE k120 0 9", &bulk_of(10));
    check(
        "MGET k7 missing k100",
        &format!("*3\r\n{}$-1\r\n{}", bulk_of(7), bulk_of(100)),
    );
    check("HGET h f33", &bulk_of(33));
    check("HMGET h f1 f22", &format!("*2\r\n{}{}", bulk_of(1), bulk_of(22)));
    check("SET k v", "+OK\r\n");
    check("SET k12 v GET", &bulk_of(12));
    check("PING", "+PONG\r\n");
    check("SADD s a", ":1\r\n");
    check("SMEMBERS s1000", &array_of(1000, &bulk_of(10)));
    check("SMEMBERS s0", "*0\r\n");
    check("HKEYS h12", &array_of(12, &bulk_of(10)));
    check("HVALS h12", &array_of(12, &bulk_of(4)));
    check(
        "HGETALL h12",
        &format!("*24\r\n{}", (bulk_of(10) + &bulk_of(4)).repeat(12)),
    );
}

#[test]
fn a_reply_about_several_keys_is_divided_among_their_patterns() {
    let mut mget = calls("MGET a7 b100 a7 b0", 10.0);
    mget.lines[0].patterns = ["a{ID}", "b{ID}", "a{ID}", "b{ID}"].map(Arc::from).to_vec();
    let estimate = surveyed(vec![mget, calls("GET a7", 5.0)], 200).finish(None);
    // The array's head belongs to each as its strings do.
    let whole = format!("*4\r\n{0}{1}{0}$-1\r\n", bulk_of(7), bulk_of(100)).len();
    assert_eq!(
        estimate.of_command("MGET").map(|bytes| bytes.0),
        Some(10 * whole as u64)
    );
    let of = [2 * bulk_of(7).len(), bulk_of(100).len() + 5];
    let of_all = of.iter().sum::<usize>() as f64;
    let shares = of.map(|of| (10.0 * whole as f64 * of as f64 / of_all).round() as u64);
    assert_eq!(estimate.of_pattern("a{ID}"), Some(Bytes(shares[0])));
    assert_eq!(estimate.of_pattern("b{ID}"), Some(Bytes(shares[1])));
    assert_eq!(estimate.of_pattern("a7"), Some(Bytes(5 * bulk_of(7).len() as u64)));
    let sum: u64 = estimate.patterns.iter().map(|(_, bytes)| bytes.0).sum();
    assert_eq!(sum, estimate.attributed.0);
}

#[test]
fn ranges_scores_and_counts_are_resolved() {
    check("LRANGE l100 0 -1", &array_of(100, &bulk_of(10)));
    check("LRANGE l100 -5 -1", &array_of(5, &bulk_of(10)));
    check("LRANGE l3 5 9", "*0\r\n");
    check("LINDEX l3 0", &bulk_of(10));
    check("LINDEX l0 0", "$-1\r\n");
    check("ZREVRANGE z100000 0 -1", &array_of(100_000, &bulk_of(10)));
    check(
        "ZREVRANGE z100 0 9 WITHSCORES",
        &format!("*20\r\n{}", (bulk_of(10) + &bulk_of(4)).repeat(10)),
    );
    check("ZRANGE z100 0 4 REV", &array_of(5, &bulk_of(10)));
    check("ZRANGEBYSCORE z100 5 10", &array_of(50, &bulk_of(10)));
    check("ZRANGEBYSCORE z100 5 10 LIMIT 45 10", &array_of(5, &bulk_of(10)));
    check("ZREVRANGEBYSCORE z100 +inf -inf LIMIT 0 3", &array_of(3, &bulk_of(10)));
    check("ZRANGE z100 10 5 BYSCORE REV LIMIT 0 7", &array_of(7, &bulk_of(10)));
    check("SRANDMEMBER s5 10", &array_of(5, &bulk_of(10)));
    check("SRANDMEMBER s5 -10", &array_of(10, &bulk_of(10)));
    check("SRANDMEMBER s5", &bulk_of(10));
    check(
        "HRANDFIELD h50 3 WITHVALUES",
        &format!("*6\r\n{}", (bulk_of(10) + &bulk_of(4)).repeat(3)),
    );
}

#[test]
fn scores_between_are_counted_from_the_smaller_to_the_larger() {
    let asked = Survey::new(vec![calls("ZREVRANGEBYSCORE z9 7 3", 1.0)], 200).next_questions();
    let between = asked.into_iter().find_map(|question| match question.kind {
        Kind::Between(least, most) => Some((least, most)),
        _ => None,
    });
    assert_eq!(between, Some(((*b"3").into(), (*b"7").into())));
}

#[test]
fn what_can_not_be_estimated_is_named_and_not_guessed() {
    for command in [
        "EVAL script 1 k",
        "XREAD STREAMS s 0",
        "BLPOP q 0",
        "SUBSCRIBE c",
        "SCAN 0 MATCH a*",
        "GETDEL k9",
    ] {
        let estimate = surveyed(vec![calls(command, 30.0), calls("GET k1", 70.0)], 200).finish(None);
        let name: Arc<str> = command.split(' ').next().unwrap_or_default().into();
        assert_eq!(estimate.not_estimable, [(name, 30)]);
        assert_eq!(estimate.not_estimable_share, crate::model::Ratio(0.3));
        assert_eq!(estimate.estimated, Bytes(70 * bulk(1)));
    }
}

/// An exact reply of 1,000 bytes in all and an uncertain one of as many, against what was measured: what is attributed, and the scale.
#[track_caller]
fn check_scale(measured: u64, unknown: f64, expected: (u64, f64)) {
    let exact = calls("GET k94", 10.0);
    // 10 elements of 17 bytes and a head of 5.
    let uncertain = calls("SMEMBERS s10", 1000.0 / 175.0);
    let of = [exact, uncertain, calls("EVAL script 0", unknown)]
        .into_iter()
        .filter(|of| of.calls > 0.0);
    let estimate = surveyed(of.collect(), 200).finish(Some(Bytes(measured)));
    assert_eq!(
        (estimate.estimated.0).abs_diff(2010),
        0,
        "the sum itself is never rescaled"
    );
    assert_eq!(
        (estimate.attributed.0, (estimate.scale.0 * 1000.0).round() / 1000.0),
        expected
    );
    assert_eq!(estimate.unattributed(), Some(measured as i64 - expected.0 as i64));
    assert_eq!(
        estimate.of_command("GET"),
        Some(Bytes(1010)),
        "exact replies are never rescaled"
    );
}

#[test]
fn uncertain_replies_are_rescaled_within_bounds_and_exact_ones_never() {
    check_scale(2010, 0.0, (2010, 1.0));
    check_scale(2110, 0.0, (2110, 1.1));
    check_scale(1910, 0.0, (1910, 0.9));
    check_scale(9000, 0.0, (2260, 1.25));
    check_scale(500, 0.0, (1810, 0.8));
}

#[test]
fn what_is_missing_is_not_given_to_the_known_when_it_may_belong_to_the_unknown() {
    check_scale(2110, 1.0, (2010, 1.0));
    check_scale(1910, 1.0, (1910, 0.9));
}

#[test]
fn what_sampling_may_have_caused_is_not_blamed_on_the_arithmetic() {
    let lines = (0..100)
        .map(|key| call(&format!("GET k{}", 20 + key * 10 % 997)).1)
        .collect();
    let sampled = Calls {
        lines,
        ..calls("GET k1", 10_000.0)
    };
    let few = calls("SMEMBERS s10", 100.0);
    let sum = surveyed(vec![sampled.clone(), few.clone()], 200).finish(None).estimated;
    // 3 % of a sum of which nearly all was sampled.
    let estimate = surveyed(vec![sampled, few], 200).finish(Some(Bytes(sum.0 * 97 / 100)));
    assert!((0.97..=1.0).contains(&estimate.scale.0), "{:?}", estimate.scale);
}

#[test]
fn the_budget_is_never_passed_and_goes_where_the_bytes_are() {
    let many = |pattern: &str, size: u64, count: f64| Calls {
        lines: (0..256)
            .map(|key| call(&format!("GET {pattern}{key}_{size}")).1)
            .collect(),
        pattern: Some(pattern.into()),
        ..calls(&format!("GET {pattern}{size}"), count)
    };
    let of = vec![many("small", 1, 100_000.0), many("large", 5000, 1000.0)];
    for budget in [0, 1, 2, 10, 200] {
        let mut survey = Survey::new(of.clone(), budget);
        let (mut cost, mut large) = (0, 0);
        loop {
            let asked = survey.next_questions();
            if asked.is_empty() {
                break;
            }
            cost += asked.iter().map(Question::cost).sum::<usize>();
            large += asked
                .iter()
                .filter(|question| question.key.starts_with(b"large"))
                .count();
            let sizes = |question: &Question| {
                let size = if question.key.starts_with(b"large") { 5000 } else { 1 };
                Some(Answer::Length(size))
            };
            survey.take(
                asked
                    .into_iter()
                    .map(|question| (question.clone(), sizes(&question)))
                    .collect::<Vec<_>>(),
            );
        }
        assert!(cost <= budget, "{cost} of {budget}");
        if budget == 200 {
            assert!(cost > 150 && large > cost / 2, "{large} of {cost}");
        }
    }
}

#[test]
fn a_rare_read_of_a_whole_collection_is_asked_about_before_frequent_small_ones() {
    let mut of: Vec<Calls> = (0..150)
        .map(|number| calls(&format!("GET k{number}"), 1000.0))
        .collect();
    of.push(Calls {
        full_scan: true,
        ..calls("ZREVRANGE z100000 0 -1", 3.0)
    });
    let estimate = surveyed(of, 200).finish(None);
    assert_eq!(estimate.patterns[0], ("z100000".into(), Bytes(3 * (9 + 100_000 * 17))));
}
