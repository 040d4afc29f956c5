//! How fast streams are read: `cargo bench --bench reading`. Every ratio is of runs in turn on this machine; nothing here passes or fails.

mod live;
mod log;
mod process;
#[path = "../traffic/mod.rs"]
mod traffic;

use std::fs::File;
use std::io::{BufWriter, Read, Write, stdout};
use std::path::Path;

use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::pattern::{Normaliser, PatternSettings};
use hotshard::analysis::slot;
use hotshard::analysis::tally::{Tally, TallySettings};
use hotshard::analysis::window::WindowStats;
use hotshard::model::Timestamp;
use hotshard::node::TapSettings;
use log::Traffic;
use process::{begin, cost, paired};
use tokio::time::Instant;

const LINES: u64 = 2_000_000;
/// Of a real server under load.
const COMMANDS: u64 = 500_000;
const RUNS: usize = 5;
const COUNT_BY_MAWK: &str = "{c[$4]++} END{for(k in c) print k, c[k]}";
const COUNT_BY_PYTHON: &str = "import collections,re,sys\nc=collections.Counter()\n\
    for l in open(sys.argv[1]):\n m=re.findall(r'\"((?:[^\"\\\\]|\\\\.)*)\"',l)\n c[m[0].upper(),m[1] if len(m)>1 else '']+=1\nprint(len(c))";

/// Without arguments, everything; the other forms are the processes that are measured.
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tally", path] => report(&tallied_file(path)?),
        ["live", port] => {
            let tally = live::read(port.parse()?, tally())?;
            report(&tally.finish())
        }
        ["log", "mixed", path] => Ok(log::write(Traffic::Mixed, LINES, BufWriter::new(File::create(path)?))?),
        ["log", "distinct", path] => Ok(log::write(
            Traffic::Distinct,
            LINES,
            BufWriter::new(File::create(path)?),
        )?),
        ["memory", windows] => flood(windows.parse()?)?.iter().try_for_each(report),
        ["live"] => {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("mixed.log");
            log::write(Traffic::Mixed, LINES, BufWriter::new(File::create(&path)?))?;
            against_redis_cli(&path, &mut stdout().lock())
        }
        _ => all(),
    }
}

fn all() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut out = stdout().lock();
    for traffic in [Traffic::Mixed, Traffic::Distinct] {
        let path = folder.path().join(format!("{traffic:?}.log"));
        log::write(traffic, LINES, BufWriter::new(File::create(&path)?))?;
        let mebibytes = std::fs::metadata(&path)?.len() >> 20;
        writeln!(out, "\n{traffic:?}: {LINES} lines, {mebibytes} MiB")?;
        parts(&path, &mut out)?;
        against_others(&path, &mut out)?;
    }
    against_redis_cli(&folder.path().join("Mixed.log"), &mut out)?;
    for windows in ["1", "32"] {
        let flooded = cost(&this_program()?, &["memory", windows])?;
        let mebibytes = flooded.resident_kib as f64 / 1024.0;
        writeln!(
            out,
            "\n10 million different keys and lines of 1 MB in windows at once, {windows}: {mebibytes:.1} MiB resident at most"
        )?;
    }
    Ok(())
}

/// Nanoseconds of single steps.
fn parts(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let text = std::fs::read(path)?;
    let keys: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b'"').nth(3))
        .collect();
    let mut normaliser = Normaliser::new(&PatternSettings::default(), 1);
    let time = Timestamp(1_795_202_082_000_000);
    let mut step = |name: &str, step: &mut dyn FnMut(&[u8])| {
        let begun = Instant::now();
        keys.iter().for_each(|key| step(key));
        writeln!(
            out,
            "  {name:<28}{:8.1} ns a key",
            begun.elapsed().as_nanos() as f64 / keys.len() as f64
        )
    };
    step("pattern", &mut |key| {
        std::hint::black_box(normaliser.classify(key, time));
    })?;
    step("slot", &mut |key| {
        std::hint::black_box(slot::of_printed_key(key));
    })?;
    let begun = Instant::now();
    let mut tally = tally();
    text.chunks(64 * 1024).for_each(|piece| tally.feed(piece));
    let nanos = begun.elapsed().as_nanos() as f64 / LINES as f64;
    writeln!(out, "  {:<28}{nanos:8.1} ns a line", "all of it")?;
    Ok(())
}

fn against_others(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let (this, path) = (this_program()?, path.to_string_lossy());
    let ours = || cost(&this, &["tally", &path]);
    let (mine, mawk) = paired(RUNS, ours, || cost("mawk", &[COUNT_BY_MAWK, &path]))?;
    writeln!(
        out,
        "  CPU {mine:.2} s, mawk counting one column {mawk:.2} s: {:.2} ×",
        mine / mawk
    )?;
    let (mine, python) = paired(1, ours, || cost("python3", &["-c", COUNT_BY_PYTHON, &path]))?;
    writeln!(
        out,
        "  CPU {mine:.2} s, a reader in Python {python:.2} s: {:.3} ×",
        mine / python
    )?;
    Ok(())
}

fn against_redis_cli(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let this = this_program()?;
    let port = live::serve(&path.to_string_lossy(), RUNS * 2)?.to_string();
    let ours = || cost(&this, &["live", &port]);
    let (mine, cli) = paired(RUNS, ours, || cost("redis-cli", &["-p", &port, "monitor"]))?;
    let million = LINES as f64 / 1e6;
    let (mine, cli) = (mine / million, cli / million);
    writeln!(out, "\nlive, as fast as the socket takes it, for a million lines:")?;
    writeln!(
        out,
        "  CPU {mine:.3} s, redis-cli monitor > /dev/null {cli:.3} s: {:.2} ×",
        mine / cli
    )?;
    for pipeline in [16, 1] {
        let ours = || live::on_real_server(COMMANDS, pipeline, |port| begin(&this, &["live", port]));
        let cli = || live::on_real_server(COMMANDS, pipeline, |port| begin("redis-cli", &["-p", port, "monitor"]));
        let (mine, cli) = paired(RUNS, ours, cli)?;
        let million = COMMANDS as f64 / 1e6;
        let (mine, cli) = (mine / million, cli / million);
        writeln!(
            out,
            "\nlive, a real server, {pipeline} commands at a time, for a million lines:"
        )?;
        writeln!(
            out,
            "  CPU {mine:.3} s, redis-cli monitor > /dev/null {cli:.3} s: {:.2} ×",
            mine / cli
        )?;
    }
    Ok(())
}

/// Ten million different keys over so many windows in turn, and now and then a line of a megabyte.
fn flood(windows: usize) -> anyhow::Result<Vec<WindowStats>> {
    let read_buffer = || vec![1_u8; TapSettings::default().buffer];
    let mut windows: Vec<(Tally, Vec<u8>)> = (0..windows.max(1)).map(|_| (tally(), read_buffer())).collect();
    let value = "\\x00".repeat(250_000);
    let mut piece = Vec::new();
    for part in 0..1000_u64 {
        piece.clear();
        for number in 0..10_000 {
            let key = part * 10_000 + number;
            writeln!(
                piece,
                "1795202082.056681 [0 10.0.0.9:35656] \"GET\" \"session:{key:016x}:{key}\""
            )?;
        }
        if part % 10 == 0 {
            writeln!(
                piece,
                "1795202082.056681 [0 10.0.0.9:35656] \"SET\" \"large:{part}\" \"{value}\""
            )?;
        }
        let next = part as usize % windows.len();
        let (tally, buffer) = &mut windows[next];
        for read in piece.chunks(buffer.len()) {
            buffer[..read.len()].copy_from_slice(read);
            tally.feed(&buffer[..read.len()]);
        }
    }
    Ok(windows.into_iter().map(|(tally, _)| tally.finish()).collect())
}

fn tallied_file(path: &str) -> anyhow::Result<WindowStats> {
    let mut file = File::open(path)?;
    let mut tally = tally();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(tally.finish()),
            length => tally.feed(&buffer[..length]),
        }
    }
}

fn tally() -> Tally {
    let normaliser = Normaliser::new(&PatternSettings::default(), 7);
    Tally::new(&TallySettings::default(), Commands::builtin(), normaliser, 7)
}

fn report(stats: &WindowStats) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let (commands, keys) = (stats.commands, stats.distinct_keys);
    writeln!(
        out,
        "{commands} commands, {keys} keys, {} rejected lines",
        stats.rejected_lines()
    )?;
    Ok(())
}

fn this_program() -> anyhow::Result<String> {
    Ok(std::env::current_exe()?.to_string_lossy().into_owned())
}
