//! A simulated server answers as a real one does.

use hotshard::model::{PerSecond, Ratio};
use hotshard::node::simulated::Scenario;

use super::{PRIMARY, REPLICA, connect, stage};
use crate::harness::resp::Value;
use crate::harness::server::Server;

#[tokio::test(start_paused = true)]
async fn a_password_is_asked_for_and_never_shown() {
    let scenario = Scenario {
        password: Some("orange".into()),
        reads_from_replicas: Ratio(0.0),
        ..Scenario::new(1).rate(PerSecond(0.0))
    };
    let stage = stage(scenario);
    let (mut tap, mut late) = (connect(&stage, REPLICA), connect(&stage, REPLICA));
    let refused = Value::Error("NOAUTH Authentication required.".into());
    assert_eq!(tap.call(&["MONITOR"]).await.expect("it is answered"), refused);
    let wrong = tap.call(&["AUTH", "lemon"]).await.expect("it is answered");
    assert!(matches!(wrong, Value::Error(error) if error.starts_with("WRONGPASS ")));
    for command in [&["AUTH", "orange"][..], &["MONITOR"]] {
        assert_eq!(
            tap.call(command).await.expect("it is answered"),
            Value::Simple("OK".into())
        );
    }
    late.call(&["HELLO", "2", "AUTH", "default", "orange"])
        .await
        .expect("it is answered");
    let line = tap.receive().await.expect("a line").text();
    assert!(
        line.ends_with(r#""HELLO" "2" "AUTH" "(redacted)" "(redacted)""#),
        "{line}"
    );
}

#[tokio::test]
async fn answers_are_those_of_a_real_server() {
    let server = Server::redis().start().await;
    let mut real = server.connect().await;
    let stage = stage(Scenario::new(1).rate(PerSecond(0.0)));
    let mut played = connect(&stage, PRIMARY);
    let commands = [
        "PING",
        "PING x",
        "PING x y",
        "ECHO hi",
        "SELECT 0",
        "BADCMD a b",
        "GET",
        "GET nosuch",
        "CLIENT",
        "CLIENT BLAH",
        "CLIENT SETNAME hot",
        "CLIENT SETNAME",
        "CLIENT GETNAME",
        "CLIENT LIST ID 12345",
        "CLIENT LIST TYPE master",
        "CLIENT LIST what",
        "CLIENT KILL ID 12345",
        "CLIENT KILL ID x",
        "HELLO 9",
        "AUTH x",
        "AUTH a b",
        "ROLE x",
        "INFO nosuch",
        "TYPE nosuch",
        "EXISTS nosuch",
        "TTL nosuch",
        "MEMORY USAGE nosuch",
        "STRLEN nosuch",
        "HLEN nosuch",
        "HSTRLEN nosuch f",
        "LLEN nosuch",
        "LINDEX nosuch 0",
        "SCARD nosuch",
        "ZCARD nosuch",
        "XLEN nosuch",
        "OBJECT ENCODING nosuch",
        "HRANDFIELD nosuch 3",
        "SRANDMEMBER nosuch 3",
        "ZRANDMEMBER nosuch 3",
        "CONFIG GET nosuch",
        "CONFIG GET timeout",
        "MEMORY",
        "OBJECT",
        "COMMANDLOG GET 1 slow",
        "MONITOR",
        "MONITOR nosuch",
        "QUIT",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let expected = real.call(&words).await.expect("the server answers");
        assert_eq!(
            played.call(&words).await.expect("the stage answers"),
            expected,
            "{command}"
        );
    }
}

#[tokio::test]
async fn every_field_of_info_is_one_of_a_real_server() {
    fn names(info: &str) -> Vec<String> {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        info.lines()
            .map(name)
            .filter(|name| !name.starts_with("cmdstat_"))
            .collect()
    }
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    second.follow(&first).await;
    second.linked().await;
    first.call(&["SET", "a", "b"]).await;
    for (server, place) in [(&first, PRIMARY), (&second, REPLICA)] {
        let real = names(&server.call(&["INFO", "everything"]).await.text());
        let stage = stage(Scenario::new(1).rate(PerSecond(100.0)));
        let played = connect(&stage, place)
            .call(&["INFO", "everything"])
            .await
            .expect("it is answered")
            .text();
        let unknown: Vec<String> = names(&played)
            .into_iter()
            .filter(|name| !real.contains(name) && name != "db0" && !name.starts_with("errorstat_"))
            .collect();
        assert_eq!(unknown, Vec::<String>::new());
    }
}
