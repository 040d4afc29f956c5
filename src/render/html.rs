//! One page that needs nothing else: no script, no network, light or dark as the reader likes, and fit for print.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use super::chart;
use super::figure::{deviation, grouped, harmless, moment, output, percent, plural, rate, short, span, times};
use super::over_time;
use super::{standing, worth};
use crate::analysis::report::{Report, ShardReport};
use crate::analysis::status::Signal;
use crate::model::Bytes;

const STYLE: &str = include_str!("report.css");

/// Entries of each list.
const ROWS: usize = 12;

pub(super) fn render(report: &Report, entries: Option<NonZeroUsize>) -> String {
    let group = escaped(report.group.as_str());
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{group}: which shard is hot</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    head(&mut out, report, &group);
    diagnoses(&mut out, report);
    overview(&mut out, report);
    for shard in &report.shards {
        details(&mut out, shard, entries);
    }
    for missing in &report.missing {
        let _ = writeln!(
            out,
            "<p><strong>{}</strong> is missing: {}</p>",
            escaped(missing.shard.as_str()),
            escaped(&missing.reason)
        );
    }
    let _ = writeln!(
        out,
        "<footer>hotshard {}</footer>\n</main>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// Text within an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in harmless(text).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn head(out: &mut String, report: &Report, group: &str) {
    let totals = &report.totals;
    let when = match (&report.started_at, &report.ended_at) {
        (Some(started), Some(ended)) => format!("{} – {} UTC", moment(started), moment(ended)),
        _ => "nothing seen".into(),
    };
    let region = match report.region.as_str() {
        "" => String::new(),
        region => format!(" <span class=\"quiet\">{}</span>", escaped(region)),
    };
    let _ = writeln!(
        out,
        "<header><h1>{group}{region}</h1><p class=\"quiet\">{when}</p></header>"
    );
    let mut tiles = vec![
        (short(totals.commands as f64), "commands"),
        (rate(totals.commands_per_second), "all shards"),
        (
            grouped(report.shards.len() as u64),
            if report.shards.len() == 1 { "shard" } else { "shards" },
        ),
        (span(totals.duration_seconds), "observed"),
    ];
    if totals.rejected_lines > 0 {
        tiles.push((short(totals.rejected_lines as f64), "lines not understood"));
    }
    out.push_str("<ul class=\"tiles\">");
    for (figure, caption) in tiles {
        let _ = write!(out, "<li><b>{figure}</b><span>{caption}</span></li>");
    }
    out.push_str("</ul>\n");
}

fn overview(out: &mut String, report: &Report) {
    if report.shards.len() < 2 {
        return;
    }
    out.push_str("<section><h2>Load of the shards</h2>");
    for signal in Signal::ALL {
        // Of signals in which nothing is hot the table below says enough.
        let is_hot = |shard: &ShardReport| standing::of(&shard.status, signal).is_hot();
        if signal == Signal::Commands || report.shards.iter().any(is_hot) {
            out.push_str(&chart::load(report, signal));
        }
    }
    shards(out, report);
    let over_time = over_time::timeline(report);
    if !over_time.is_empty() {
        let _ = writeln!(
            out,
            "<h3>Commands a second over the time of the windows</h3>{over_time}"
        );
    }
    let owners = over_time::owners(report);
    if !owners.is_empty() {
        let _ = writeln!(out, "<h3>Slots, their owners, and the heaviest of them</h3>{owners}");
    }
    if report.shards.iter().all(|shard| shard.signals.is_none()) {
        out.push_str("<p class=\"quiet\">Compared by what the windows saw, not by the servers’ own counters.</p>\n");
    }
    out.push_str("</section>\n");
}

fn shards(out: &mut String, report: &Report) {
    let beside = standing::BESIDE.iter().filter(|_| standing::has_signals(report));
    out.push_str("\n<table><thead><tr><th>shard</th><th>status</th><th class=\"n\">commands</th><th class=\"n\">from the mean</th><th class=\"n\">skew</th>");
    for signal in beside.clone() {
        let _ = write!(out, "<th class=\"n\">{}</th>", standing::name(*signal));
    }
    out.push_str("<th class=\"n\">keys</th><th class=\"n\">clients</th></tr></thead><tbody>\n");
    for shard in &report.shards {
        let _ = write!(
            out,
            "<tr><td class=\"name\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
            escaped(shard.shard.as_str()),
            badge(shard),
            rate(standing::load(shard, Signal::Commands)),
            deviation(shard.deviation_ratio),
            times(shard.skew_ratio),
        );
        for signal in beside.clone() {
            let _ = write!(
                out,
                "<td class=\"n {}\">{}</td>",
                chart::heat(standing::of(&shard.status, *signal)),
                standing::amount(*signal, standing::load(shard, *signal)),
            );
        }
        let _ = writeln!(
            out,
            "<td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            grouped(shard.distinct_keys),
            grouped(shard.distinct_clients),
        );
    }
    out.push_str("</tbody></table>\n");
}

fn badge(shard: &ShardReport) -> String {
    let verdict = standing::verdict_or_unknown(shard);
    let heat = chart::heat(standing::hottest(shard));
    format!("<span class=\"badge {heat}\">{verdict}</span>")
}

fn diagnoses(out: &mut String, report: &Report) {
    for diagnosis in &report.diagnosis {
        let _ = writeln!(
            out,
            "<section class=\"diagnosis\"><h2>{}</h2><ul>",
            escaped(&diagnosis.sentence())
        );
        for text in &diagnosis.evidence {
            let _ = writeln!(out, "<li>{}</li>", escaped(text));
        }
        if let Some(trust) = standing::trust(diagnosis, report) {
            let _ = writeln!(out, "<li class=\"quiet\">{}</li>", escaped(&trust));
        }
        for text in &diagnosis.advice {
            let _ = writeln!(out, "<li class=\"advice\">{}</li>", escaped(text));
        }
        out.push_str("</ul></section>\n");
    }
}

fn details(out: &mut String, shard: &ShardReport, entries: Option<NonZeroUsize>) {
    let verdict = match standing::verdict(shard) {
        None => String::new(),
        Some(_) => format!(" {}", badge(shard)),
    };
    let _ = writeln!(
        out,
        "<section class=\"shard\"><h2>{}{verdict}</h2>",
        escaped(shard.shard.as_str())
    );
    let _ = writeln!(
        out,
        "<p class=\"quiet\">{} on {} in {}; {} different keys, {}</p>",
        plural(shard.commands, "command"),
        escaped(shard.node.as_str()),
        span(shard.duration_seconds),
        short(shard.distinct_keys as f64),
        plural(shard.distinct_clients, "client"),
    );
    if let Some(hint) = &shard.coverage_hint {
        let _ = writeln!(out, "<p>Its window {}.</p>", escaped(hint));
    }
    if let Some(bytes_out) = &shard.bytes_out {
        let _ = writeln!(out, "<p class=\"quiet\">{}</p>", escaped(&output(bytes_out)));
    }
    let strip = chart::slots(shard);
    if !strip.is_empty() {
        let _ = writeln!(out, "<h3>Slots</h3>{strip}");
    }
    out.push_str("<div class=\"lists\">\n");
    let code = |text: &str| format!("<code>{}</code>", escaped(text));
    let bounded = |count: u64, error: u64| {
        if error > 0 {
            format!("≤ {}", grouped(count))
        } else {
            grouped(count)
        }
    };
    let signature = |name: &str, full: bool| {
        let mark = if full {
            " <span class=\"badge hot\">reads all</span>"
        } else {
            ""
        };
        format!("{}{mark}", code(name))
    };
    let by_pattern = shard.bytes_out.iter().flat_map(|bytes_out| &bytes_out.by_pattern);
    list(
        out,
        ("Key patterns by bytes out", true),
        entries,
        by_pattern.map(|part| (code(&part.name), part.share, Bytes(part.bytes).to_string())),
    );
    let by_signature = shard.bytes_out.iter().flat_map(|bytes_out| &bytes_out.by_signature);
    list(
        out,
        ("Signatures by bytes out", true),
        entries,
        by_signature.map(|part| (code(&part.name), part.share, Bytes(part.bytes).to_string())),
    );
    list(
        out,
        ("Key patterns by commands", true),
        entries,
        shard
            .patterns
            .iter()
            .map(|part| (code(&part.pattern), part.share, bounded(part.count, part.error))),
    );
    list(
        out,
        ("Keys", true),
        entries,
        shard
            .keys
            .iter()
            .map(|part| (code(&part.key), part.share, bounded(part.count, part.error))),
    );
    list(
        out,
        ("Signatures", true),
        entries,
        shard.signatures.iter().map(|part| {
            (
                signature(&part.signature, part.full_scan),
                part.share,
                grouped(part.count),
            )
        }),
    );
    list(
        out,
        ("Hash tags", false),
        entries,
        shard
            .hash_tags
            .iter()
            .map(|part| (code(&part.hash_tag), part.share, bounded(part.count, part.error))),
    );
    list(
        out,
        ("Commands", false),
        entries,
        shard
            .commands_by_name
            .iter()
            .map(|part| (code(&part.command), part.share, grouped(part.count))),
    );
    list(
        out,
        ("Clients", false),
        entries,
        shard
            .clients
            .iter()
            .map(|part| (code(&part.client), part.share, grouped(part.count))),
    );
    out.push_str("</div></section>\n");
}

fn list(
    out: &mut String,
    (title, wide): (&str, bool),
    entries: Option<NonZeroUsize>,
    rows: impl Iterator<Item = (String, f64, String)>,
) {
    let mut rows = worth(rows, |(_, share, _)| *share, ROWS, entries).peekable();
    if rows.peek().is_none() {
        return;
    }
    let class = if wide { " class=\"wide\"" } else { "" };
    let _ = writeln!(out, "<div{class}><h3>{title}</h3><table><tbody>");
    for (name, share, count) in rows {
        let _ = writeln!(
            out,
            "<tr><td class=\"name\">{name}</td><td class=\"bar\">{}</td><td class=\"n\">{}</td><td class=\"n quiet\">{count}</td></tr>",
            chart::share(share),
            percent(share)
        );
    }
    out.push_str("</tbody></table></div>\n");
}
