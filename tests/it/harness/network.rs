//! A network of the test's own, in which packets can be lost; nobody outside notices. It needs root, as `scripts/setup-tests` does.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use super::process::Process;
use super::tools::tool;
use super::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(10);

/// As long as it lives, this thread and all threads and processes it starts see a loopback of their own and nothing else.
pub(crate) struct Network {
    _holder: Process,
    _folder: TempDir,
}

impl Network {
    /// Moves the calling thread in. A test has a process of its own, so there is no way out and none is needed.
    pub(crate) async fn enter() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let arguments = ["--net", "--", "sleep", "infinity"].map(str::to_owned);
        let holder = Process::start("network", &tool("unshare"), &arguments, folder.path());
        let space = |process: &str| std::fs::read_link(PathBuf::from("/proc").join(process).join("ns/net"));
        let ours = space("self").expect("this is Linux");
        let theirs = holder.pid().to_string();
        let apart = async || match space(&theirs) {
            Ok(network) if network != ours => Ok(()),
            other => Err(format!("{other:?}: a network of its own needs root")),
        };
        eventually("there is a network of its own", DEADLINE, apart).await;
        let network = File::open(format!("/proc/{theirs}/ns/net")).expect("it is there");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may move");
        run("ip", &["link", "set", "lo", "up"]);
        Self {
            _holder: holder,
            _folder: folder,
        }
    }

    /// This network has one more address of its own, which is no loopback's.
    pub(crate) fn has(&self, address: IpAddr) {
        run("ip", &["address", "add", &address.to_string(), "dev", "lo"]);
    }

    /// Loses, from now on, all packets from this address to itself; nobody is told. Whoever comes from another one is heard.
    pub(crate) fn cut_off(&self, address: IpAddr) {
        let address = address.to_string();
        run(
            "iptables",
            &["-I", "INPUT", "-s", &address, "-d", &address, "-j", "DROP"],
        );
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(tool(program)).args(arguments).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}
