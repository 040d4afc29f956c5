//! Mistakes in a configuration: each is told with its place and its cure.

use expect_test::expect;
use tempfile::TempDir;

use super::{GROUP, check, checked};
use crate::cli::{hotshard, told};

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_cure() {
    check(
        "[[groups]]\nid = \"orders\"\nendpoint = [\"10.0.3.7:6379\"]\n\n[poll]\ninterval = \"soon\"\ntimeout = true\n\n\
         [monitr]\nwindow = 3\n\n[monitor]\nconcurrency = 0\nnodes = \"replicas\"\nschedule = \"0 0 30 2 *\"\n",
        &[("HOTSHARD_LOG__LEVL", "debug"), ("HOTSHARD_LOG__FORMAT", "xml")],
        &["--monitor.commands-max", "many"],
        expect![[r#"
            hotshard: h.toml:3: groups.endpoint is not a setting; did you mean groups.endpoints?
            hotshard: h.toml:6: poll.interval: `soon` is no duration; write seconds, or a text such as "500ms", "15s", "2m" or "1h30m"
            hotshard: h.toml:7: poll.timeout is true; write a duration such as 90, "500ms" or "2m"
            hotshard: h.toml:9: monitr is not a setting; did you mean monitor?
            hotshard: h.toml:13: monitor.concurrency is 0; write a whole number from 1
            hotshard: h.toml:14: monitor.nodes is `replicas`, which is none of replica, primary, replica-or-primary; did you mean replica?
            hotshard: h.toml:15: monitor.schedule: the schedule `0 0 30 2 *` never comes
            hotshard: HOTSHARD_LOG__FORMAT: log.format is `xml`, which is none of auto, text, json
            hotshard: HOTSHARD_LOG__LEVL: log.levl is not a setting; did you mean log.level?
            hotshard: --monitor.commands-max: monitor.commands_max is the text "many"; write a whole number from 1
            exit code 2
        "#]],
    );
}

#[test]
fn groups_that_make_no_sense_are_refused_with_a_sentence_each() {
    check(
        "[[groups]]\nid = \"a\"\nendpoints = [\"h:1\"]\ntags = { team = \"x\" }\n[[groups]]\nid = \"b\"\nendpoints = [\"h:1\"]\n[[groups]]\nid = \"b\"\n\
         endpoints = [\"h:1\", \"h:2:0001\"]\n[[groups]]\nname = \"c\"\n[[groups]]\nid = \"\"\nendpoints = [\"h\", \"fd00::7:1\"]\n\
         [[groups]]\nid = 5\nendpoints = \"h:1\"\n",
        &[("HOTSHARD_GROUPS__0__ID", "x")],
        &[],
        expect![[r#"
            hotshard: h.toml:3: the group a selects caches of AWS by a glob or by tags and has endpoints too; leave one of them out
            hotshard: h.toml:9: there are two groups b; each needs its own id
            hotshard: h.toml:10: the group b mixes seeds (h:1) and nodes with their shard (h:2:0001); write all of them the same way
            hotshard: h.toml:11: groups.id is missing; add it
            hotshard: h.toml:14: a group's id is empty; write the replication group's id
            hotshard: h.toml:15: endpoint 1 of the group : `h` has no port; write host:port, or [address]:port for IPv6
            hotshard: h.toml:15: endpoint 2 of the group : `fd00::7:1` looks like an IPv6 address without brackets; write [address]:port
            hotshard: h.toml:17: groups.id is 5; write a text in quotes
            hotshard: h.toml:18: groups.endpoints is the text "h:1"; write a list in [ ]
            hotshard: HOTSHARD_GROUPS__0__ID: groups are written in the file alone; put them there and name it with --config
            exit code 2
        "#]],
    );
    check(
        "groups = 3\n",
        &[],
        &[],
        expect![[r#"
        hotshard: h.toml:1: groups is no list of tables; write [[groups]]
        exit code 2
    "#]],
    );
    check(
        "[groups]\nid = \"a\"\n",
        &[],
        &[],
        expect![[r#"
        hotshard: h.toml:1: groups is a list; write [[groups]] with two brackets
        exit code 2
    "#]],
    );
    check(
        "",
        &[],
        &[],
        expect![[r#"
        hotshard: there is nothing to watch: no [[groups]] is configured; name a file that has one by --config, or try `hotshard demo`
        exit code 2
    "#]],
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    check(
        &format!(
            "{GROUP}[groups.tls]\nca_file = \"/nowhere/ca.pem\"\n[auth]\npassword_env = \"hunter2\"\n[tls]\n\
             cert_file = \"/nowhere/client.pem\"\n[monitor]\nwindow = \"10m\"\n[poll]\ninterval = 0\n\
             [[patterns.rule]]\nmatch = \"(\"\nname = \"x\"\n"
        ),
        &[],
        &["--log.level", "inf"],
        expect![[r#"
            hotshard: h.toml:4: cannot read /nowhere/ca.pem (tls.ca_file): I/O error: No such file or directory (os error 2)
            hotshard: h.toml:7: auth.password_env is the name of an environment variable (capitals, digits, _), not the password itself
            hotshard: h.toml:8: tls.cert_file and tls.key_file belong together; set both or none
            hotshard: h.toml:11: monitor.window of 10m never ends before the next round, every 5m; write a shorter window: it is the exception in a node's life
            hotshard: h.toml:13: poll.interval is 0s; write at least 1s
            hotshard: h.toml:14: patterns.rule: pattern rule `x`: `(` is no regular expression: unclosed group; mend `match`
            hotshard: --log.level: log.level: `inf` is no level; write error, warn, info, debug, trace or off, also by module as in "info,hotshard::node=debug"
            exit code 2
        "#]],
    );
}

#[test]
fn a_token_of_iam_is_never_sent_in_plain_text() {
    check(
        "[[groups]]\nid = \"a\"\nendpoints = [\"h:1\"]\n[groups.auth]\niam_user = \"watcher\"\n\
         [[groups]]\nid = \"b\"\n[groups.tls]\nenabled = false\n\
         [[groups]]\nid = \"c\"\n\
         [[groups]]\nid = \"d\"\nendpoints = [\"h.cache.amazonaws.com:1\"]\n\
         [auth]\niam_user = \"watcher\"\n",
        &[],
        &[],
        expect![[r#"
            hotshard: h.toml:5: auth.iam_user needs TLS, and the group a is spoken to in plain text; set tls.enabled = true (--tls)
            hotshard: h.toml:16: auth.iam_user needs TLS, and the group b is spoken to in plain text; set tls.enabled = true (--tls)
            exit code 2
        "#]],
    );
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    check(
        "[poll]\ninterval = \n",
        &[],
        &[],
        expect![[r#"
        hotshard: h.toml:2: this is not TOML: invalid string, expected `"`, `'`
        exit code 2
    "#]],
    );
    check(
        "[poll]\ninterval = 1\ninterval = 2\n",
        &[],
        &[],
        expect![[r#"
        hotshard: h.toml:3: this is not TOML: duplicate key `interval` in table `poll`
        exit code 2
    "#]],
    );
    let mut missing = hotshard(&["check", "--config", "/nowhere/h.toml"]);
    expect![[r#"
        hotshard: /nowhere/h.toml: cannot read the configuration: no such file or directory
        exit code 2
    "#]]
    .assert_eq(&told(&mut missing));
}

#[test]
fn the_earlier_tools_yaml_is_answered_with_toml_on_standard_output() {
    let folder = TempDir::new().expect("a temporary folder");
    let yaml = "cluster:\n  id: orders\nredis:\n  password: hunter2\n";
    std::fs::write(folder.path().join("config.yaml"), yaml).expect("it can be written");
    let mut command = hotshard(&["check", "--config", "config.yaml"]);
    expect![[r#"
        [[groups]]
        id = "orders"

        # The password itself stays outside, in this environment variable.
        [auth]
        password_env = "REDIS_PASSWORD"

        [monitor]
        schedule = "every 1h"
        hotshard: config.yaml: this is YAML, and a configuration is TOML; the same in TOML is on standard output
        exit code 2
    "#]]
    .assert_eq(&told(command.current_dir(folder.path())));
}

#[test]
fn one_underscore_too_few_is_told() {
    check(
        GROUP,
        &[("HOTSHARD_POLL_INTERVAL", "5s")],
        &[],
        expect![[r#"
            hotshard: HOTSHARD_POLL_INTERVAL: a section and its key are joined by two underscores; write HOTSHARD_POLL__INTERVAL
            exit code 2
        "#]],
    );
}

#[test]
fn what_serve_would_refuse_later_is_refused_by_check() {
    let check = |settings: &str, words: &str| {
        let told = checked(&format!("{GROUP}{settings}"), &[], &[]);
        assert_eq!(told, format!("hotshard: {words}\nexit code 2\n"), "{settings}");
    };
    check(
        "[web.config]\nfile = \"/nowhere\"\n",
        "cannot read /nowhere (web.config.file): No such file or directory (os error 2)",
    );
    check(
        "[otlp]\nendpoint = \"collector\"\n",
        "`collector` is no address of a collector; write one such as http://127.0.0.1:4317 in otlp.endpoint",
    );
    check(
        "[otlp]\nendpoint = \"https://127.0.0.1:4317\"\nca_file = \"/nowhere\"\n",
        "otlp: cannot read /nowhere (tls.ca_file): I/O error: No such file or directory (os error 2)",
    );
}

#[test]
fn a_file_that_is_no_text_is_refused_in_one_line() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("h.toml"), [0xff, 0xfe, b'[', 0]).expect("it can be written");
    let mut command = hotshard(&["check", "--config", "h.toml"]);
    let told = told(command.current_dir(folder.path()));
    let line = "hotshard: h.toml: this is no text; write the configuration in TOML, as UTF-8\nexit code 2\n";
    assert_eq!(told, line);
}
