//! Every command that the documents show is run as it stands there.
//!
//! Inside a network where what they speak of exists ([`stage`]); what can't be run there is named in [`NOT_RUN`] with the reason, so
//! that a new command is either run or a decision.

mod stage;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::wait::eventually;
use crate::repository::markdown::{fences, inline_code};
use crate::repository::{read, texts};
use stage::Stage;

/// How a command begins that isn't run here, and why not.
const NOT_RUN: &[(&str, &str)] = &[
    ("make demo", "builds the program; `hotshard demo` is run"),
    (
        "cargo run --release -- demo",
        "builds the program; `hotshard demo` is run",
    ),
    (
        "cargo build --release",
        "builds the program; scripts/try-image does so in .ci/run",
    ),
    ("make test", "is what runs this"),
    ("make ci", "is what runs this"),
    ("make lint", "builds the program; .ci/run runs the same three commands"),
    (
        "helm install",
        "needs Kubernetes; tests/it/helm.rs renders the chart with the values shown beside it",
    ),
    ("kubectl ", "needs Kubernetes"),
    (
        "systemctl ",
        "needs systemd as the first process; tests/it/service.rs holds the unit to it",
    ),
];

const DEADLINE: Duration = Duration::from_secs(60);

/// A command as a document shows it, and the configuration that was shown last before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    line: String,
    configuration: String,
    page: String,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// By itself.
    Ends,
    /// By itself, since it is refused with the words of its cure.
    Refused(&'static str),
    /// When it is told to; until then it serves.
    Serves,
    /// When it is told to; until then it writes.
    Streams,
}

#[test]
fn every_command_of_the_documents_does_what_it_says() {
    if !stage::is_inside() {
        return stage::enter("documented::every_command_of_the_documents_does_what_it_says");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let failed = runtime.expect("threads can be started").block_on(run_all());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

async fn run_all() -> Vec<String> {
    let stage = Stage::set().await;
    let (asking, alone): (Vec<Shown>, Vec<Shown>) = all().into_iter().filter(is_run).partition(asks_a_daemon);
    let mut failed = Vec::new();
    stage.configure(&readme_configuration());
    let mut daemon = stage.daemon().await;
    for (number, shown) in asking.iter().enumerate() {
        failed.extend(run(&stage, &format!("asking-{number}"), shown).await.err());
    }
    daemon.signal(Signal::TERM);
    daemon.end(DEADLINE).await;
    let logs = "for shard in 1 2; do redis-cli -h replica-$shard.example monitor | head -n 2000 > shard-000$shard.log; \
                gzip -k shard-000$shard.log; done";
    stage.done("logs", logs).await;
    for (number, shown) in alone.iter().enumerate() {
        stage.configure(&shown.configuration);
        failed.extend(run(&stage, &format!("alone-{number}"), shown).await.err());
    }
    failed
}

async fn run(stage: &Stage, name: &str, shown: &Shown) -> Result<(), String> {
    let mut process = stage.begin(name, &shown.line);
    let outcome = match conduct(&shown.line) {
        Conduct::Ends => ends(&mut process, &shown.line).await,
        Conduct::Refused(cure) => refused(&mut process, cure).await,
        Conduct::Serves => serves(&mut process).await,
        Conduct::Streams => streams(&mut process, stage.folder()).await,
    };
    outcome.map_err(|lack| format!("{}: {}\n{lack}\n{}", shown.page, shown.line, process.last_words()))
}

async fn ends(process: &mut Process, line: &str) -> Result<(), String> {
    let status = process.end(DEADLINE).await;
    if !status.success() {
        return Err(status.to_string());
    }
    let said = process.stdout();
    let missing = |word: &&&str| !said.contains(**word);
    expected(line)
        .iter()
        .find(missing)
        .map_or(Ok(()), |word| Err(format!("doesn't say {word:?}")))
}

async fn refused(process: &mut Process, cure: &str) -> Result<(), String> {
    let status = process.end(DEADLINE).await;
    match status.code() {
        Some(2) if process.stderr().contains(cure) => Ok(()),
        _ => Err(format!("{status}, and should be refused with {cure:?}")),
    }
}

async fn serves(process: &mut Process) -> Result<(), String> {
    let ready = async || match process.ended() {
        Some(status) => Ok(Err(format!("ended by itself: {status}"))),
        None => match http::get(stage::daemon_address(), "/readyz").await {
            Ok(answer) if answer.status == 200 => Ok(Ok(())),
            other => Err(other),
        },
    };
    eventually("it is ready", DEADLINE, ready).await?;
    let metrics = http::get(stage::daemon_address(), "/metrics").await?;
    process.signal(Signal::TERM);
    let status = process.end(DEADLINE).await;
    match status.success() && metrics.body.contains("hotshard_build_info") {
        true => Ok(()),
        false => Err(format!("{status}\n{}", metrics.body)),
    }
}

/// It has written something, to standard output or to the file it names.
async fn streams(process: &mut Process, folder: &Path) -> Result<(), String> {
    let written = || {
        let file = std::fs::read_to_string(folder.join("orders.log")).unwrap_or_default();
        process.stdout().lines().count() + file.lines().count()
    };
    eventually("it writes", DEADLINE, async || match written() {
        lines if lines > 5 => Ok(()),
        lines => Err(lines),
    })
    .await;
    process.signal(Signal::TERM);
    process.end(DEADLINE).await;
    Ok(())
}

fn conduct(line: &str) -> Conduct {
    match line {
        line if line.starts_with("hotshard serve") || line.starts_with("hotshard demo") => Conduct::Serves,
        line if line.contains(" config.yaml") => Conduct::Refused("the same in TOML is on standard output"),
        line if line.starts_with("hotshard schedule --once") => Conduct::Refused("one round now is `hotshard monitor`"),
        line if line.starts_with("curl -sN") || line.contains(" monitor > ") => Conduct::Streams,
        _ => Conduct::Ends,
    }
}

/// What the answer to a command must have in it.
fn expected(line: &str) -> &'static [&'static str] {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        // Nothing but its heading if nothing changed.
        ["hotshard", "report", ..] if words.contains(&"--compare") => &["shard"],
        ["hotshard", "monitor" | "report", ..] => &["user:", "0001"],
        ["hotshard", "query", ..] => &["user:"],
        ["hotshard", "endpoints", .., "monitor-cmd"] => &["redis-cli -h 127.0.0.1 -p"],
        ["hotshard", "endpoints" | "check", ..] => &["orders"],
        // They write into a file.
        ["hotshard", "analyze", .., "report.html" | "to-share.txt"] => &[],
        [.., "hotshard", "analyze", _] | ["hotshard", "analyze", ..] => &["user:{ID}"],
        _ => &[],
    }
}

fn asks_a_daemon(shown: &Shown) -> bool {
    shown.line.starts_with("curl ") || shown.line.starts_with("hotshard healthcheck")
}

fn is_run(shown: &Shown) -> bool {
    !NOT_RUN.iter().any(|(start, _)| begins(&shown.line, start))
}

fn begins(line: &str, start: &str) -> bool {
    line.strip_prefix(start)
        .is_some_and(|rest| rest.is_empty() || start.ends_with(' ') || rest.starts_with(' '))
}

/// Each command of the documents once, in their order.
fn all() -> Vec<Shown> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (path, text) in texts("", &["md"]) {
        let page = path.display().to_string();
        all.extend(
            of(&page, &text)
                .into_iter()
                .filter(|shown| seen.insert((shown.line.clone(), shown.configuration.clone()))),
        );
    }
    all
}

/// Commands in code blocks; in runbooks those within the text too, which people paste at night.
fn of(page: &str, text: &str) -> Vec<Shown> {
    let mut configuration = readme_configuration();
    let mut found = Vec::new();
    for fence in fences(text) {
        if fence.language == "toml" && fence.text.contains("[[groups]]") {
            configuration = fence.text;
        } else if fence.is_shell() {
            found.extend(fence.commands().into_iter().map(|line| (line, configuration.clone())));
        }
    }
    if page.starts_with("docs/runbooks/") {
        let is_command = |code: &String| PROGRAMS.iter().any(|program| code.starts_with(program));
        found.extend(
            inline_code(text)
                .into_iter()
                .filter(is_command)
                .map(|line| (line, configuration.clone())),
        );
    }
    let shown = |(line, configuration)| Shown {
        line,
        configuration,
        page: page.to_owned(),
    };
    found.into_iter().map(shown).collect()
}

const PROGRAMS: [&str; 5] = ["hotshard ", "kubectl ", "make ", "redis-cli ", "systemctl "];

fn readme_configuration() -> String {
    let first = fences(&read("README.md"))
        .into_iter()
        .find(|fence| fence.language == "toml");
    first.expect("the README shows a configuration").text
}

#[test]
fn what_is_not_run_is_in_the_documents() {
    let all = all();
    let unknown: Vec<&str> = NOT_RUN
        .iter()
        .map(|(start, _)| *start)
        .filter(|start| !all.iter().any(|shown| begins(&shown.line, start)))
        .collect();
    assert!(unknown.is_empty(), "no document shows {unknown:?}");
}

#[test]
fn commands_are_found_with_the_configuration_shown_before_them() {
    let text = "```toml\n[[groups]]\nid = \"a\"\n```\nrun `hotshard check` or\n```sh\nhotshard serve # now\n```\n";
    let found = |page: &str| of(page, text).into_iter().map(|shown| shown.line).collect::<Vec<_>>();
    assert_eq!(found("docs/a.md"), ["hotshard serve"]);
    assert_eq!(found("docs/runbooks/a.md"), ["hotshard serve", "hotshard check"]);
    assert_eq!(of("docs/a.md", text)[0].configuration, "[[groups]]\nid = \"a\"\n");
    let run = |line: &str| {
        is_run(&Shown {
            line: line.to_owned(),
            configuration: String::new(),
            page: String::new(),
        })
    };
    assert!(run("make") && run("make tests") && !run("make test") && !run("kubectl get pods"));
}
