//! Charts as SVG, drawn by hand: no script, colours by the page's style sheet, legible in print.

use std::fmt::Write as _;

use super::figure::{deviation, fitted, percent};
use super::html::escaped;
use super::standing;
use crate::analysis::report::{Report, ShardReport};
use crate::analysis::status::{Signal, Status};
use crate::model::Slot;

/// Page units; the drawing scales to the page.
pub(super) const WIDTH: f64 = 960.0;
const ROW: f64 = 30.0;
const LABEL: f64 = 190.0;

/// The class of a status in the style sheet.
pub(super) fn heat(status: Status) -> &'static str {
    match status {
        Status::VeryHot => "very-hot",
        Status::Hot => "hot",
        Status::Normal => "normal",
        Status::Cold => "cold",
        Status::Idle => "idle",
        Status::Unknown => "unknown",
    }
}

/// What each shard does in a signal, with the mean of all as a line.
pub(super) fn load(report: &Report, signal: Signal) -> String {
    let loads = report.shards.iter().map(|shard| standing::load(shard, signal));
    let rates: Vec<f64> = loads.flatten().collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    if rates.len() < 2 || most <= 0.0 {
        return String::new();
    }
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let room = WIDTH - LABEL - 190.0;
    let bottom = 26.0 + ROW * report.shards.len() as f64;
    let title = match signal {
        Signal::Commands => "Commands a second by shard, against the mean",
        Signal::BytesOut => "Bytes out a second by shard, against the mean",
        Signal::Cpu => "Cores of each shard's busiest node, against the mean",
    };
    let mut svg = open(title, bottom + 4.0);
    for (index, shard) in report.shards.iter().enumerate() {
        let y = 26.0 + ROW * index as f64;
        let load = standing::load(shard, signal);
        let length = room * load.unwrap_or_default() / most;
        let _ = write!(
            svg,
            r#"<text class="name" x="{x:.0}" y="{base:.1}" text-anchor="end">{name}</text><rect class="bar {class}" x="{LABEL}" y="{top:.1}" width="{length:.1}" height="20" rx="3"/><text x="{after:.1}" y="{base:.1}">{amount} <tspan class="quiet">{deviation}</tspan></text>"#,
            x = LABEL - 12.0,
            base = y + 15.0,
            top = y,
            name = escaped(&fitted(shard.shard.as_str(), 24)),
            class = heat(standing::of(&shard.status, signal)),
            after = LABEL + length.max(room * mean / most + 4.0) + 10.0,
            amount = standing::amount(signal, load),
            deviation = deviation(standing::deviation_ratio(shard, signal)),
        );
    }
    let x = LABEL + room * mean / most;
    let _ = write!(
        svg,
        r#"<line class="mean" x1="{x:.1}" x2="{x:.1}" y1="18" y2="{bottom:.1}"/><text class="quiet" x="{x:.1}" y="12" text-anchor="middle">{name}, mean {mean}</text></svg>"#,
        name = standing::name(signal),
        mean = standing::amount(signal, Some(mean)),
    );
    svg
}

/// Where on the circle of slots the touches fall: each of the heaviest slots at its place.
pub(super) fn slots(shard: &ShardReport) -> String {
    let most = shard.slots.iter().map(|slot| slot.share).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let place = |slot: f64| WIDTH * slot / f64::from(Slot::COUNT);
    let mut svg = open("The heaviest slots, at their places from 0 to 16383", 78.0);
    let _ = write!(
        svg,
        r#"<rect class="track" x="0" y="16" width="{WIDTH}" height="44" rx="3"/>"#
    );
    for slot in shard.slots.iter().rev() {
        let height = (44.0 * slot.share / most).max(2.0);
        let _ = write!(
            svg,
            r#"<rect class="slot" x="{x:.1}" y="{y:.1}" width="3" height="{height:.1}"><title>slot {number}: {share}</title></rect>"#,
            x = place(f64::from(slot.slot)).min(WIDTH - 3.0),
            y = 60.0 - height,
            number = slot.slot,
            share = percent(slot.share),
        );
    }
    if let Some(heaviest) = shard.slots.first() {
        let x = place(f64::from(heaviest.slot));
        let anchor = if x < 90.0 {
            "start"
        } else if x > WIDTH - 90.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            svg,
            r#"<text x="{x:.1}" y="11" text-anchor="{anchor}">slot {} · {}</text>"#,
            heaviest.slot,
            percent(heaviest.share),
        );
    }
    marks(&mut svg, 75.0);
    svg.push_str("</svg>");
    svg
}

/// Numbers of slots below a strip.
pub(super) fn marks(svg: &mut String, base: f64) {
    for mark in [0_u16, 4096, 8192, 12_288, 16_383] {
        let anchor = match mark {
            0 => "start",
            16_383 => "end",
            _ => "middle",
        };
        let _ = write!(
            svg,
            r#"<text class="quiet" x="{:.1}" y="{base:.0}" text-anchor="{anchor}">{mark}</text>"#,
            WIDTH * f64::from(mark) / f64::from(Slot::COUNT)
        );
    }
}

/// A share as a bar, for a table's cell.
pub(super) fn share(part: f64) -> String {
    let class = match part {
        part if part >= 0.5 => "most",
        part if part >= 0.2 => "much",
        _ => "some",
    };
    format!(
        r#"<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10"/><rect class="{class}" width="{:.2}" height="10"/></svg>"#,
        (part.clamp(0.0, 1.0) * 100.0).max(0.5)
    )
}

/// The beginning of a chart so high.
pub(super) fn open(title: &str, height: f64) -> String {
    format!(r#"<svg class="chart" viewBox="0 0 {WIDTH} {height:.0}" role="img"><title>{title}</title>"#)
}
