//! A real Alertmanager that hands every alert to a webhook, and the webhook itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::port::Port;
use super::process::Process;
use super::tools::tool;

/// A running Alertmanager; what it sends out arrives in [`Alertmanager::received`].
pub(crate) struct Alertmanager {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<serde_json::Value>>>,
    webhook: JoinHandle<()>,
    // Fields drop in order: the process before its folder and its port.
    _process: Process,
    _folder: TempDir,
    _port: Port,
}

impl Alertmanager {
    /// Starts it with one receiver, the webhook, which hears of every alert at once.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let hook = listener.local_addr().expect("a listener has an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let webhook = tokio::spawn(listen(listener, received.clone()));
        let (folder, port) = (TempDir::new().expect("a temporary folder"), Port::lease());
        let config = folder.path().join("alertmanager.yml");
        let text = format!(
            "route: {{receiver: webhook, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\n\
             receivers: [{{name: webhook, webhook_configs: [{{url: 'http://{hook}/'}}]}}]\n"
        );
        std::fs::write(&config, text).expect("a temporary folder takes a file");
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            // Alone: no gossip with others.
            "--cluster.listen-address=".to_owned(),
        ];
        let process = Process::start("alertmanager", &tool("alertmanager"), &arguments, folder.path());
        Self {
            address,
            received,
            webhook,
            _process: process,
            _folder: folder,
            _port: port,
        }
    }

    /// The alerts that have arrived so far, as Alertmanager writes them.
    pub(crate) fn received(&self) -> Vec<serde_json::Value> {
        self.received.lock().expect("no holder panics").clone()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.webhook.abort();
    }
}

async fn listen(listener: TcpListener, received: Arc<Mutex<Vec<serde_json::Value>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        if let Some(alerts) = take(stream).await {
            received.lock().expect("no holder panics").extend(alerts);
        }
    }
}

/// Reads one request and answers it; the connection is closed, so each request is one connection.
async fn take(mut stream: TcpStream) -> Option<Vec<serde_json::Value>> {
    let mut request = Vec::new();
    let body = loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        if let Some(body) = body(&request) {
            break body.to_vec();
        }
    };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).await.ok()?;
    let mut message: serde_json::Value = serde_json::from_slice(&body).ok()?;
    serde_json::from_value(message["alerts"].take()).ok()
}

/// The body, once all of it is there.
fn body(request: &[u8]) -> Option<&[u8]> {
    let head = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let length = std::str::from_utf8(&request[..head]).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    })?;
    request[head + 4..].get(..length)
}
