//! A real browser: what a page says, and how it comes out on paper.

use std::process::Command;

use serde_json::Value;

use super::tools::tool;
use crate::repository::root;

/// What the page says once it says `text`, and the errors of its console.
pub(crate) fn browse(url: &str, text: &str) -> Value {
    run(&[url, text, "30"])
}

/// The same on paper: also what is cut off, which texts of charts lie on each other, and how many sheets it takes.
pub(crate) fn browse_printed(url: &str, text: &str) -> Value {
    run(&[url, text, "30", "print"])
}

/// The same, and what is cut off on a small telephone.
pub(crate) fn browse_narrow(url: &str, text: &str) -> Value {
    run(&[url, text, "30", "narrow"])
}

fn run(arguments: &[&str]) -> Value {
    let output = Command::new(tool("python"))
        .arg(root().join("tests/browse.py"))
        .arg(tool("chromium"))
        .args(arguments)
        .output()
        .expect("python starts");
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}", complaint());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", complaint()))
}
