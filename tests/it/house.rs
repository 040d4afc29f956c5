//! What holds for the whole repository: links lead somewhere, commands exist, nothing is left unfinished.

use std::path::Path;
use std::process::Command;

use crate::repository::markdown::{anchors, links, shell_lines};
use crate::repository::{read, root, rust_sources, texts};

/// Longer than this, a file holds more than one thing.
const LINES_MAX: usize = 700;

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in texts("", &["md"]) {
        dead.extend(dead_links(&path, &text));
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn a_dead_link_is_found() {
    let found = |text: &str| dead_links(Path::new("docs/a.md"), text);
    assert_eq!(
        found("see [the map](../ARCHITECTURE.md#the-map), [us](https://example.org), `[x](y)`"),
        Vec::<String>::new()
    );
    assert_eq!(found("see [it](nowhere.md)"), ["docs/a.md: nowhere.md"]);
    assert_eq!(
        found("see [it](../ARCHITECTURE.md#the-cellar)"),
        ["docs/a.md: ../ARCHITECTURE.md#the-cellar"]
    );
    let badge = |workflow: &str| found(&format!("![tests](../../actions/workflows/{workflow}/badge.svg)"));
    assert_eq!((badge("ci.yml").len(), badge("cd.yml").len()), (0, 1));
    assert_eq!(
        found("# Here\nsee [it](#here) and [that](#there)"),
        ["docs/a.md: #there"]
    );
}

fn dead_links(path: &Path, text: &str) -> Vec<String> {
    let here = path.parent().expect("a file lies in a folder");
    let leads = |link: &str| {
        // Beside a repository GitHub shows how its workflows went; it takes the way there from the page.
        if let Some(workflow) = link.strip_prefix("../../actions/workflows/") {
            let file = workflow.trim_end_matches("/badge.svg");
            return root().join(".github/workflows").join(file).exists();
        }
        let (file, anchor) = link
            .split_once('#')
            .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let target = root().join(here).join(file);
        let lies_there = file.is_empty() || target.exists();
        let target_text = || {
            if file.is_empty() {
                text.to_owned()
            } else {
                read(&target)
            }
        };
        lies_there && anchor.is_none_or(|anchor| anchors(&target_text()).iter().any(|known| known == anchor))
    };
    let inside = |link: &String| !link.contains("://") && !link.starts_with("mailto:");
    links(text)
        .into_iter()
        .filter(inside)
        .filter(|link| !leads(link))
        .map(|link| format!("{}: {link}", path.display()))
        .collect()
}

#[test]
fn every_command_in_the_documents_exists() {
    let mut unknown = Vec::new();
    for (path, text) in texts("", &["md"]) {
        unknown.extend(
            shell_lines(&text)
                .iter()
                .filter(|line| !known(line))
                .map(|line| format!("{}: {line}", path.display())),
        );
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn an_unknown_command_is_found() {
    assert!(known("make test") && known("cargo run --release -- check") && known("hotshard check --config a.toml"));
    assert!(
        !known("make tea") && !known("A=1 hotshard guess") && !known("cargo run -- guess") && !known("scripts/nowhere")
    );
    let text = "```sh\n$ make \\\n  tea # at five\n```\n```rust\nmake_tea();\n```\nmake coffee\n";
    assert_eq!(
        shell_lines(text).iter().filter(|line| !known(line)).collect::<Vec<_>>(),
        ["make    tea"]
    );
}

/// Whether the command is ours and exists; other programs' commands are theirs.
fn known(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip_while(|word| word.contains('=')).collect();
    match words.as_slice() {
        ["make", target, ..] => make_targets().iter().any(|known| known == target),
        ["hotshard", command, ..] => is_subcommand(command),
        ["cargo", "run", rest @ ..] => rest
            .split(|word| *word == "--")
            .nth(1)
            .is_none_or(|own| is_subcommand(own[0])),
        [program, ..] if program.contains('/') && !program.starts_with('/') => root().join(program).exists(),
        _ => true,
    }
}

fn is_subcommand(word: &str) -> bool {
    word.starts_with('-') || hotshard::cli::command().find_subcommand(word).is_some()
}

fn make_targets() -> Vec<String> {
    let rules = read("Makefile");
    let rule = |line: &str| {
        line.split_once(": ")
            .or(line.split_once(":"))
            .map(|(target, _)| target.to_owned())
    };
    rules
        .lines()
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter_map(rule)
        .collect()
}

#[test]
fn every_make_target_says_what_it_is_for() {
    let output = Command::new("make")
        .arg("--silent")
        .current_dir(root())
        .output()
        .expect("make is installed");
    let list = String::from_utf8_lossy(&output.stdout);
    let silent: Vec<String> = make_targets()
        .into_iter()
        .filter(|target| !list.contains(&format!("make {target} ")))
        .collect();
    assert!(silent.is_empty(), "`make` doesn't list {silent:?}:\n{list}");
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ig", "nore"),
    ];
    let mut left = Vec::new();
    for (path, text) in texts(
        "",
        &["rs", "sh", "py", "toml", "md", "yaml", "yml", "html", "css", "js"],
    ) {
        let marked = |line: &str| marks.iter().any(|mark| line.contains(mark));
        left.extend(
            text.lines()
                .filter(|line| marked(line))
                .map(|line| format!("{}: {line}", path.display())),
        );
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let here = format!("{}/", root().display());
    let named: Vec<_> = texts("", &[])
        .into_iter()
        .filter(|(_, text)| text.contains(&here))
        .map(|(path, _)| path)
        .collect();
    assert!(named.is_empty(), "{here} stands in {named:?}");
}

#[test]
fn every_integration_test_is_run() {
    let main = read("tests/it/main.rs");
    for (path, _) in rust_sources("tests/it") {
        let inside = path.strip_prefix("tests/it").expect("it was found there");
        let name = inside
            .components()
            .next()
            .expect("it has a name")
            .as_os_str()
            .to_string_lossy()
            .replace(".rs", "");
        assert!(
            name == "main" || main.contains(&format!("mod {name};")),
            "{} is in no `mod` of tests/it/main.rs",
            path.display()
        );
    }
}

#[test]
fn every_source_says_what_it_is_for_and_is_of_a_size() {
    let mut found = Vec::new();
    for (path, text) in rust_sources("src") {
        let (lines, is_tests) = (text.lines().count(), path.ends_with("tests.rs"));
        if !is_tests && !text.starts_with("//!") {
            found.push(format!("{}: doesn't begin with what it is for (`//!`)", path.display()));
        }
        if lines > LINES_MAX {
            found.push(format!("{}: {lines} lines, more than {LINES_MAX}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn ci_runs_what_the_readme_tells_people_to_run() {
    let run = read(".ci/run");
    for command in [
        "make test",
        "cargo fmt --check",
        "cargo clippy",
        "cargo doc",
        "cargo deny",
    ] {
        assert!(run.contains(command), ".ci/run doesn't call `{command}`");
    }
}
