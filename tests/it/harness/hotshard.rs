//! The program itself as a child process, as its user runs it.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::http;
use super::process::Process;
use super::wait::eventually;

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// A running daemon.
pub(crate) struct Hotshard {
    pub address: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Hotshard {
    /// `hotshard serve` with this configuration on a port the kernel chooses; waits until it is ready.
    pub(crate) async fn serve(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("hotshard.toml");
        std::fs::write(&path, config).expect("a temporary folder takes a file");
        Self::start_in(folder, &["serve", "--config", &path.display().to_string()]).await
    }

    /// Any command that serves (`serve`, `demo`), in a folder of its own; waits until it is ready.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary folder"), arguments).await
    }

    /// `hotshard serve` with this configuration and these variables besides those of the test.
    pub(crate) async fn serve_with(config: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("hotshard.toml");
        std::fs::write(&path, config).expect("a temporary folder takes a file");
        Self::start_under(folder, &["serve", "--config", &path.display().to_string()], variables).await
    }

    /// Any command that serves, started by a command of the test's that ends in it, such as one that makes the disk smaller.
    pub(crate) async fn started_by(starter: &[&str], arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let starter = starter.iter().map(|&one| one.to_owned()).collect();
        Self::listen_by(folder, arguments, starter).await
    }

    /// The process, for a look at what it alone sees.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    async fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        Self::start_under(folder, arguments, &[]).await
    }

    /// The same, but waits only until it listens: with TLS or a password of its own, plain requests have no answer.
    pub(crate) async fn listening(arguments: &[&str]) -> Self {
        Self::listen_in(TempDir::new().expect("a temporary folder"), arguments, &[]).await
    }

    async fn start_under(folder: TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let hotshard = Self::listen_in(folder, arguments, variables).await;
        let ready = async || match hotshard.get("/readyz").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(other),
        };
        eventually("hotshard is ready", START_DEADLINE, ready).await;
        hotshard
    }

    async fn listen_in(folder: TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, text)| format!("{name}={text}"));
        Self::listen_by(folder, arguments, variables.collect()).await
    }

    async fn listen_by(folder: TempDir, arguments: &[&str], before: Vec<String>) -> Self {
        let program = env!("CARGO_BIN_EXE_hotshard").to_owned();
        let arguments = arguments.iter().chain(&["--web.listen-address", "127.0.0.1:0"]);
        let arguments = arguments.map(|&one| one.to_owned());
        let whole: Vec<String> = before.into_iter().chain([program]).chain(arguments).collect();
        let mut process = Process::start("hotshard", "env".as_ref(), &whole, folder.path());
        let listening = async || match process.ended() {
            Some(status) => Ok(Err(format!("{status}\n{}", process.last_words()))),
            None => address_in(&(process.stdout() + &process.stderr()))
                .map(Ok)
                .ok_or("no address in its output"),
        };
        let address = eventually("hotshard says where it listens", START_DEADLINE, listening).await;
        let address = address.unwrap_or_else(|words| panic!("hotshard {whole:?} ended: {words}"));
        Self {
            address,
            process,
            folder,
        }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<http::Answer, String> {
        http::get(self.address, path).await
    }

    /// The page of metrics.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.get("/metrics").await.expect("/metrics answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// What it said to whoever started it.
    pub(crate) fn said(&self) -> String {
        self.process.stdout()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// The folder it runs in: what it wrote must be here.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Bytes that it holds in memory.
    pub(crate) fn resident_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("a size") << 10
    }

    /// How much memory it has resident, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("Linux says how much memory a process has")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGTERM; it must end within its grace period, with exit code 0. Returns its log.
    pub(crate) async fn stop(mut self) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.end(STOP_DEADLINE).await;
        assert!(
            status.success(),
            "hotshard ended with {status}:\n{}",
            self.process.last_words()
        );
        self.process.stderr()
    }
}

/// Where it listens, from the first whole line that says so: a URL (`demo`) or a log line (`serve`).
fn address_in(output: &str) -> Option<SocketAddr> {
    let whole = output.rfind('\n').map_or("", |end| &output[..end]);
    let says_so = |line: &&str| line.contains("http://") || line.contains("listening");
    whole.lines().filter(says_so).find_map(|line| {
        let address = &line[line.find("127.0.0.1:")?..];
        let end = address.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':');
        address[..end.unwrap_or(address.len())].parse().ok()
    })
}

#[test]
fn an_address_is_read_from_a_url_and_from_a_log_line() {
    let check = |output: &str, expected: Option<&str>| {
        assert_eq!(
            address_in(output).map(|address| address.to_string()).as_deref(),
            expected,
            "{output}"
        );
    };
    check("Look at http://127.0.0.1:9468/ now\n", Some("127.0.0.1:9468"));
    check(
        "polling 127.0.0.1:6379\nINFO listening address=127.0.0.1:9468\n",
        Some("127.0.0.1:9468"),
    );
    check(
        "{\"message\":\"listening\",\"address\":\"127.0.0.1:9468\"}\n",
        Some("127.0.0.1:9468"),
    );
    check("INFO listening address=127.0.0.1:94", None);
}
