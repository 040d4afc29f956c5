//! The configuration from the outside: layers, mistakes and their cures, and secrets that stay where they are.

use expect_test::{Expect, expect};
use hotshard::analysis::pattern::PatternSettings;
use hotshard::config::{Settings, Sources, TEXT};
use hotshard::export::http::WebSettings;
use hotshard::node::{AuthSettings, TlsSettings};
use tempfile::TempDir;

use crate::cli::{hotshard, told};

const GROUP: &str = "[[groups]]\nid = \"orders\"\nendpoints = [\"10.0.3.7:6379\"]\n";

/// What `check` says about a file in this environment with these flags.
fn checked(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("h.toml"), file).expect("it can be written");
    let mut command = hotshard(&["check", "--config", "h.toml"]);
    command
        .current_dir(folder.path())
        .args(flags)
        .envs(variables.iter().copied());
    told(&mut command)
}

fn check(file: &str, variables: &[(&str, &str)], flags: &[&str], expected: Expect) {
    let told = checked(file, variables, flags);
    // The rights that follow are the same for all of these.
    let shown = match (told.find("\nThe least rights"), told.find("exit code")) {
        (Some(rights), Some(end)) => format!("{}{}", &told[..rights], &told[end..]),
        _ => told,
    };
    expected.assert_eq(&shown);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = format!("{GROUP}[poll]\ninterval = \"20s\"\ntimeout = 3\n[monitor]\nwindow = \"30s\"\n");
    check(
        &file,
        &[
            ("HOTSHARD_POLL__TIMEOUT", "4s"),
            ("HOTSHARD_MONITOR__WINDOW", "40s"),
            ("HOTSHARD_MONITOR__SAME_ZONE", "007"),
        ],
        &[
            "--monitor.window",
            "1m",
            "--monitor.concurrency=4",
            "--web.listen-address=:80",
            "--web.listen-address=[::1]:81",
            "--web.enable-lifecycle",
        ],
        expect![[r#"
            The configuration is sound.

            Groups:
              orders: the cluster found from 10.0.3.7:6379
                in plain text
                without a password

            Load: INFO of every node each 20s
            Windows: every 5m, 1m each on a replica of each shard, at most 4 at the same time
            Figures: /metrics at :80 and [::1]:81

            Settings that were written:
              poll.interval = "20s"  (h.toml:5)
              poll.timeout = "4s"  (HOTSHARD_POLL__TIMEOUT)
              monitor.window = "1m"  (--monitor.window)
              monitor.same_zone = "007"  (HOTSHARD_MONITOR__SAME_ZONE)
              monitor.concurrency = 4  (--monitor.concurrency)
              web.listen_address = [":80", "[::1]:81"]  (--web.listen-address)
              web.enable_lifecycle = true  (--web.enable-lifecycle)
            exit code 0
        "#]],
    );
}

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

/// Seconds in a build of the tests; where each group is held against every other, minutes, and the runner's patience ends.
#[test]
fn tens_of_thousands_of_groups_are_read() {
    let group = |number| {
        format!("[[groups]]\nid = \"g{number}\"\n[groups.auth]\nusername = \"u{number}\"\niam_user = \"u{number}\"\n")
    };
    let file: String = (0..20_000).map(group).collect();
    let told = checked(&file, &[], &[]);
    for number in [0, 19_999] {
        assert!(told.contains(&format!("\n  g{number}: the cache")), "{number}");
        assert!(told.contains(&format!(":user:u{number}\"")), "{number}");
    }
}

#[test]
fn a_group_may_have_its_own_way_in() {
    check(
        "[[groups]]\nid = \"a\"\nendpoints = [\"h:1:0001\", \"[fd00::7]:2:0002\"]\n\
         [[groups]]\nid = \"a\"\nregion = \"eu-central-1\"\nendpoints = [\"x.cache.amazonaws.com:6379\", \"h:3\"]\n\
         [groups.auth]\nusername = \"hotshard\"\npassword_file = \"/nowhere/token\"\n\
         [groups.tls]\ninsecure = true\n\
         [auth]\npassword_env = \"ORDERS_TOKEN\"\n",
        &[("ORDERS_TOKEN", "planted")],
        &["--patterns.learn-after", "9"],
        expect![[r#"
            The configuration is sound.

            Groups:
              a: these nodes
                h:1 in shard 0001
                [fd00::7]:2 in shard 0002
                in plain text
                with the password in the variable ORDERS_TOKEN
              eu-central-1/a: the cluster found from x.cache.amazonaws.com:6379 or h:3
                over TLS, with whatever certificate they show (tls.insecure)
                with the password in the file of auth.password_file (can't be read here) as hotshard

            Load: INFO of every node each 15s
            Windows: every 5m, 10s each on a replica of each shard, at most 32 at the same time
            Figures: /metrics at 127.0.0.1:9468

            Settings that were written:
              auth.password_env = (not shown)  (h.toml:14)
              patterns.learn_after = 9  (--patterns.learn-after)
            exit code 0
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
fn variables_of_a_kubernetes_service_named_hotshard_are_no_settings() {
    let told = checked(
        GROUP,
        &[
            ("HOTSHARD_PORT", "tcp://10.0.0.1:9468"),
            ("HOTSHARD_SERVICE_HOST", "10.0.0.1"),
        ],
        &[],
    );
    assert!(
        told.contains("Every setting has its default.") && told.ends_with("exit code 0\n"),
        "{told}"
    );
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
fn a_planted_secret_is_never_shown() {
    let planted = "s3cr3t-hunter2";
    let files = [
        format!("{GROUP}[auth]\npassword = \"{planted}\"\n"),
        format!("{GROUP}[auth]\nusername = \"x\"\npassword = {planted}\n"),
        format!("password = \"{planted}\"\n{GROUP}"),
        format!("[[groups]]\nid = \"a\"\npassword = \"{planted}\"\nendpoints = [\"redis://:{planted}@h:1\"]\n"),
        format!("{GROUP}[auth]\npassword_env = \"{planted}\"\n"),
        format!("{GROUP}[auth]\npassword_file = \"{planted}\"\n"),
        format!("{GROUP}[groups.auth]\npassword_env = \"{planted}\"\nusername = [\"{planted}\"]\n"),
        format!("[[groups]]\nid = \"a\"\nendpoints = [\"user:{planted}@h:1\"]\n"),
    ];
    for file in files {
        let told = checked(&file, &[], &[]);
        assert!(
            !told.contains(planted) && told.ends_with("exit code 2\n"),
            "{file}\n{told}"
        );
    }
    let variables = [
        ("HOTSHARD_AUTH__PASSWORD", planted),
        ("REDIS_PASSWORD", planted),
        ("HOTSHARD_PASSWORD", planted),
    ];
    let told = checked(GROUP, &variables, &[]);
    assert!(
        !told.contains(planted) && told.contains("HOTSHARD_AUTH__PASSWORD: "),
        "{told}"
    );
}

#[test]
fn the_embedded_file_is_a_configuration_that_changes_nothing() {
    let told = checked(&format!("{GROUP}{}", TEXT), &[], &[]);
    assert!(told.ends_with("exit code 0\n"), "{told}");
    let defaults = Settings::defaults();
    let nothing = Sources::default().load().expect("the defaults are sound");
    assert_eq!(nothing.settings, defaults);
}

#[test]
fn every_line_of_the_embedded_file_is_a_setting_and_every_setting_a_line() {
    let written = toml::Table::try_from(Settings::defaults()).expect("settings can be written");
    let manual: toml::Table = TEXT.parse().expect("the defaults are TOML");
    let settings = |table: &toml::Table| -> Vec<(String, String)> {
        let sections = table
            .iter()
            .filter_map(|(name, section)| Some((name, section.as_table()?)));
        let lines = sections.flat_map(|(name, section)| {
            let filled = section
                .iter()
                .filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()));
            filled.map(move |(key, value)| (format!("{name}.{key}"), value.to_string()))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    assert_eq!(settings(&written), settings(&manual));
}

#[test]
fn the_modules_own_defaults_are_the_files() {
    let settings = Settings::defaults();
    assert_eq!(settings.auth, AuthSettings::default());
    assert_eq!(settings.tls, TlsSettings::default());
    assert_eq!(settings.patterns, PatternSettings::default());
    assert_eq!(settings.web, WebSettings::default());
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
