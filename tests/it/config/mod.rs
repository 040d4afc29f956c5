//! The configuration from the outside: layers, ways in, and secrets that stay where they are.

mod defaults;
mod mistakes;

use assert_cmd::Command;
use expect_test::{Expect, expect};
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
            Windows: every 5m, 1m each on a replica of each shard, at most 4 at the same time; 5s where the server does not bound its buffers (guards.window_max_without_server_limit)
            Figures: /metrics at :80 and [::1]:81
            Page and API: closed at :80, since others reach it and nothing asks who they are; listen on 127.0.0.1, ask for passwords (web.config.file), or set web.allow_unauthenticated
            Page and API: open at [::1]:81 to whoever is on this machine
            Archive: none (archive.path is not set)

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

/// What would keep the daemon from doing all that is configured is said, and nothing is made.
#[test]
fn an_archive_that_cannot_be_written_is_told_and_nothing_is_left_behind() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("h.toml"), GROUP).expect("it can be written");
    let check = |path: &str, said: &str| {
        let mut command = hotshard(&["check", "--config", "h.toml", "--archive.path", path]);
        let told = told(command.current_dir(folder.path()));
        assert!(told.contains(&format!("\nArchive: {said}")), "{told}");
        // The daemon runs without it.
        assert!(told.ends_with("exit code 0\n"), "{told}");
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1, "{path}: something was left behind");
    };
    check("h.db", "h.db, for at most 30d and 2GiB\n");
    check(
        &path("missing/h.db"),
        &format!(
            "nothing would be kept: cannot create {}: No such file or directory (os error 2); make its folder, or set archive.path elsewhere\n",
            path("missing/h.db")
        ),
    );
    check(".", "nothing would be kept: . is a folder; name the file in it\n");
    check("h.toml", "nothing would be kept: h.toml: file is not a database; ");
    let mut sealed = Command::new("unshare");
    let script = "mount -t tmpfs -o size=1m tmpfs /mnt && mount -o remount,ro /mnt && exec \"$@\"";
    sealed
        .args([
            "-Urm",
            "sh",
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_hotshard"),
            "check",
        ])
        .args(["--config", "h.toml", "--archive.path", "/mnt/h.db"])
        .current_dir(folder.path());
    let told = told(&mut sealed);
    assert!(
        told.contains("nothing would be kept: cannot create /mnt/h.db: Read-only file system (os error 30); make the file and its folder"),
        "{told}"
    );
}

#[test]
fn who_would_see_page_and_api_is_told() {
    let folder = TempDir::new().expect("a temporary folder");
    let web = folder.path().join("web.yml");
    // The hash of a word, as htpasswd -B makes it.
    let users = "basic_auth_users:\n  anna: $2y$05$G1Uj2i9o3Q4UrAjHvGLCruTOVuXJeKcrSHxWYSPJ3SlEQgO1SKcUW\n";
    std::fs::write(&web, users).expect("it can be written");
    let web = web.display().to_string();
    let check = |flags: &[&str], said: &str| {
        let told = checked(GROUP, &[], &[&["--web.listen-address=0.0.0.0:9468"], flags].concat());
        assert!(told.contains(&format!("\nPage and API: {said}")), "{told}");
        assert!(told.ends_with("exit code 0\n"), "{told}");
    };
    check(
        &[],
        "closed at 0.0.0.0:9468, since others reach it and nothing asks who they are; listen on 127.0.0.1, ask for passwords \
         (web.config.file), or set web.allow_unauthenticated\n",
    );
    check(
        &["--web.allow-unauthenticated"],
        "open at 0.0.0.0:9468 to everybody who reaches it (web.allow_unauthenticated)\n",
    );
    check(
        &["--web.config.file", &web],
        "open at 0.0.0.0:9468 to whoever has a password or certificate of web.config.file\n",
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
            Windows: every 5m, 10s each on a replica of each shard, at most 32 at the same time; 5s where the server does not bound its buffers (guards.window_max_without_server_limit)
            Figures: /metrics at 127.0.0.1:9468
            Page and API: open at 127.0.0.1:9468 to whoever is on this machine
            Archive: none (archive.path is not set)

            Settings that were written:
              auth.password_env = (not shown)  (h.toml:14)
              patterns.learn_after = 9  (--patterns.learn-after)
            exit code 0
        "#]],
    );
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
