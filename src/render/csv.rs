//! One flat table: a row for each figure of a shard and for each entry of its lists.

use crate::analysis::report::{Report, ShardReport};

pub(super) fn render(report: &Report) -> String {
    let mut table = Table(String::from("shard,list,name,count,error,share,detail\n"));
    for shard in &report.shards {
        summary(&mut table, shard);
        entries(&mut table, shard);
    }
    for missing in &report.missing {
        table.row(missing.shard.as_str(), "missing", &missing.reason, Figures::default());
    }
    for diagnosis in &report.diagnosis {
        let figures = Figures {
            share: diagnosis.share,
            detail: diagnosis.sentence(),
            ..Figures::default()
        };
        table.row(diagnosis.shard.as_str(), "diagnosis", diagnosis.cause.kind(), figures);
    }
    table.0
}

/// The cells after a row's name; an empty cell is unknown, or makes no sense there.
#[derive(Default)]
struct Figures {
    count: Option<f64>,
    error: Option<u64>,
    share: Option<f64>,
    detail: String,
}

impl Figures {
    fn of(count: u64, error: u64, share: f64) -> Self {
        Self {
            count: Some(count as f64),
            error: Some(error),
            share: Some(share),
            detail: String::new(),
        }
    }

    fn detail(mut self, detail: impl ToString) -> Self {
        self.detail = detail.to_string();
        self
    }
}

struct Table(String);

impl Table {
    fn row(&mut self, shard: &str, list: &str, name: &str, figures: Figures) {
        let number = |figure: Option<f64>| figure.map_or(String::new(), |figure| figure.to_string());
        let cells = [
            cell(shard),
            list.into(),
            cell(name),
            number(figures.count),
            figures.error.map_or(String::new(), |error| error.to_string()),
            number(figures.share),
            cell(&figures.detail),
        ];
        self.0.push_str(&cells.join(","));
        self.0.push('\n');
    }
}

fn summary(table: &mut Table, shard: &ShardReport) {
    let figures = [
        ("commands", Some(shard.commands as f64)),
        ("commands_per_second", shard.commands_per_second),
        ("duration_seconds", Some(shard.duration_seconds)),
        ("deviation_ratio", shard.deviation_ratio),
        ("skew_ratio", shard.skew_ratio),
        ("completeness_ratio", shard.completeness_ratio),
        ("distinct_keys", Some(shard.distinct_keys as f64)),
        ("distinct_clients", Some(shard.distinct_clients as f64)),
    ];
    for (name, count) in figures {
        let row = Figures {
            count,
            ..Figures::default()
        };
        table.row(shard.shard.as_str(), "summary", name, row);
    }
    let verdict = Figures::default().detail(shard.status.commands.kind());
    table.row(shard.shard.as_str(), "summary", "status", verdict);
}

fn entries(table: &mut Table, shard: &ShardReport) {
    let name = shard.shard.as_str();
    for part in &shard.commands_by_name {
        table.row(name, "commands", &part.command, Figures::of(part.count, 0, part.share));
    }
    if let Some(bytes_out) = &shard.bytes_out {
        let lists = [
            ("bytes_out_patterns", &bytes_out.by_pattern),
            ("bytes_out_commands", &bytes_out.by_command),
            ("bytes_out_signatures", &bytes_out.by_signature),
            ("bytes_out_keys", &bytes_out.by_key),
        ];
        for (list, parts) in lists {
            for part in parts {
                table.row(name, list, &part.name, Figures::of(part.bytes, 0, part.share));
            }
        }
    }
    for part in &shard.patterns {
        let figures = Figures::of(part.count, part.error, part.share).detail(&part.example_key);
        table.row(name, "patterns", &part.pattern, figures);
    }
    for part in &shard.signatures {
        let detail = if part.full_scan { "full_scan" } else { "" };
        table.row(
            name,
            "signatures",
            &part.signature,
            Figures::of(part.count, 0, part.share).detail(detail),
        );
    }
    for part in &shard.keys {
        let figures = Figures::of(part.count, part.error, part.share).detail(part.slot);
        table.row(name, "keys", &part.key, figures);
    }
    for part in &shard.hash_tags {
        table.row(
            name,
            "hash_tags",
            &part.hash_tag,
            Figures::of(part.count, part.error, part.share),
        );
    }
    for part in &shard.slots {
        table.row(
            name,
            "slots",
            &part.slot.to_string(),
            Figures::of(part.count, 0, part.share),
        );
    }
    for part in &shard.clients {
        table.row(name, "clients", &part.client, Figures::of(part.count, 0, part.share));
    }
}

/// Quoted where it must be. A text that a spreadsheet would take for a formula gets an apostrophe: keys are written by strangers.
fn cell(text: &str) -> String {
    let guarded = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if guarded.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", guarded.replace('"', "\"\""));
    }
    guarded
}
