//! The manual: pages that are written from the program are what the program says, and what the pages show is understood by it.
//! `UPDATE_EXPECT=1 cargo nextest run --test it manual` writes them anew.

use std::fmt::Write as _;
use std::process::Command;

use hotshard::config::{Manual, Section};

use crate::harness::tls::Authority;
use crate::repository::markdown::fences;
use crate::repository::{read, root, texts};

#[test]
fn the_page_of_settings_says_what_the_program_knows() {
    expect_test::expect_file![root().join("docs/settings.md")].assert_eq(&settings());
}

fn settings() -> String {
    let mut page = String::from(
        "# Settings\n\nWritten from [config/hotshard.toml](../config/hotshard.toml), which is built into the program and is the defaults \
         themselves. Write only what you want\nto be different; `hotshard check --config FILE` tells what would be watched. Flags win over \
         variables, variables over the file. A value in\nparentheses is an example of a setting that has no default.\n",
    );
    for section in &Manual::get().sections {
        let heading = if section.list {
            format!("[[{}]]", section.name)
        } else {
            format!("[{}]", section.name)
        };
        let _ = write!(page, "\n## {heading}\n\n{}\n", section.help);
        if !section.settings.is_empty() {
            page.push_str(&rows(section));
        }
    }
    page
}

fn rows(section: &Section) -> String {
    let mut rows = String::from("\n| key | default | what it does | variable |\n|---|---|---|---|\n");
    let reachable: Vec<&str> = Manual::get()
        .reachable()
        .map(|(_, setting)| setting.path.as_str())
        .collect();
    for setting in &section.settings {
        let value = setting.value.to_string();
        let shown = if setting.is_default {
            format!("`{}`", value.trim())
        } else {
            format!("(`{}`)", value.trim())
        };
        let variable = match reachable.contains(&setting.path.as_str()) {
            true => format!("`{}`", setting.variable()),
            false => String::new(),
        };
        // A bar in a value would end its cell.
        let help = setting.help.replace('|', "\\|");
        let _ = writeln!(
            rows,
            "| `{}` | {} | {help} | {variable} |",
            setting.key(),
            shown.replace('|', "\\|")
        );
    }
    rows
}

#[test]
fn the_page_of_commands_says_what_the_program_knows() {
    expect_test::expect_file![root().join("docs/commands.md")].assert_eq(&commands());
}

fn commands() -> String {
    let mut page = String::from(
        "# Commands\n\nWritten from the program's own help. Results go to standard output, logs to standard error. Exit codes: 0 done, 1 \
         failed, 2 wrong usage\nor configuration, 3 nothing could be monitored, 130 interrupted before anything was seen. `hotshard man` \
         prints this as a manual page,\n`hotshard completions bash` the completions of a shell.\n",
    );
    for command in hotshard::cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n## {}\n\n{about}.\n", command.get_name());
        page.push_str(&arguments(command));
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = example
            .lines()
            .filter(|line| line.starts_with("  hotshard") || line.starts_with("  redis-cli"));
        let lines: Vec<&str> = lines.map(str::trim).collect();
        let _ = write!(page, "\n```sh\n{}\n```\n", lines.join("\n"));
    }
    page
}

fn arguments(command: &clap::Command) -> String {
    let mut rows = String::new();
    // Settings have a page of their own.
    let is_setting = |argument: &clap::Arg| {
        let heading = argument.get_help_heading().unwrap_or_default();
        heading.starts_with("Settings")
    };
    for argument in command
        .get_arguments()
        .filter(|argument| !is_setting(argument) && !argument.is_hide_set())
    {
        let values = argument.get_value_names().unwrap_or_default().join(" ");
        let takes_value = argument.get_action().takes_values();
        let name = match argument.get_long() {
            Some(long) if takes_value => format!("--{long} {values}"),
            Some(long) => format!("--{long}"),
            None => values,
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(rows, "| `{name}` | {} |", help.replace('|', "\\|"));
    }
    let settings = match command.get_arguments().any(is_setting) {
        true => "\nAnd every setting as a flag by its path, such as `--monitor.window 5s`: [settings](settings.md).\n",
        false => "",
    };
    match rows.is_empty() {
        true => settings.to_owned(),
        false => format!("\n| option | what it does |\n|---|---|\n{rows}{settings}"),
    }
}

/// Three badges of the README; the fourth is GitHub's own, of the workflow that runs the tests.
#[test]
fn badges_say_what_the_package_says() {
    let package: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    let says = |key: &str| {
        package["package"][key]
            .as_str()
            .expect("the package says it")
            .to_owned()
    };
    for (file, label, value) in [
        ("version", "version", says("version")),
        ("rust", "Rust", format!("{} or later", says("rust-version"))),
        ("licence", "licence", says("license")),
    ] {
        let path = format!("docs/images/{file}.svg");
        expect_test::expect_file![root().join(&path)].assert_eq(&badge(label, &value));
        assert!(
            read("README.md").contains(&format!("![{label} {value}]({path})")),
            "{path}"
        );
    }
}

fn badge(label: &str, value: &str) -> String {
    // Of a sans serif of 11 pixels, with room on both sides.
    let width = |text: &str| 12 + 13 * text.chars().count() / 2;
    let (left, right) = (width(label), width(value));
    let part = |from: usize, width: usize, colour: &str, text: &str| {
        let middle = from + width / 2;
        format!(
            "<rect x=\"{from}\" width=\"{width}\" height=\"20\" fill=\"{colour}\"/>\n\
             <text x=\"{middle}\" y=\"14\" fill=\"#fff\" text-anchor=\"middle\">{text}</text>\n"
        )
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"20\" role=\"img\" aria-label=\"{label} {value}\" \
         font-family=\"Verdana, DejaVu Sans, sans-serif\" font-size=\"11\">\n{}{}</svg>\n",
        left + right,
        part(0, left, "#4b5563", label),
        part(left, right, "#0b62c4", value),
    )
}

#[test]
fn every_configuration_in_the_manual_is_accepted() {
    let (mut tried, authority) = (0, Authority::new());
    for (path, text) in texts("", &["md"]) {
        for block in toml_blocks(&text) {
            let folder = tempfile::TempDir::new().expect("a temporary folder");
            let file = folder.path().join("hotshard.toml");
            // The files that examples name are there, in a folder of the test's.
            let block = block.replace("/etc/hotshard/", &format!("{}/", folder.path().display()));
            std::fs::copy(authority.ca_file(), folder.path().join("collector-ca.pem")).expect("it can be copied");
            std::fs::write(folder.path().join("otlp-headers"), "Authorization: Bearer planted\n")
                .expect("it can be written");
            let whole = if block.contains("[[groups]]") {
                block.clone()
            } else {
                format!("{block}\n[[groups]]\nid = \"orders\"\nendpoints = [\"10.0.3.7:6379\"]\n")
            };
            std::fs::write(&file, whole).expect("a temporary folder takes a file");
            let output = Command::new(env!("CARGO_BIN_EXE_hotshard"))
                .args(["check", "--config"])
                .arg(&file)
                .output()
                .expect("hotshard starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {said}\n{block}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 2, "the manual shows configurations");
}

fn toml_blocks(text: &str) -> Vec<String> {
    let blocks = fences(text).into_iter().filter(|fence| fence.language == "toml");
    blocks.map(|fence| fence.text).collect()
}

#[test]
fn every_message_that_troubleshooting_explains_is_one_the_program_has() {
    let sources: String = texts("src", &["rs"]).into_iter().map(|(_, text)| text).collect();
    let entries = explained();
    assert!(entries.len() >= 90, "{} messages are explained", entries.len());
    for entry in entries {
        for fixed in fixed_parts(&entry) {
            assert!(sources.contains(fixed), "no message says {fixed:?}");
        }
    }
}

#[test]
fn every_error_is_explained() {
    let (errors, entries) = (errors(), explained());
    assert!(errors.len() >= 100, "{} errors are found", errors.len());
    let unexplained: Vec<&String> = errors
        .iter()
        .filter(|error| !entries.iter().any(|entry| covers(entry, error)))
        .collect();
    assert!(unexplained.is_empty(), "docs/troubleshooting.md lacks {unexplained:#?}");
}

#[test]
fn an_error_without_an_entry_is_found() {
    let check =
        |entry: &str, error: &str, expected: bool| assert_eq!(covers(entry, error), expected, "{entry}: {error}");
    check("cannot reach …", "cannot reach …: connection refused", true);
    check("… is no …; write …", "`…` is no size; write bytes", true);
    check("… is no …; write …", "`…` has no port; write host:port", false);
    check("…", "whatever", false);
    assert_eq!(
        error_texts(
            "#[error(\n    \"cannot read {path} ({}): \\\n     {0:?}; say `{{id}}`\"\n)]\n#[error(transparent)]"
        ),
        ["cannot read … (…): …; say `{id}`"]
    );
}

/// Whether an entry of the page is about this error: what is fixed in it stands in the error, in the same order.
fn covers(entry: &str, error: &str) -> bool {
    let mut rest = Some(error);
    let mut fixed = 0;
    for part in fixed_parts(entry) {
        fixed += part.len();
        rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
    }
    rest.is_some() && fixed >= FIXED_MIN
}

/// An entry with less of its own would be about everything.
const FIXED_MIN: usize = 5;

/// `…` stands for what changes from case to case.
fn fixed_parts(entry: &str) -> impl Iterator<Item = &str> {
    entry.split('…').map(str::trim).filter(|part| !part.is_empty())
}

/// The messages that the page explains: its headings, and what its lists begin with.
fn explained() -> Vec<String> {
    let page = read("docs/troubleshooting.md");
    // An entry that goes on in the next line is still the same entry.
    let joined = page.replace("\n  ", " ");
    let lines = joined.lines();
    let messages = lines.filter_map(|line| match line.strip_prefix("## `") {
        Some(heading) => Some(format!("`{heading}")),
        None => Some(line.strip_prefix("- ")?.split_once("`: ")?.0.to_owned()),
    });
    let quoted = |text: String| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    messages.flat_map(quoted).collect()
}

/// Every error's text in the program's source that says something of its own.
fn errors() -> Vec<String> {
    let all = texts("src", &["rs"])
        .into_iter()
        .flat_map(|(_, text)| error_texts(&text));
    all.filter(|error| error.chars().any(char::is_alphabetic)).collect()
}

/// The texts of `#[error("…")]`, with `…` for what is put in.
fn error_texts(source: &str) -> Vec<String> {
    let attributes = source.split("#[error(").skip(1);
    attributes
        .filter_map(|rest| Some(shown(rest.trim_start().strip_prefix('"')?)))
        .collect()
}

/// A text in quotes from behind its first one, as it comes out with `…` put in.
fn shown(literal: &str) -> String {
    let (mut text, mut letters, mut depth) = (String::new(), literal.chars().peekable(), 0);
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('"', _) => break,
            // A line that goes on in the next.
            ('\\', Some('\n')) => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
            ('\\', _) => text.extend(letters.next()),
            ('{', Some('{')) | ('}', Some('}')) if depth == 0 => text.extend(letters.next()),
            ('{', _) => depth += 1,
            ('}', _) => {
                depth -= 1;
                text.push('…');
            }
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
    }
    text
}
