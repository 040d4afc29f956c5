//! `hotshard healthcheck`: asks a running daemon whether it is alive, for container health checks.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{Outcome, UsageError};
use crate::model::{Endpoint, written};

/// Ask a running daemon whether it is alive: exit code 0 if it is, else 1
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard healthcheck --url http://127.0.0.1:9468/healthz")]
pub(super) struct HealthcheckArgs {
    /// What to ask; over plain HTTP
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9468/healthz",
        env = "HOTSHARD_HEALTHCHECK_URL"
    )]
    url: String,
    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = written::parse_duration)]
    timeout: Duration,
}

pub(super) fn run(args: &HealthcheckArgs) -> anyhow::Result<Outcome> {
    let address = Address::parse(&args.url)?;
    let status = address.ask(args.timeout);
    let status = status.map_err(|error| {
        let url = &args.url;
        anyhow!("{url} does not answer: {error}; is `hotshard serve` running there?")
    })?;
    match status.as_str() {
        "200" => Ok(Outcome::Done),
        _ => bail!("{} answers {status}; its log says why", args.url),
    }
}

/// What a URL of a daemon consists of.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    endpoint: Endpoint,
    path: String,
}

/// No status line is longer.
const STATUS_LINE_MAX: u64 = 64;

impl Address {
    fn parse(url: &str) -> Result<Self, UsageError> {
        let refused = |why: &str| UsageError(format!("--url: {why}; write http://host:port/healthz"));
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| refused("only http:// can be asked"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "healthz"));
        let with_port = match authority.rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let endpoint = with_port.parse().map_err(|_| refused("this is no host with a port"))?;
        Ok(Self {
            endpoint,
            path: format!("/{path}"),
        })
    }

    /// The status of a GET.
    fn ask(&self, timeout: Duration) -> anyhow::Result<String> {
        let mut addresses = (self.endpoint.host(), self.endpoint.port()).to_socket_addrs()?;
        let address = addresses.next().context("the name has no address")?;
        let timeout = timeout.max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let question = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.path, self.endpoint
        );
        // In one piece: who answers the first bytes and hangs up must not make the rest fail.
        stream.write_all(question.as_bytes())?;
        let mut answer = Vec::new();
        // The status line is all there is to read; the end may come as a reset, after it.
        let read = stream.take(STATUS_LINE_MAX).read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        match answer
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1))
        {
            Some(status) => Ok(status.to_owned()),
            None => {
                read?;
                bail!("what answers is no HTTP server")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let outcome = match Address::parse(url) {
            Ok(address) => format!("{} {}", address.endpoint, address.path),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn urls_read_as_people_write_them() {
        check("http://127.0.0.1:9468/healthz", "127.0.0.1:9468 /healthz");
        check("http://localhost:9468", "localhost:9468 /healthz");
        check("http://[::1]:9468/-/healthy", "[::1]:9468 /-/healthy");
        check("http://hotshard/readyz?x=1", "hotshard:80 /readyz?x=1");
        check(
            "https://h:1/",
            "--url: only http:// can be asked; write http://host:port/healthz",
        );
        check(
            "http://:1/",
            "--url: this is no host with a port; write http://host:port/healthz",
        );
    }
}
