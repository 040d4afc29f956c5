//! Where the installed tools are: `scripts/setup-tests` links each of them in one folder.

use std::path::{Path, PathBuf};

/// The program linked under this name; a missing one fails the test.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = folder().join("bin").join(name);
    assert!(
        path.exists(),
        "{name} is not installed for the tests: run `make setup` (looked for {})",
        path.display()
    );
    path
}

/// The folder beside the test's own scratch folder, whatever the build folder is called.
fn folder() -> PathBuf {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's scratch folder lies in the build folder");
    build.join("test-tools")
}
