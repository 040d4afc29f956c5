//! A cache with little room left under pipelined reads: a careless reader of MONITOR costs it keys, windows with every guard at its default
//! do not.

use std::time::Duration;

use hotshard::analysis::window::WindowEnd;
use hotshard::config::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::harness::server::Server;
use crate::harness::wait::eventually;
use crate::harness::window::{Window, bounded, check_gone, monitors, read};

const SOON: Duration = Duration::from_secs(60);

/// How much is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Light,
    Heavy,
    None,
}

/// Pipelined reads whose lines in MONITOR are long.
async fn run(server: &Server, mut load: watch::Receiver<Load>) {
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    let names: Vec<String> = (0..10).map(|number| format!("{number}{}", "k".repeat(400))).collect();
    let words: Vec<&str> = ["EXISTS", "key:7"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut call = format!("*{}\r\n", words.len());
    words
        .iter()
        .for_each(|word| call += &format!("${}\r\n{word}\r\n", word.len()));
    loop {
        let (calls, pause) = match *load.borrow_and_update() {
            Load::Light => (1, Duration::from_millis(20)),
            Load::Heavy => (200, Duration::ZERO),
            Load::None => return,
        };
        stream
            .write_all(call.repeat(calls).as_bytes())
            .await
            .expect("the server takes it");
        let mut answers = vec![0; ONE_EXISTS.len() * calls];
        stream.read_exact(&mut answers).await.expect("it answers");
        // That key may be gone: how many are is asked of the server.
        assert_eq!(answers[0], b':', "{answers:?}");
        tokio::time::sleep(pause).await;
    }
}

const ONE_EXISTS: &[u8] = b":1\r\n";

async fn evicted(server: &Server) -> u64 {
    let evicted = server.info("stats").await["evicted_keys"].trim().parse();
    evicted.expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_with_every_guard_at_its_default_evict_no_key_where_a_careless_reader_does() {
    // Room for four of guards.server_buffer_max below guards.memory_ratio_max, and not much more.
    let plan = bounded(Server::valkey8())
        .set("maxmemory", "200mb")
        .set("maxmemory-policy", "allkeys-lru")
        .set("enable-debug-command", "yes");
    let server = plan.start().await;
    server.call(&["DEBUG", "POPULATE", "5000", "key", "4096"]).await;
    let (load, read_load) = watch::channel(Load::Light);
    let windows = async {
        let lasting = |seconds| {
            Window::on(&server, Duration::from_secs(seconds)).guarded(|guards| *guards = Settings::defaults().guards)
        };
        let opened = async |window: &Window<'_>| {
            load.send_replace(Load::Light);
            let open = eventually("the node can bear a window", SOON, async || {
                window.open().await.map_err(|error| error.to_string())
            });
            let open = open.await;
            load.send_replace(Load::Heavy);
            open
        };
        let (mut ends, mut refusals) = (Vec::new(), Vec::new());
        let window = lasting(3);
        for _ in 0..2 {
            ends.push(read(opened(&window).await).await.end);
            match window.open().await {
                Ok(open) => ends.push(read(open).await.end),
                Err(error) => refusals.push(error.kind()),
            }
        }
        // Its reader stands still, as the careless one does: it has its guard all the same.
        // So long that it isn't the clock that ends it, however slow the machine.
        let window = lasting(120);
        for _ in 0..2 {
            let open = opened(&window).await;
            eventually("its guard has ended it", SOON, async || match monitors(&server).await {
                false => Ok(()),
                true => Err("its stream is still there"),
            })
            .await;
            let end = read(open).await.end;
            assert_ne!(end, WindowEnd::Duration, "a guard ended it");
            ends.push(end);
        }
        check_gone(&server).await;
        assert_eq!(evicted(&server).await, 0, "{ends:?} {refusals:?}");

        let mut careless = server.connect().await;
        careless.call(&["MONITOR"]).await.expect("an answer");
        eventually("a reader that stands still costs keys", SOON, async || {
            match evicted(&server).await {
                0 => Err(server.info("memory").await["used_memory_human"].clone()),
                _ => Ok(()),
            }
        })
        .await;
        load.send_replace(Load::None);
    };
    tokio::join!(windows, run(&server, read_load));
}
