//! Text for a terminal, and for whatever reads a pipe: the same lines without colour.

mod ink;
mod lists;

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use super::figure::{
    deviation, fitted, grouped, harmless, moment, output, percent, plural, rate, short, span, status, times, wrapped,
};
use super::{Look, standing};
use crate::analysis::report::{Report, ShardReport};
use crate::analysis::status::{Signal, Status};
use ink::{bar, heat_style, share_style};
use lists::{Entry, Rows, lists};

/// Below this width names are cut rather than lines shortened further.
const WIDTH_MIN: usize = 60;

/// Wider lines are harder to read.
const WIDTH_MAX: usize = 132;

/// From here on all signals stand beside each other.
const WIDTH_OF_SIGNALS: usize = 80;

/// Columns of the table of shards without names and bars.
const FIGURES: usize = 38;

/// Columns of the other signals there.
const FIGURES_BESIDE: usize = 24;

/// Entries of each list for the hottest shard, and for the others.
const ROWS: (usize, usize) = (10, 5);

pub(super) fn render(report: &Report, look: Look) -> String {
    let width = look.width.clamp(WIDTH_MIN, WIDTH_MAX);
    let page = Page {
        width,
        bar: ((width - 40) / 4).clamp(8, 18),
        colour: look.colour,
    };
    let mut out = String::new();
    page.head(&mut out, report);
    page.diagnoses(&mut out, report);
    page.overview(&mut out, report);
    for (index, shard) in report.shards.iter().enumerate() {
        let rows = if index == 0 { ROWS.0 } else { ROWS.1 };
        page.shard(&mut out, shard, (rows, look.entries));
    }
    for missing in &report.missing {
        let text = format!("{} is missing: {}", missing.shard, missing.reason);
        for line in wrapped(&harmless(&text), width) {
            page.line(&mut out, &line);
        }
    }
    out
}

struct Page {
    width: usize,
    /// Columns of a bar.
    bar: usize,
    colour: bool,
}

impl Page {
    fn paint(&self, text: &str, style: Style) -> String {
        if self.colour {
            text.style(style).to_string()
        } else {
            text.into()
        }
    }

    fn dim(&self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    fn bold(&self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    fn line(&self, out: &mut String, text: &str) {
        let _ = writeln!(out, "{}", text.trim_end());
    }

    fn head(&self, out: &mut String, report: &Report) {
        let totals = &report.totals;
        let place = match report.region.as_str() {
            "" => harmless(report.group.as_str()),
            region => format!("{} ({region})", harmless(report.group.as_str())),
        };
        let place = fitted(&place, self.width);
        let when = match (&report.started_at, &report.ended_at) {
            (Some(started), Some(ended)) => format!("{} – {} UTC", moment(started), &moment(ended)[11..]),
            _ => "nothing seen".into(),
        };
        let gap = if place.chars().count() + when.chars().count() + 2 <= self.width {
            "  "
        } else {
            "\n"
        };
        self.line(out, &format!("{}{gap}{}", self.bold(&place), self.dim(&when)));
        let mut figures = vec![
            plural(totals.commands, "command"),
            rate(totals.commands_per_second),
            plural(report.shards.len() as u64, "shard"),
            span(totals.duration_seconds),
        ];
        if totals.rejected_lines > 0 {
            figures.push(format!("{} not understood", plural(totals.rejected_lines, "line")));
        }
        for line in joined(&figures, self.width) {
            self.line(out, &line);
        }
        let _ = writeln!(out);
    }

    fn overview(&self, out: &mut String, report: &Report) {
        if report.shards.len() < 2 {
            return;
        }
        let names = report
            .shards
            .iter()
            .map(|shard| harmless(shard.shard.as_str()).chars().count())
            .max();
        // On a narrow terminal names are worth more than bars, and more than signals that the sentences above name.
        let beside = self.width >= WIDTH_OF_SIGNALS && standing::has_signals(report);
        let taken = if beside { FIGURES + FIGURES_BESIDE } else { FIGURES };
        let names = names.unwrap_or_default().clamp(5, self.width - taken);
        let bar_width = self.bar.min(self.width - taken - names);
        let mut header = format!(
            "{:names$}  {:8} {:>9}  {:bar_width$}  {:>7} {:>6}",
            "SHARD", "STATUS", "COMMANDS", "", "vs MEAN", "SKEW"
        );
        if beside {
            let _ = write!(header, "  {:>10}  {:>10}", "BYTES OUT", "CPU");
        }
        self.line(out, &self.dim(&header));
        let loads = report
            .shards
            .iter()
            .map(|shard| standing::load(shard, Signal::Commands));
        let most = loads.flatten().fold(0.0, f64::max);
        for shard in &report.shards {
            let load = standing::load(shard, Signal::Commands);
            let part = load.filter(|_| most > 0.0).map_or(0.0, |rate| rate / most);
            let mut line = format!(
                "{:names$}  {} {:>9}  {}  {:>7} {:>6}",
                fitted(&harmless(shard.shard.as_str()), names),
                self.status(standing::hottest(shard)),
                rate(load),
                self.paint(&bar(part, bar_width), heat_style(shard.status.commands)),
                deviation(shard.deviation_ratio),
                times(shard.skew_ratio),
            );
            for signal in standing::BESIDE.into_iter().filter(|_| beside) {
                let _ = write!(line, "  {}", self.beside(shard, signal));
            }
            self.line(out, &line);
        }
        if report.shards.iter().all(|shard| shard.signals.is_none()) {
            self.line(
                out,
                &self.dim("compared by what the windows saw, not by server counters"),
            );
        }
        let _ = writeln!(out);
    }

    /// A signal's rate, in the colour of its status where that is hot.
    fn beside(&self, shard: &ShardReport, signal: Signal) -> String {
        let amount = format!("{:>10}", standing::amount(signal, standing::load(shard, signal)));
        let heat = standing::of(&shard.status, signal);
        if heat.is_hot() {
            self.paint(&amount, heat_style(heat))
        } else {
            amount
        }
    }

    fn status(&self, heat: Status) -> String {
        self.paint(&format!("{:8}", status(heat)), heat_style(heat))
    }

    fn diagnoses(&self, out: &mut String, report: &Report) {
        for diagnosis in &report.diagnosis {
            for line in wrapped(&harmless(&diagnosis.sentence()), self.width) {
                self.line(out, &self.bold(&line));
            }
            let texts = diagnosis.evidence.iter().map(|text| ("· ", text));
            let trust = standing::trust(diagnosis, report);
            let texts = texts.chain(trust.iter().map(|text| ("· ", text)));
            for (mark, text) in texts.chain(diagnosis.advice.iter().map(|text| ("→ ", text))) {
                for (index, line) in wrapped(&harmless(text), self.width - 4).iter().enumerate() {
                    self.line(out, &format!("  {}{line}", if index == 0 { mark } else { "  " }));
                }
            }
            let _ = writeln!(out);
        }
    }

    fn shard(&self, out: &mut String, shard: &ShardReport, rows: Rows) {
        self.rule(out, shard);
        let mut facts = vec![
            plural(shard.commands, "command"),
            format!("in {}", span(shard.duration_seconds)),
        ];
        facts.push(format!("{} keys", short(shard.distinct_keys as f64)));
        facts.push(plural(shard.distinct_clients, "client"));
        if let Some(part) = shard.completeness_ratio {
            facts.push(format!("{} complete", percent(part)));
        }
        if let Some(coverage) = shard.coverage {
            let part = |share: Option<f64>| share.map_or("unknown".into(), percent);
            facts.push(format!(
                "saw {} of reads, {} of writes",
                part(coverage.reads),
                part(coverage.writes)
            ));
        }
        for line in joined(&facts, self.width) {
            self.line(out, &self.dim(&line));
        }
        for line in shard
            .coverage_hint
            .iter()
            .flat_map(|hint| wrapped(&harmless(&format!("its window {hint}")), self.width))
        {
            self.line(out, &line);
        }
        for line in shard
            .bytes_out
            .iter()
            .flat_map(|bytes_out| wrapped(&harmless(&output(bytes_out)), self.width))
        {
            self.line(out, &self.dim(&line));
        }
        let _ = writeln!(out);
        for (title, entries) in lists(shard, rows) {
            self.list(out, title, &entries);
        }
    }

    /// `── 0001 · very hot ───────`
    fn rule(&self, out: &mut String, shard: &ShardReport) {
        let heat = standing::hottest(shard);
        let verdict = match standing::verdict(shard) {
            None => String::new(),
            Some(known) => format!(" · {known}"),
        };
        let room = self.width.saturating_sub(verdict.chars().count() + 8);
        let name = fitted(&harmless(shard.shard.as_str()), room);
        let node = if shard.node.as_str() == shard.shard.as_str() {
            String::new()
        } else {
            format!(" on {}", harmless(shard.node.as_str()))
        };
        let node = fitted(&node, room.saturating_sub(name.chars().count()));
        let used = 4 + name.chars().count() + node.chars().count() + verdict.chars().count();
        let line = format!(
            "{} {}{}{} {}",
            self.dim("──"),
            self.bold(&name),
            self.dim(&node),
            self.paint(&verdict, heat_style(heat)),
            self.dim(&"─".repeat(self.width.saturating_sub(used)))
        );
        self.line(out, &line);
    }

    /// Figures first: names differ in length, and their ends may be cut.
    fn list(&self, out: &mut String, title: &str, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        let room = self.width - self.bar - 24;
        self.line(out, &self.bold(title));
        for entry in entries {
            let mark = entry.mark.map_or(String::new(), |mark| format!("  {mark}"));
            let name = fitted(&entry.name, room - mark.chars().count());
            let used = name.chars().count() + mark.chars().count();
            let count = match (entry.amount, entry.error) {
                (Some(amount), _) => amount.to_string(),
                (None, 0) => grouped(entry.count),
                _ => format!("≤{}", grouped(entry.count)),
            };
            let line = format!(
                "  {:>6}  {}  {}  {name}{}{}",
                percent(entry.share),
                self.paint(&bar(entry.share, self.bar), share_style(entry.share)),
                self.dim(&format!("{count:>10}")),
                self.paint(&mark, Style::new().yellow()),
                self.dim(&example(entry, room - used)),
            );
            self.line(out, &line);
        }
        let _ = writeln!(out);
    }
}

/// A key behind its pattern, where there is room and it says more than the pattern.
fn example(entry: &Entry, room: usize) -> String {
    let Some(key) = entry.example.as_deref().filter(|key| *key != entry.name) else {
        return String::new();
    };
    let text = format!("  e.g. {}", harmless(key));
    if text.chars().count() <= room {
        text
    } else {
        String::new()
    }
}

/// Facts on as few lines as they fit on.
fn joined(facts: &[String], width: usize) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for fact in facts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + fact.chars().count() + 3 <= width => {
                line.push_str(" · ");
                line.push_str(fact);
            }
            _ => lines.push(fact.clone()),
        }
    }
    lines
}
