//! Which arguments are keys, against what real servers say about every command of the table.

use std::collections::BTreeSet;

use hotshard::analysis::keyspec::{Commands, Keys};

use crate::commands::told;
use crate::harness::resp::{Connection, Value};
use crate::harness::server::{Server, ServerPlan};

#[tokio::test]
async fn keys_are_where_redis_says() {
    check(Server::redis(), false).await;
}

#[tokio::test]
async fn keys_are_where_valkey_says() {
    check(Server::valkey8(), false).await;
}

/// With the commands that the table doesn't have.
#[tokio::test]
async fn keys_are_where_a_newer_server_says() {
    check(Server::valkey9(), true).await;
}

/// Asks for the keys of many calls of every command; each command with keys must be answered at least once.
async fn check(plan: ServerPlan, with_its_own: bool) {
    let server = plan.start().await;
    let mut connection = server.connect().await;
    let commands = match with_its_own {
        true => Commands::of_server(&told(&server).await),
        false => Commands::builtin(),
    };
    let mut unanswered = BTreeSet::new();
    let mut differences = Vec::new();
    let known = if with_its_own {
        Commands::builtin().all().len()
    } else {
        0
    };
    for command in &commands.all()[known..] {
        let calls = calls(&command.name);
        let answers = ask(&mut connection, &calls).await;
        let mut answered = 0;
        for (call, answer) in calls.iter().zip(answers) {
            let Some(mut expected) = answer else { continue };
            answered += usize::from(!expected.is_empty());
            let found = commands.keys(call).into_iter();
            let mut found: Vec<String> = found.map(|key| String::from_utf8(key).expect("ASCII")).collect();
            found.sort_unstable();
            expected.sort_unstable();
            // A script with fewer arguments than it says it has keys is shown, but not run.
            let refused = command.script && expected.is_empty();
            // SORT stores under a key named STORE, although COMMAND GETKEYS then names another.
            let stored = call.windows(2).any(|pair| pair == ["STORE", "STORE"]);
            if found != expected && !refused && !stored {
                differences.push(format!(
                    "{}: {found:?}, but the server says {expected:?}",
                    call.join(" ")
                ));
            }
        }
        if answered == 0 && command.keys != Keys::None {
            unanswered.insert(command.name.to_string());
        }
    }
    assert!(
        differences.is_empty(),
        "{}",
        differences[..differences.len().min(30)].join("\n")
    );
    assert!(unanswered.is_empty(), "never answered: {unanswered:?}");
}

/// Calls of a command with up to eight arguments: all different, with a number at each place, with each word at each place, with both.
fn calls(name: &str) -> Vec<Vec<String>> {
    const WORDS: [&str; 7] = ["STREAMS", "STORE", "STOREDIST", "KEYS", "LIMIT", "BY", ""];
    let name: Vec<&str> = name.split('|').collect();
    let mut calls = Vec::new();
    for length in 1..=8 {
        let plain: Vec<String> = (0..length).map(|place| format!("argument{place}")).collect();
        let mut arguments = vec![plain.clone()];
        for place in 0..length {
            for word in WORDS.iter().copied().chain(["1", "2"]) {
                let mut with_word = plain.clone();
                with_word[place] = word.to_owned();
                arguments.push(with_word.clone());
                if word == "STREAMS" || word == "STORE" || word.is_empty() {
                    for other in (0..length).filter(|other| *other != place) {
                        for another in ["1", "KEYS", "STORE"] {
                            let mut with_both = with_word.clone();
                            with_both[other] = another.to_owned();
                            arguments.push(with_both);
                        }
                    }
                }
            }
        }
        let whole = |arguments: Vec<String>| name.iter().map(|&part| part.to_owned()).chain(arguments).collect();
        calls.extend(arguments.into_iter().map(whole));
    }
    calls
}

/// What the server answers to each call; `None` where it finds fault with the call.
async fn ask(connection: &mut Connection, calls: &[Vec<String>]) -> Vec<Option<Vec<String>>> {
    let mut answers = Vec::new();
    for batch in calls.chunks(200) {
        let asked = batch.iter().map(|call| {
            let question = ["COMMAND", "GETKEYS"].into_iter();
            question.chain(call.iter().map(String::as_str)).collect()
        });
        let asked: Vec<Vec<&str>> = asked.collect();
        connection.send(&asked).await.expect("the server takes the calls");
        for _ in batch {
            let answer = connection.receive().await.expect("an answer");
            answers.push(keys_of(&answer));
        }
    }
    answers
}

fn keys_of(answer: &Value) -> Option<Vec<String>> {
    match answer {
        Value::Error(error) if error.contains("no key arguments") => Some(Vec::new()),
        Value::Error(_) => None,
        _ => Some(answer.items().iter().map(Value::text).collect()),
    }
}
