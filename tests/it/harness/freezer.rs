//! Processes that stand still as a whole, as `systemctl freeze` and `docker pause` make them: the kernel's freezer. It needs root.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(10);

/// A control group of the test's own.
pub(crate) struct Freezer {
    group: PathBuf,
    /// Of the second version of control groups, or of the first.
    second: bool,
}

impl Freezer {
    /// An empty group where the kernel has one that can be frozen.
    pub(crate) fn new() -> Self {
        let mounts = fs::read_to_string("/proc/mounts").expect("this is Linux");
        let mounted = |wanted: &dyn Fn(&str, &str) -> bool| {
            mounts.lines().find_map(|line| {
                let [_, place, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else {
                    return None;
                };
                wanted(kind, options).then(|| PathBuf::from(place))
            })
        };
        let second = mounted(&|kind, _| kind == "cgroup2");
        let first = mounted(&|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "freezer"));
        let (root, second) = match (second, first) {
            (Some(root), _) => (root, true),
            (None, Some(root)) => (root, false),
            (None, None) => panic!("no control groups are mounted; mount -t cgroup2 none /sys/fs/cgroup"),
        };
        let group = root.join(format!("hotshard-test-{}", std::process::id()));
        fs::create_dir(&group).unwrap_or_else(|error| panic!("{}: {error}; it needs root", group.display()));
        Self { group, second }
    }

    /// Takes this process in.
    pub(crate) fn take(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    /// All of them stand still.
    pub(crate) async fn freeze(&self) {
        self.set(true);
        let (file, word) = match self.second {
            true => ("cgroup.events", "frozen 1"),
            false => ("freezer.state", "FROZEN"),
        };
        eventually("all stand still", DEADLINE, async || {
            let state = fs::read_to_string(self.group.join(file)).expect("it is there");
            if state.contains(word) { Ok(()) } else { Err(state) }
        })
        .await;
    }

    /// They go on.
    pub(crate) fn thaw(&self) {
        self.set(false);
    }

    fn set(&self, frozen: bool) {
        match (self.second, frozen) {
            (true, true) => self.write("cgroup.freeze", "1"),
            (true, false) => self.write("cgroup.freeze", "0"),
            (false, true) => self.write("freezer.state", "FROZEN"),
            (false, false) => self.write("freezer.state", "THAWED"),
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.group.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}; it needs root", path.display()));
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        // Whoever is still in it goes where it came from; a group that isn't empty can't be removed.
        let members = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines() {
            let _ = fs::write(self.group.with_file_name("cgroup.procs"), member);
        }
        let _ = fs::remove_dir(&self.group);
    }
}
