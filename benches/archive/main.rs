//! What an archive costs and how fast it answers: `cargo bench --bench archive`, `-- --rows 10000000` for the size of the manual.
//!
//! Rows of a generated stream go into an archive and, as the obvious design has it, into one table with five indexes; then the twenty
//! questions of the manual are asked, with and without each index. Nothing here passes or fails.

mod obvious;
mod questions;
#[path = "../traffic/mod.rs"]
mod traffic;
mod windows;

use std::io::Write;
use std::path::Path;

use hotshard::archive::{Kept, Reading, Record, Store};
use rusqlite::Connection;
use tokio::time::Instant;

/// Rows unless others are asked for.
const ROWS: u64 = 1_000_000;

/// Rows that both designs are given.
const COMPARED: u64 = 500_000;

/// Windows in one transaction, as the daemon has it at most.
const BATCH: usize = 16;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rows = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => ROWS,
        (Some("--rows"), Some(rows)) => rows.parse()?,
        _ => anyhow::bail!("usage: cargo bench --bench archive -- [--rows N]"),
    };
    let folder = tempfile::tempdir()?;
    let mut out = std::io::stdout().lock();
    let (ours, theirs) = (folder.path().join("ours.db"), folder.path().join("obvious.db"));
    let compared = COMPARED.min(rows);
    let written = write(&ours, windows::of(compared))?;
    let copied = obvious::copy(&ours, &theirs)?;
    compare(&mut out, &written, &copied)?;
    if rows > compared {
        std::fs::remove_file(&ours)?;
        let all = write(&ours, windows::of(rows))?;
        writeln!(out, "{}: {}", thousands(rows), all.line())?;
    }
    questions::ask(&ours, &mut out)?;
    questions::without_each_index(&ours, &mut out)
}

/// What writing took.
struct Written {
    rows: u64,
    seconds: f64,
    bytes: u64,
}

impl Written {
    fn per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    fn per_row(&self) -> f64 {
        self.bytes as f64 / self.rows as f64
    }

    fn line(&self) -> String {
        format!(
            "{:.0} rows/s, {:.1} bytes a row, {:.1} MB",
            self.per_second(),
            self.per_row(),
            self.bytes as f64 / 1e6
        )
    }
}

/// Reads lines and writes them, as the archive's thread does; making them up isn't counted.
fn write(path: &Path, windows: impl Iterator<Item = Kept>) -> anyhow::Result<Written> {
    let reading = Reading {
        patterns: windows::patterns(),
        veil: hotshard::analysis::veil::Veil::default(),
        record: Record::Keys,
        source: "serve",
        seed: windows::SEED,
    };
    let mut store = Store::open(path, reading)?;
    let (mut windows, mut rows, mut seconds) = (windows.peekable(), 0, 0.0);
    while windows.peek().is_some() {
        let batch: Vec<Kept> = windows.by_ref().take(BATCH).collect();
        let began = Instant::now();
        store.keep(&batch)?;
        seconds += began.elapsed().as_secs_f64();
        rows += batch
            .iter()
            .map(|kept| kept.drawn.sample.lines.len() as u64)
            .sum::<u64>();
    }
    let began = Instant::now();
    store.close()?;
    Ok(Written {
        rows,
        seconds: seconds + began.elapsed().as_secs_f64(),
        bytes: std::fs::metadata(path)?.len(),
    })
}

fn compare(out: &mut impl Write, ours: &Written, theirs: &Written) -> anyhow::Result<()> {
    writeln!(out, "{} rows", thousands(ours.rows))?;
    writeln!(out, "  archive:                    {}", ours.line())?;
    writeln!(out, "  one table and five indexes: {}", theirs.line())?;
    writeln!(
        out,
        "  {:.1} × the rows/s, {:.2} × the bytes",
        ours.per_second() / theirs.per_second(),
        ours.per_row() / theirs.per_row()
    )?;
    Ok(())
}

fn thousands(number: u64) -> String {
    if number >= 1000 {
        format!("{},{:03}", thousands(number / 1000), number % 1000)
    } else {
        number.to_string()
    }
}

/// An archive as everybody else opens it.
fn open(path: &Path) -> anyhow::Result<Connection> {
    Ok(Connection::open(path)?)
}
