//! The command line from the outside: exit codes, one-line errors, nothing on the wrong stream.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use assert_cmd::Command;
use expect_test::{Expect, expect};

/// hotshard in an empty environment.
pub(crate) fn hotshard(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotshard"));
    command.env_clear().args(args);
    command
}

/// What a run said, and how it ended.
pub(crate) fn told(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    let stdout = String::from_utf8(output.stdout).expect("output is text");
    let stderr = String::from_utf8(output.stderr).expect("errors are text");
    let code = output
        .status
        .code()
        .map_or("killed".to_owned(), |code| code.to_string());
    format!("{stdout}{stderr}exit code {code}\n")
}

fn check(args: &[&str], expected: Expect) {
    expected.assert_eq(&told(&mut hotshard(args)));
}

#[test]
fn wrong_usage_is_one_line_with_the_cure() {
    check(
        &["chekc"],
        expect![[r#"
            hotshard: unrecognized subcommand 'chekc'; a similar subcommand exists: 'check'; see --help
            exit code 2
        "#]],
    );
    check(
        &["check", "--poll.intervall", "3"],
        expect![[r#"
            hotshard: unexpected argument '--poll.intervall' found; a similar argument exists: '--poll.interval'; see --help
            exit code 2
        "#]],
    );
    check(
        &["completions"],
        expect![[r#"
            hotshard: the following required arguments were not provided: <SHELL>; see --help
            exit code 2
        "#]],
    );
    check(
        &["man", "schdule"],
        expect![[r#"
            hotshard: there is no command `schdule`; there is serve, demo, monitor, analyze, endpoints, check, query, report, healthcheck, completions, man
            exit code 2
        "#]],
    );
}

/// Whoever types flags is told of flags.
#[test]
fn a_missing_region_is_asked_for_by_its_flag() {
    let mut command = hotshard(&["endpoints", "-c", "orders"]);
    // A machine in AWS knows its own.
    let told = told(command.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(
        told,
        "hotshard: orders: no AWS region is set; name it by --region, AWS_REGION or a profile with a region\nexit code 1\n"
    );
}

#[test]
fn the_earlier_tools_schedule_says_what_took_its_place() {
    check(
        &["schedule", "--config", "config.yaml"],
        expect![[r#"
            hotshard: there is no command `schedule` any more: `hotshard serve` runs the rounds, as monitor.schedule in its configuration says; one round now is `hotshard monitor`
            exit code 2
        "#]],
    );
}

#[test]
fn every_command_has_an_example() {
    let help = told(&mut hotshard(&["--help"]));
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // A command begins two columns in; what is further in goes on from the line before.
    let begins = |line: &&str| !line.starts_with("   ");
    let commands: Vec<&str> = listed
        .filter(begins)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"check"), "{help}");
    for command in commands {
        let help = told(&mut hotshard(&[command, "--help"]));
        assert!(help.contains(&format!("Example:\n  hotshard {command}")), "{help}");
    }
}

#[test]
fn completions_and_manual_pages_are_written_for_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = told(&mut hotshard(&["completions", shell]));
        assert!(
            script.contains("monitor.window") && script.ends_with("exit code 0\n"),
            "{shell}"
        );
    }
    let page = told(&mut hotshard(&["man", "check"]));
    assert!(page.contains(".TH") && page.contains("poll.interval"), "{page}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut running = std::process::Command::new(env!("CARGO_BIN_EXE_hotshard"))
        .args(["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(running.stdout.take());
    let output = running.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn healthcheck_tells_alive_from_stalled_and_gone() {
    let url = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(told(&mut hotshard(&["healthcheck", "--url", &url])), "exit code 0\n");

    let url = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    let expected = format!("hotshard: {url} answers 503; its log says why\nexit code 1\n");
    assert_eq!(told(&mut hotshard(&["healthcheck", "--url", &url])), expected);

    let url = answering("-ERR unknown command\r\n");
    let expected = format!(
        "hotshard: {url} does not answer: what answers is no HTTP server; is `hotshard serve` running there?\nexit code 1\n"
    );
    assert_eq!(told(&mut hotshard(&["healthcheck", "--url", &url])), expected);

    check(
        &["healthcheck", "--url", "localhost:9468"],
        expect![[r#"
            hotshard: --url: only http:// can be asked; write http://host:port/healthz
            exit code 2
        "#]],
    );
}

/// A server that gives one answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a port");
    let url = format!("http://{}/healthz", listener.local_addr().expect("it listens"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("someone asks");
        let mut question = [0; 1024];
        let _ = stream.read(&mut question);
        stream.write_all(answer.as_bytes()).expect("it still listens");
    });
    url
}
