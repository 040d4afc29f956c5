//! MONITOR output as fast as the socket takes it or from a real server under load, and our live reader on it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use hotshard::analysis::tally::Tally;
use hotshard::model::Endpoint;
use hotshard::node::{Account, Chunk, Credentials, Dialer, Network, Pace, Tap, TapSettings};

use crate::process::{Cost, Running};

/// Serves the log at `path` to so many connections, one after the other; gives the port.
pub(crate) fn serve(path: &str, connections: usize) -> anyhow::Result<u16> {
    let log = std::fs::read(path)?;
    let mut wire = Vec::with_capacity(log.len() * 11 / 10);
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        wire.push(b'+');
        wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            // A reader that leaves early ends its own run only.
            let _ = stream.and_then(|stream| answer(stream, &wire));
        }
    });
    Ok(port)
}

/// As much of a server as a reader asks of it before the stream begins.
fn answer(mut stream: TcpStream, wire: &[u8]) -> std::io::Result<()> {
    const INFO: &str = "redis_version:7.0.15\r\nrole:slave\r\n";
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = stream.read(&mut piece)?;
        asked.extend_from_slice(&piece[..length].to_ascii_uppercase());
        if length == 0 {
            return Ok(());
        }
        // redis-cli and the tap end what they send with the end of a command.
        let text = String::from_utf8_lossy(&asked).into_owned();
        asked.clear();
        for word in text.split("\r\n") {
            match word {
                "ID" => stream.write_all(b":7\r\n")?,
                "SETNAME" => stream.write_all(b"+OK\r\n")?,
                "ROLE" => stream.write_all(b"*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n")?,
                "INFO" => stream.write_all(format!("${}\r\n{INFO}\r\n", INFO.len()).as_bytes())?,
                "MONITOR" => {
                    stream.write_all(b"+OK\r\n")?;
                    return stream.write_all(wire);
                }
                _ => {}
            }
        }
    }
}

/// What reading costs while a real server answers so many commands, `pipeline` of them at a time; `reader` is started on its port.
pub(crate) fn on_real_server(
    commands: u64,
    pipeline: u64,
    reader: impl FnOnce(&str) -> anyhow::Result<Running>,
) -> anyhow::Result<Cost> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let quiet = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut server = quiet("redis-server", &["--port", &port, "--save", "", "--bind", "127.0.0.1"])
        .spawn()
        .context("redis-server is needed")?;
    let cli = |words: &[&str]| Command::new("redis-cli").args(["-p", &port]).args(words).output();
    let until = |words: &[&str], said: &str| -> anyhow::Result<()> {
        for _ in 0..2000 {
            let answer = cli(words)?.stdout;
            let answer = String::from_utf8_lossy(&answer);
            // Of several clients, the one that matters is the one with MONITOR.
            let line = answer.lines().find(|line| line.contains("flags=O"));
            if line.unwrap_or(&answer).contains(said) {
                return Ok(());
            }
        }
        anyhow::bail!("redis-server on port {port} never said {said}")
    };
    until(&["ping"], "PONG")?;
    let running = reader(&port)?;
    until(&["client", "list"], "flags=O")?;
    let (commands, pipeline) = (commands.to_string(), pipeline.to_string());
    let load = [
        "-p", &port, "-n", &commands, "-P", &pipeline, "-r", "100000", "-t", "get",
    ];
    quiet("redis-benchmark", &load)
        .status()
        .context("redis-benchmark is needed")?;
    // The reader's stream ends with the server, so nothing may be left there for it.
    until(&["client", "list", "type", "normal"], " oll=0 omem=0 ")?;
    cli(&["shutdown", "nosave"])?;
    server.wait()?;
    running.end()
}

/// Reads the stream of a server to its end into `tally`, on the runtime that the daemon has, in a task of its own as windows do.
pub(crate) fn read(port: u16, tally: Tally) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(tapped(port, tally)))?
}

async fn tapped(port: u16, mut tally: Tally) -> anyhow::Result<Tally> {
    let dialer = Dialer::Network(Network::plain(Duration::from_secs(5), Pace::new()));
    let settings = TapSettings {
        primary_allowed: true,
        ..TapSettings::default()
    };
    let server = Endpoint::new("127.0.0.1", port);
    let mut tap = Tap::open(&dialer, &server, &Credentials::none(), &Account::new(), settings).await?;
    while let Chunk::Lines(piece) = tap.read().await? {
        tally.feed(piece);
    }
    Ok(tally)
}
