//! Questions about the sizes of keys: they return little, and are no use of a key.

use std::time::Duration;

use hotshard::analysis::bandwidth::{Answer, Kind, Question, Range};
use hotshard::node::sizes::{SizeLimits, Sizes};
use hotshard::node::{Account, Credentials, Link};

use super::{added, fill, fill_leaderboard, off};
use crate::harness::link::{SETTINGS, endpoint, plain};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::wait::eventually;

const LIMITS: SizeLimits = SizeLimits {
    commands_max: 200,
    bytes_max: 1 << 20,
    touch: false,
};

#[tokio::test]
async fn questions_about_sizes_return_little_and_are_no_use_of_a_key() {
    check_harmless(Server::valkey9(), true).await;
    check_harmless(Server::valkey8(), true).await;
    // No NO-TOUCH before 7.2: only strings are asked about there, by their memory.
    check_harmless(Server::redis(), false).await;
    check_harmless(Server::redis6(), false).await;
}

async fn check_harmless(plan: ServerPlan, knows_no_touch: bool) {
    let server = plan.start().await;
    let huge = "x".repeat(10_000_000);
    fill_leaderboard(&server, "board").await;
    fill(
        &server,
        [
            added("SET", "blob", [huge.clone()]),
            added(
                "HSET",
                "hash",
                ["a".to_owned(), huge.clone(), "b".to_owned(), huge.clone()],
            ),
            added("RPUSH", "list", (0..3000).map(|element| format!("element {element}"))),
            added("RPUSH", "fat", [huge.clone(), huge.clone()]),
            added("SADD", "set", [huge]),
        ],
    )
    .await;
    let keys = ["blob", "hash", "list", "fat", "set", "board"];
    let idle = async |least: i64| {
        for key in keys {
            let idle = server.call(&["OBJECT", "IDLETIME", key]).await.integer();
            if idle < least {
                return Err(format!("{key} idle for {idle} s"));
            }
        }
        Ok(())
    };
    eventually("all keys are idle", Duration::from_secs(20), async || idle(2).await).await;
    let account = Account::new();
    let link = Link::open(&plain(), &endpoint(&server), &Credentials::none(), &account, SETTINGS)
        .await
        .expect("a link");
    let (before, output) = (
        account.total(),
        server.info("stats").await["total_net_output_bytes"].clone(),
    );
    let mut sizes = Sizes::open(&link, LIMITS).await.expect("it can be asked");
    let question = |key: &str, kind| Question {
        database: 0,
        key: key.as_bytes().into(),
        kind,
    };
    let questions = vec![
        question("blob", Kind::Length),
        question("hash", Kind::Hash),
        question("list", Kind::List(Range::ALL)),
        question("fat", Kind::List(Range::ALL)),
        question("set", Kind::Set),
        question("board", Kind::SortedSet),
        question("nothing", Kind::Hash),
    ];
    let answers = sizes.answer(questions).await.expect("it is answered");
    let too_many = (0..500).map(|number| question(&format!("missing{number}"), Kind::Length));
    let unanswered = sizes.answer(too_many.collect()).await.expect("some are answered");
    assert!(unanswered.iter().any(|(_, answer)| answer.is_none()), "the limit holds");
    idle(2)
        .await
        .unwrap_or_else(|used| panic!("a question was a use: {used}"));
    let own = account.total().since(&before);
    assert!(own.calls() <= 200 && sizes.sent() <= 200, "{own:?}");
    assert!(own.bytes_out.0 < 1 << 20, "{own:?}");
    let sent: u64 = server.info("stats").await["total_net_output_bytes"]
        .parse()
        .expect("a number");
    assert!(
        sent - output.parse::<u64>().expect("a number") < 1 << 20,
        "what was sent is what was counted"
    );
    let answer = |key: &str| {
        let found = answers.iter().find(|(question, _)| *question.key == *key.as_bytes());
        found.and_then(|(_, answer)| *answer)
    };
    match answer("blob") {
        Some(Answer::Length(length)) if knows_no_touch => assert_eq!(length, 10_000_000),
        Some(Answer::AboutLength(length)) if !knows_no_touch => assert!(off(length, 10_000_000) < 0.2, "{length}"),
        other => panic!("{other:?}"),
    }
    let elements = |key: &str| match answer(key) {
        Some(Answer::Elements(elements)) => Some((elements.count, elements.item)),
        _ => None,
    };
    if !knows_no_touch {
        assert_eq!(keys.map(elements), [None; 6]);
        return;
    }
    let (count, item) = elements("board").expect("it was asked about");
    // 93 bytes of a member, "$93", and twice the line end.
    assert_eq!((count, item.round()), (100_000, 100.0));
    let (count, item) = elements("fat").expect("it was asked about");
    assert!(count == 2 && off(item as u64, 10_000_000) < 0.35, "{item}");
    assert_eq!(elements("nothing"), Some((0, 0.0)));
    let (count, item) = elements("list").expect("it was asked about");
    assert!(count == 3000 && (15.0..19.0).contains(&item), "{item}");
}

/// Far behind a thousand small elements lies a huge one, which no question about the list as a whole can find.
#[tokio::test]
async fn an_answer_that_nobody_could_foresee_is_not_read_to_its_end() {
    let server = Server::valkey9().start().await;
    let small = "s".repeat(4000);
    fill(
        &server,
        [
            added("RPUSH", "list", (0..1000).map(|_| small.clone())),
            added("RPUSH", "list", ["x".repeat(50_000_000)]),
            added("SET", "blob", ["x".repeat(300)]),
        ],
    )
    .await;
    let account = Account::new();
    let link = Link::open(&plain(), &endpoint(&server), &Credentials::none(), &account, SETTINGS)
        .await
        .expect("a link");
    let before = account.total();
    let mut sizes = Sizes::open(&link, LIMITS).await.expect("it can be asked");
    let question = |key: &str, kind| Question {
        database: 0,
        key: key.as_bytes().into(),
        kind,
    };
    let blob = sizes
        .answer(vec![question("blob", Kind::Length)])
        .await
        .expect("a small one");
    assert!(matches!(blob[..], [(_, Some(Answer::Length(300)))]), "{blob:?}");
    let last = Range { first: -1, last: -1 };
    let list = sizes
        .answer(vec![question("list", Kind::List(last))])
        .await
        .expect("no failure");
    let [(_, Some(Answer::Elements(elements)))] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(elements.count, 1001);
    assert!((3000.0..6000.0).contains(&elements.item), "by its memory: {elements:?}");
    let own = account.total().since(&before);
    assert!(own.bytes_out.0 <= 1 << 20, "{own:?}");
    let gone = async || match server.call(&["CLIENT", "LIST"]).await.text() {
        clients if clients.contains("name=hotshard") => Err(clients),
        _ => Ok(()),
    };
    eventually("the connection is closed", Duration::from_secs(10), gone).await;
    let sent = sizes.sent();
    let after = sizes
        .answer(vec![question("blob", Kind::Length)])
        .await
        .expect("no failure");
    assert!(matches!(after[..], [(_, None)]), "{after:?}");
    assert_eq!(sizes.sent(), sent, "nothing more is asked");
}
