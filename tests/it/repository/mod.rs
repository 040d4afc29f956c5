//! The repository as its tests read it: what is in it, and what its texts say.

pub(crate) mod markdown;
pub(crate) mod rust_text;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders that are built, fetched or not ours.
const FOREIGN: &[&str] = &["target", ".git", "node_modules", "reports", "artifacts", "corpus"];

/// Names a copy of the repository that is to be read instead.
pub(crate) const ELSEWHERE: &str = "HOTSHARD_TEST_REPOSITORY";

pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let elsewhere = std::env::var_os(ELSEWHERE);
        elsewhere.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &ROOT
}

/// A file's text; the path is the repository's.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The Rust files below a folder, with their text.
pub(crate) fn rust_sources(folder: &str) -> Vec<(PathBuf, String)> {
    let found = texts(folder, &["rs"]);
    assert!(!found.is_empty(), "there are no sources in {folder}");
    found
}

/// The files below a folder that have one of these extensions (all texts, if none is named), with their text.
pub(crate) fn texts(folder: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extensions.is_empty() || extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let inside = |path: &Path| path.strip_prefix(root()).expect("it was found there").to_owned();
    paths
        .iter()
        .filter(|path| wanted(path))
        .filter_map(|path| Some((inside(path), fs::read_to_string(path).ok()?)))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display())) {
        let entry = entry.expect("a folder's entry");
        let name = entry.file_name();
        match entry.file_type().expect("an entry has a type") {
            kind if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) => collect(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}
