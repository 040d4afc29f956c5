//! A stream of MONITOR output as fast as the socket takes it, and the reader that is measured on it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

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

fn answer(mut stream: TcpStream, wire: &[u8]) -> std::io::Result<()> {
    let asked = stream.read(&mut [0; 256])?;
    if asked > 0 {
        stream.write_all(b"+OK\r\n")?;
        stream.write_all(wire)?;
    }
    Ok(())
}

/// Reads the stream to its end and gives each piece to `take`.
pub(crate) fn read(port: u16, mut take: impl FnMut(&[u8])) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"MONITOR\r\n")?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => take(&buffer[..length]),
        }
    }
}
