//! How long a scrape takes while nothing happens and while windows run: `cargo bench --bench scraping`. The daemon itself is asked over HTTP,
//! a connection for each scrape, as `curl` would. Nothing here passes or fails.

use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

/// So many that there are 10,000 series.
const SHARDS: &str = "50";
const SCRAPES: usize = 200;
/// Scrapes in a row from which it is told what one takes of CPU.
const IN_A_ROW: u32 = 500;
/// Scrapes are spread, so that they meet everything that goes on beside them.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(180);
const FORMATS: [(&str, &str); 3] = [
    ("text", "Accept: text/plain\r\n"),
    ("text, gzip", "Accept: text/plain\r\nAccept-Encoding: gzip\r\n"),
    ("OpenMetrics", "Accept: application/openmetrics-text\r\n"),
];

fn main() -> anyhow::Result<()> {
    let daemon = Daemon::start()?;
    let mut out = stdout().lock();
    // Once windows have closed, what they saw has its series.
    daemon.until("windows were opened and closed", |page| {
        sum(page, "hotshard_windows_total{") >= 100.0 && sum(page, "hotshard_window_active{") > 0.0
    })?;
    writeln!(
        out,
        "| windows open | page | series | bytes | median | 95 of 100 | longest |\n|---|---|---|---|---|---|---|"
    )?;
    daemon.measure(&mut out)?;
    daemon.ask("POST", "/-/pause", "")?;
    daemon.until("all windows are closed", |page| {
        sum(page, "hotshard_window_active{") == 0.0
    })?;
    daemon.measure(&mut out)?;
    daemon.measure_cpu(&mut out)
}

/// A demo whose windows follow each other without a pause.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hotshard"))
            .args(["demo", "--shards", SHARDS, "--web.listen-address", "127.0.0.1:0"])
            .args([
                "--web.enable-lifecycle",
                "true",
                "--poll.interval",
                "15s",
                "--log.level",
                "error",
            ])
            .args([
                "--monitor.schedule",
                "every 11s",
                "--monitor.window",
                "10s",
                "--monitor.concurrency",
                SHARDS,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the daemon")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let address = lines.find_map(|line| {
            let after = line.ok()?.split_once("http://")?.1.to_owned();
            Some(after.split_once('/')?.0.to_owned())
        });
        Ok(Self {
            child,
            address: address.context("the daemon doesn't say where it listens")?,
        })
    }

    /// The body of an answer.
    fn ask(&self, method: &str, path: &str, headers: &str) -> anyhow::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.address
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let head = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .context("no answer")?;
        Ok(answer.split_off(head + 4))
    }

    /// What one scrape takes of CPU, while little else happens; what the daemon takes anyway is taken off.
    fn measure_cpu(&self, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "\n| page | CPU of one |\n|---|---|")?;
        for (format, headers) in FORMATS {
            let (begun, before) = (Instant::now(), self.cpu_seconds()?);
            rest(PAUSE * 100);
            let idle = (self.cpu_seconds()? - before) / begun.elapsed().as_secs_f64();
            let (begun, before) = (Instant::now(), self.cpu_seconds()?);
            for _ in 0..IN_A_ROW {
                self.ask("GET", "/metrics", headers)?;
            }
            let taken = self.cpu_seconds()? - before - idle * begun.elapsed().as_secs_f64();
            writeln!(out, "| {format} | {:.1} ms |", taken / f64::from(IN_A_ROW) * 1e3)?;
        }
        Ok(())
    }

    /// What the daemon took so far, in Linux's hundredths of a second.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(')').context("the program's name ends")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
    }

    fn page(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.ask("GET", "/metrics", "")?)?)
    }

    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !is_so(&self.page()?) {
            ensure!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            rest(PAUSE * 4);
        }
        Ok(())
    }

    fn measure(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (format, headers) in FORMATS {
            let (mut times, mut bytes) = (Vec::new(), 0);
            let page = self.page()?;
            for _ in 0..SCRAPES {
                let begun = Instant::now();
                bytes = self.ask("GET", "/metrics", headers)?.len();
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                rest(PAUSE);
            }
            times.sort_by(f64::total_cmp);
            let [median, most, longest] = [SCRAPES / 2, SCRAPES * 95 / 100, SCRAPES - 1].map(|place| times[place]);
            let open = sum(&page, "hotshard_window_active{");
            let series = page.lines().filter(|line| !line.starts_with('#')).count();
            writeln!(
                out,
                "| {open} | {format} | {series} | {bytes} | {median:.1} ms | {most:.1} ms | {longest:.1} ms |"
            )?;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum over a metric's series.
fn sum(page: &str, beginning: &str) -> f64 {
    let series = page.lines().filter(|line| line.starts_with(beginning));
    series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two scrapes there is nothing to wait for but time"
)]
fn rest(span: Duration) {
    std::thread::sleep(span);
}
