//! Nothing is shipped that no test looks at: whichever file under `deploy/` or `dashboards/` is emptied, a test goes red.
//!
//! The tests themselves are run again, in a copy of the repository in which one file is empty.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::repository::{ELSEWHERE, root};

const FOLDERS: [&str; 2] = ["dashboards", "deploy"];

/// Which tests look after what lies below a folder.
const KEEPERS: [(&str, &str); 5] = [
    ("dashboards/grafana", "dashboards::"),
    ("dashboards/prometheus", "alerts::"),
    ("deploy/docker", "service::"),
    ("deploy/helm", "helm::"),
    ("deploy/systemd", "service::"),
];

/// Tests of those that need minutes or a daemon, and find nothing that the others don't.
const LEFT_OUT: [&str; 3] = [
    "dashboards::every_expression_finds_data_beside_a_demo",
    "alerts::a_hot_shard_reaches_the_webhook",
    "service::the_daemon_tells_systemd",
];

#[test]
fn whatever_is_shipped_is_missed_when_it_is_empty() {
    let files = shipped();
    assert!(files.len() >= 30, "{files:?}");
    let unnoticed: Vec<&PathBuf> = files.iter().filter(|file| !is_missed(file)).collect();
    assert!(unnoticed.is_empty(), "no test of {KEEPERS:?} looks at {unnoticed:?}");
}

#[test]
fn an_empty_file_that_nobody_reads_is_found() {
    let copy = Copy::without(Path::new("deploy/helm/hotshard/templates/nobody-reads-this.yaml"));
    assert!(
        copy.is_content("helm::the_chart_brings"),
        "a copy is as good as the original"
    );
}

/// Whether its keeper goes red without it.
fn is_missed(file: &Path) -> bool {
    let (_, keeper) = KEEPERS
        .iter()
        .find(|(folder, _)| file.starts_with(folder))
        .unwrap_or_else(|| panic!("nobody looks after {}", file.display()));
    !Copy::without(file).is_content(keeper)
}

/// The repository, with one of its files empty.
struct Copy(TempDir);

impl Copy {
    fn without(file: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for entry in fs::read_dir(root()).expect("the repository can be listed") {
            let path = entry.expect("a folder's entry").path();
            let name = path.file_name().expect("it has a name");
            if FOLDERS.iter().any(|copied| name == *copied) {
                // Links stay links: the chart has its rules and dashboards by them.
                let copied = Command::new("cp").arg("-a").arg(&path).arg(folder.path()).status();
                assert!(copied.expect("cp is installed").success(), "{}", path.display());
            } else {
                symlink(&path, folder.path().join(name)).expect("a temporary folder takes a link");
            }
        }
        let emptied = folder.path().join(file);
        // A link would empty what it leads to.
        let _ = fs::remove_file(&emptied);
        fs::write(&emptied, "").expect("a temporary folder takes a file");
        Self(folder)
    }

    /// Whether these tests pass here.
    fn is_content(&self, tests: &str) -> bool {
        let program = std::env::current_exe().expect("a process knows its program");
        let mut child = Command::new(program)
            .arg(tests)
            .args(LEFT_OUT.iter().flat_map(|name| ["--skip", name]))
            .args(["--test-threads", "2"])
            .env(ELSEWHERE, self.0.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests can be run again");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut ran = 0;
        for line in lines.map_while(Result::ok).filter(|line| line.starts_with("test ")) {
            if line.ends_with("FAILED") {
                // One is enough.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            ran += usize::from(line.ends_with("ok"));
        }
        assert!(ran > 0, "no test is called {tests}");
        child.wait().expect("it can be waited for").success()
    }
}

/// Every file, by its path in the repository.
fn shipped() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder can be listed") {
            let entry = entry.expect("a folder's entry");
            let path = folder.join(entry.file_name());
            match entry.file_type().expect("an entry has a type").is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}
