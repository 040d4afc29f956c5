//! Markdown for tickets and chats: headings, tables, nothing that needs a plug-in.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use super::figure::{deviation, grouped, harmless, moment, output, percent, plural, rate, span, times};
use super::{standing, worth};
use crate::analysis::report::{OutputShare, Report, ShardReport};
use crate::analysis::status::Signal;
use crate::model::Bytes;

/// Entries of each list.
const ROWS: usize = 10;

pub(super) fn render(report: &Report, entries: Option<NonZeroUsize>) -> String {
    let mut out = String::new();
    head(&mut out, report);
    diagnoses(&mut out, report);
    overview(&mut out, report);
    for shard in &report.shards {
        details(&mut out, shard, entries);
    }
    for missing in &report.missing {
        let _ = writeln!(
            out,
            "\n**{}** is missing: {}",
            plain(missing.shard.as_str()),
            plain(&missing.reason)
        );
    }
    out
}

fn head(out: &mut String, report: &Report) {
    let totals = &report.totals;
    let _ = writeln!(out, "# {}\n", plain(report.group.as_str()));
    let when = match (&report.started_at, &report.ended_at) {
        (Some(started), Some(ended)) => format!("{} – {} UTC", moment(started), moment(ended)),
        _ => "nothing seen".into(),
    };
    let _ = writeln!(
        out,
        "{when}: {} in {}, {}; {} not understood.",
        plural(totals.commands, "command"),
        span(totals.duration_seconds),
        rate(totals.commands_per_second),
        plural(totals.rejected_lines, "line"),
    );
}

fn overview(out: &mut String, report: &Report) {
    let beside = standing::BESIDE.iter().filter(|_| standing::has_signals(report));
    let (mut names, mut rule) = (String::new(), String::new());
    for signal in beside.clone() {
        let _ = write!(names, " {} |", standing::name(*signal));
        rule.push_str("--:|");
    }
    let _ = writeln!(
        out,
        "\n| shard | status | commands | from the mean | skew |{names} keys | clients |"
    );
    let _ = writeln!(out, "|---|---|--:|--:|--:|{rule}--:|--:|");
    for shard in &report.shards {
        let mut figures = String::new();
        for signal in beside.clone() {
            let amount = standing::amount(*signal, standing::load(shard, *signal));
            let _ = match standing::of(&shard.status, *signal).is_hot() {
                true => write!(figures, " **{amount}** |"),
                false => write!(figures, " {amount} |"),
            };
        }
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |{figures} {} | {} |",
            plain(shard.shard.as_str()),
            standing::verdict_or_unknown(shard),
            rate(standing::load(shard, Signal::Commands)),
            deviation(shard.deviation_ratio),
            times(shard.skew_ratio),
            grouped(shard.distinct_keys),
            grouped(shard.distinct_clients),
        );
    }
    if report.shards.len() > 1 && report.shards.iter().all(|shard| shard.signals.is_none()) {
        let _ = writeln!(
            out,
            "\nCompared by what the windows saw, not by the servers' own counters."
        );
    }
}

fn diagnoses(out: &mut String, report: &Report) {
    for diagnosis in &report.diagnosis {
        let _ = writeln!(out, "\n**{}**\n", plain(&diagnosis.sentence()));
        for text in &diagnosis.evidence {
            let _ = writeln!(out, "- {}", plain(text));
        }
        if let Some(trust) = standing::trust(diagnosis, report) {
            let _ = writeln!(out, "- {}", plain(&trust));
        }
        for text in &diagnosis.advice {
            let _ = writeln!(out, "- → {}", plain(text));
        }
    }
}

fn details(out: &mut String, shard: &ShardReport, entries: Option<NonZeroUsize>) {
    let _ = writeln!(out, "\n## {}\n", plain(shard.shard.as_str()));
    let _ = writeln!(
        out,
        "{} on {} in {}.",
        plural(shard.commands, "command"),
        code(shard.node.as_str()),
        span(shard.duration_seconds)
    );
    if let Some(hint) = &shard.coverage_hint {
        let _ = writeln!(out, "\nIts window {}.", plain(hint));
    }
    if let Some(bytes_out) = &shard.bytes_out {
        let _ = writeln!(out, "\n{}.", plain(&output(bytes_out)));
    }
    let bounded = |count: u64, error: u64| {
        if error > 0 {
            format!("≤ {}", grouped(count))
        } else {
            grouped(count)
        }
    };
    let sent = |part: &OutputShare| (code(&part.name), part.share, Bytes(part.bytes).to_string());
    let output = || shard.bytes_out.iter();
    table(
        out,
        ("key pattern by bytes out", "bytes"),
        entries,
        output().flat_map(|output| &output.by_pattern).map(sent),
    );
    table(
        out,
        ("signature by bytes out", "bytes"),
        entries,
        output().flat_map(|output| &output.by_signature).map(sent),
    );
    table(
        out,
        ("key pattern", "count"),
        entries,
        shard
            .patterns
            .iter()
            .map(|part| (code(&part.pattern), part.share, bounded(part.count, part.error))),
    );
    table(
        out,
        ("key", "count"),
        entries,
        shard
            .keys
            .iter()
            .map(|part| (code(&part.key), part.share, bounded(part.count, part.error))),
    );
    table(
        out,
        ("hash tag", "count"),
        entries,
        shard
            .hash_tags
            .iter()
            .map(|part| (code(&part.hash_tag), part.share, bounded(part.count, part.error))),
    );
    table(
        out,
        ("command", "count"),
        entries,
        shard
            .commands_by_name
            .iter()
            .map(|part| (code(&part.command), part.share, grouped(part.count))),
    );
    let signature = |name: &str, full: bool| format!("{}{}", code(name), if full { " **reads all**" } else { "" });
    table(
        out,
        ("signature", "count"),
        entries,
        shard.signatures.iter().map(|part| {
            (
                signature(&part.signature, part.full_scan),
                part.share,
                grouped(part.count),
            )
        }),
    );
    table(
        out,
        ("slot", "count"),
        entries,
        shard
            .slots
            .iter()
            .map(|part| (part.slot.to_string(), part.share, grouped(part.count))),
    );
    table(
        out,
        ("client", "count"),
        entries,
        shard
            .clients
            .iter()
            .map(|part| (code(&part.client), part.share, grouped(part.count))),
    );
}

fn table(
    out: &mut String,
    (title, unit): (&str, &str),
    entries: Option<NonZeroUsize>,
    rows: impl Iterator<Item = (String, f64, String)>,
) {
    let mut rows = worth(rows, |(_, share, _)| *share, ROWS, entries).peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n| {title} | share | {unit} |\n|---|--:|--:|");
    for (name, share, count) in rows {
        let _ = writeln!(out, "| {name} | {} | {count} |", percent(share));
    }
}

/// Text with nothing that Markdown would act on.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in harmless(text).chars() {
        if matches!(
            letter,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&'
        ) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A code span within a table: fenced by more backticks than it holds, and `|` escaped, which tables demand even there.
fn code(text: &str) -> String {
    let text = harmless(text).replace('|', "\\|");
    if text.is_empty() {
        return "(empty)".into();
    }
    let longest = text
        .split(|letter| letter != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    if longest > 0 {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}
