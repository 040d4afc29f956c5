//! The order of the rooms: an import only goes up the map of ARCHITECTURE.md, and the core is pure.

use std::path::Path;

use crate::repository::rust_text::{names, words};
use crate::repository::{read, rust_sources};

/// From the top of the map to its bottom; a room may name those before it.
const ROOMS: &[&str] = &[
    "model",
    "analysis",
    "metrics",
    "render",
    "discovery",
    "node",
    "archive",
    "export",
    "schedule",
    "engine",
    "config",
    "cli",
];

/// Rooms that decide, and never act.
const PURE: &[&str] = &["model", "analysis", "metrics", "render"];

/// Where the core meets the world; each with the reason.
const MEETING_PLACES: &[(&str, &str)] = &[
    // The engine leaves its snapshot here and exporters find it, so that neither knows the other; being woken and the age
    // of what lies here need the runtime.
    ("src/metrics/published.rs", "tokio"),
];

/// What acts: files, sockets, processes, threads, clocks. Addresses (`std::net::IpAddr`) are values.
const ACTING: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "tokio",
    "tracing",
    "axum",
    "redis",
    "rusqlite",
];

#[test]
fn imports_go_up_the_map() {
    let broken: Vec<String> = rust_sources("src")
        .iter()
        .flat_map(|(path, text)| violations(path, text))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_room_stands_on_the_map() {
    let map = read("ARCHITECTURE.md");
    let strangers: Vec<String> = rust_sources("src")
        .iter()
        .filter_map(|(path, _)| room(path))
        .filter(|room| !ROOMS.contains(&room.as_str()) || !map.contains(&format!("`src/{room}")))
        .collect();
    assert!(
        strangers.is_empty(),
        "neither in ARCHITECTURE.md nor in the order of this test: {strangers:?}"
    );
}

#[test]
fn an_import_down_the_map_is_found() {
    check(
        "src/model/ids.rs",
        "use crate::metrics::Snapshot;",
        "model names metrics",
    );
    check(
        "src/analysis/line.rs",
        "use crate::{model::Slot, render::{self, text}};",
        "analysis names render",
    );
    check(
        "src/analysis/line.rs",
        "fn f() { super::super::engine::run() }",
        "analysis names engine",
    );
    check(
        "src/analysis/mod.rs",
        "pub use super::export::http;",
        "analysis names export",
    );
    check("src/analysis/tally/mod.rs", "use super::super::super::node;", "");
    check("src/engine/mod.rs", "use crate::config::Config;", "engine names config");
    check("src/config.rs", "use super::cli;", "config names cli");
    check(
        "src/engine/window.rs",
        "mod tests { use super::*; use super::super::cli::run; }",
        "",
    );
}

#[test]
fn an_import_up_the_map_is_fine() {
    check(
        "src/metrics/ledger.rs",
        "use crate::model::Slot; use super::snapshot::Snapshot;",
        "",
    );
    check(
        "src/cli/serve.rs",
        "use crate::{config::Config, engine::{self, Engine}};",
        "",
    );
    check(
        "src/model/ids.rs",
        "// like crate::engine\n/* crate::cli /* nested */ */ const A: &str = \"crate::node\";",
        "",
    );
    check(
        "src/model/ids.rs",
        "const A: &str = r#\"a \" crate::node\"#; const B: char = '\"'; fn f<'a>(_: &'a str) {}",
        "",
    );
    check("src/model/endpoint.rs", "use std::net::{IpAddr, Ipv4Addr};", "");
}

#[test]
fn acting_in_the_core_is_found() {
    check(
        "src/analysis/line.rs",
        "use std::{fs, collections::BTreeMap};",
        "analysis uses std::fs",
    );
    check(
        "src/metrics/ledger.rs",
        "let now = std::time::Instant::now();",
        "metrics uses std::time::Instant",
    );
    check(
        "src/model/endpoint.rs",
        "use tokio::net::TcpStream;",
        "model uses tokio",
    );
    check(
        "src/render/text.rs",
        "use std::io::{Write, stdout};",
        "render uses std::io::stdout",
    );
    check("src/node/link.rs", "use tokio::net::TcpStream;", "");
    check("src/metrics/published.rs", "use tokio::sync::watch;", "");
    check("src/metrics/published.rs", "use std::fs;", "metrics uses std::fs");
}

fn check(path: &str, text: &str, expected: &str) {
    let found: Vec<String> = violations(Path::new(path), text);
    let found: Vec<&str> = found
        .iter()
        .map(|line| line.split_once(": ").expect("path: what").1)
        .collect();
    assert_eq!(found.join("; "), expected, "{path}: {text}");
}

/// What this file names that it must not, as `path: what`.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let Some(own) = room(path) else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    for (inside, name) in names(&words(text)) {
        let what = match absolute(&name, path, inside) {
            Some(other) if below(&own, &other) => format!("{own} names {other}"),
            None => match PURE.contains(&own.as_str()).then(|| acting(&name)).flatten() {
                Some(act) => format!("{own} uses {act}"),
                None => continue,
            },
            Some(_) => continue,
        };
        let line = format!("{}: {what}", path.display());
        if MEETING_PLACES
            .iter()
            .any(|(file, act)| path == Path::new(file) && what.ends_with(&format!("uses {act}")))
        {
            continue;
        }
        if !found.contains(&line) {
            found.push(line);
        }
    }
    found
}

/// The room a file belongs to; `lib.rs` and `main.rs` belong to none.
fn room(path: &Path) -> Option<String> {
    let inside = path
        .strip_prefix("src")
        .expect("a source file")
        .components()
        .next()
        .expect("a source file has a name");
    let name = Path::new(inside.as_os_str())
        .file_stem()
        .expect("a source file has a name")
        .to_string_lossy();
    (name != "lib" && name != "main").then(|| name.into_owned())
}

fn below(own: &str, other: &str) -> bool {
    let place = |room| ROOMS.iter().position(|known| *known == room);
    place(other) > place(own)
}

/// The room that a path of this crate leads to, when it stands `inside` so many modules of its file; `None` for other crates.
fn absolute(name: &[String], file: &Path, inside: usize) -> Option<String> {
    let ups = name.iter().take_while(|part| *part == "super").count();
    match name.first().map(String::as_str) {
        Some("crate") => name.get(1).cloned(),
        Some("super") if ups == depth(file) + inside => name.get(ups).cloned(),
        Some("super" | "self") => room(file),
        _ => None,
    }
}

/// How many modules deep a file's own module lies.
fn depth(file: &Path) -> usize {
    let parts = file.components().count() - 1;
    if file.ends_with("mod.rs") { parts - 1 } else { parts }
}

fn acting(name: &[String]) -> Option<&'static str> {
    ACTING.iter().copied().find(|act| {
        act.split("::")
            .zip(0..)
            .all(|(part, at)| name.get(at).is_some_and(|own| own == part))
    })
}
