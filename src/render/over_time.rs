//! The load over the time of the windows, and the slots with their owners: charts of the whole group.

use std::fmt::Write as _;

use chrono::DateTime;

use super::chart::{WIDTH, heat, marks, open};
use super::figure::{fitted, rate};
use super::html::escaped;
use super::standing;
use crate::analysis::report::{Report, ShardReport};
use crate::model::Slot;

/// More lines than this can't be told apart.
const SERIES_MAX: usize = 12;

const HEIGHT: f64 = 190.0;
const TOP: f64 = 14.0;
const FOOT: f64 = 22.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;

/// Commands a second of each shard over the time of the windows, the hottest shards on top.
pub(super) fn timeline(report: &Report) -> String {
    let series: Vec<Series<'_>> = report.shards.iter().take(SERIES_MAX).filter_map(Series::of).collect();
    let Some(scale) = Scale::of(&series) else {
        return String::new();
    };
    let mut svg = open("Commands a second of each shard over time", HEIGHT);
    scale.axes(&mut svg);
    let mut labels = Vec::new();
    for line in series.iter().rev() {
        let points = line.points.iter();
        let path: Vec<String> = points
            .map(|(at, rate)| format!("{:.1},{:.1}", scale.x(*at), scale.y(*rate)))
            .collect();
        let _ = write!(
            svg,
            r#"<polyline class="series {class}" points="{path}"><title>{name}</title></polyline>"#,
            class = heat(line.shard.status.commands),
            path = path.join(" "),
            name = escaped(line.shard.shard.as_str()),
        );
        labels.extend(line.points.last().map(|(_, rate)| (scale.y(*rate) + 4.0, line.shard)));
    }
    label(&mut svg, labels);
    svg.push_str("</svg>");
    svg
}

/// A shard's line: seconds since the epoch, and commands a second.
struct Series<'a> {
    shard: &'a ShardReport,
    points: Vec<(f64, f64)>,
}

impl<'a> Series<'a> {
    fn of(shard: &'a ShardReport) -> Option<Self> {
        let seconds = |text: &str| {
            let moment = DateTime::parse_from_rfc3339(text).ok()?;
            Some(moment.timestamp_millis() as f64 / 1000.0)
        };
        let points = shard.timeline.iter();
        let points: Vec<(f64, f64)> = points
            .filter_map(|point| Some((seconds(&point.at)?, point.commands_per_second)))
            .collect();
        (points.len() > 1).then_some(Self { shard, points })
    }
}

/// What lies where.
struct Scale {
    first: f64,
    last: f64,
    most: f64,
}

impl Scale {
    /// `None` where there is nothing to draw.
    fn of(series: &[Series<'_>]) -> Option<Self> {
        let points = || series.iter().flat_map(|series| &series.points);
        let scale = Self {
            first: points().map(|(at, _)| *at).fold(f64::INFINITY, f64::min),
            last: points().map(|(at, _)| *at).fold(f64::NEG_INFINITY, f64::max),
            most: points().map(|(_, rate)| *rate).fold(0.0, f64::max),
        };
        (scale.last > scale.first && scale.most > 0.0).then_some(scale)
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at - self.first) / (self.last - self.first)
    }

    fn y(&self, rate: f64) -> f64 {
        TOP + (HEIGHT - TOP - FOOT) * (1.0 - rate / self.most)
    }

    fn axes(&self, svg: &mut String) {
        for part in [0.0, 0.5, 1.0] {
            let _ = write!(
                svg,
                r#"<line class="axis" x1="{LEFT}" x2="{end:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="quiet" x="{before:.1}" y="{base:.1}" text-anchor="end">{rate}</text>"#,
                end = WIDTH - RIGHT,
                at = self.y(self.most * part),
                before = LEFT - 8.0,
                base = self.y(self.most * part) + 4.0,
                rate = rate(Some(self.most * part)),
            );
        }
        for (at, anchor) in [(self.first, "start"), (self.last, "end")] {
            let _ = write!(
                svg,
                r#"<text class="quiet" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{:.0} s</text>"#,
                self.x(at),
                HEIGHT - 4.0,
                at - self.first
            );
        }
    }
}

/// The names at the ends of the lines, pushed upwards where one would lie on another.
fn label(svg: &mut String, mut labels: Vec<(f64, &ShardReport)>) {
    labels.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut free = HEIGHT - FOOT + 4.0;
    for (wanted, shard) in labels {
        let at = wanted.min(free);
        free = at - 15.0;
        let _ = write!(
            svg,
            r#"<text class="{class}" x="{x:.0}" y="{at:.1}">{name}</text>"#,
            class = heat(shard.status.commands),
            x = WIDTH - RIGHT + 8.0,
            name = escaped(&fitted(shard.shard.as_str(), 18)),
        );
    }
}

/// Slots 0 to 16383 with their owners, and above them the heaviest by their commands a second.
pub(super) fn owners(report: &Report) -> String {
    let owned = || {
        let known = report.shards.iter();
        known.filter_map(|shard| Some((shard, shard.slot_ranges.as_ref()?)))
    };
    if owned().all(|(_, ranges)| ranges.is_empty()) {
        return String::new();
    }
    let mut svg = open("Slots from 0 to 16383 with their owners, and the heaviest slots", 92.0);
    heaviest(&mut svg, report);
    for (shard, ranges) in owned() {
        for range in ranges {
            owner(&mut svg, shard, *range);
        }
    }
    marks(&mut svg, 84.0);
    svg.push_str("</svg>");
    svg
}

fn heaviest(svg: &mut String, report: &Report) {
    let of_shard = |shard: &ShardReport| {
        let all = shard.commands_per_second.unwrap_or_default();
        let loads = shard.slots.iter().map(|slot| (slot.slot, slot.share * all));
        loads.collect::<Vec<_>>()
    };
    let heavy: Vec<(u16, f64)> = report.shards.iter().flat_map(of_shard).collect();
    let most = heavy.iter().map(|(_, load)| *load).fold(0.0, f64::max);
    for (slot, load) in heavy.iter().filter(|_| most > 0.0) {
        let height = (34.0 * load / most).max(1.0);
        let _ = write!(
            svg,
            r#"<rect class="slot" x="{x:.1}" y="{y:.1}" width="2.5" height="{height:.1}"><title>slot {slot}: {load}</title></rect>"#,
            x = place(*slot).min(WIDTH - 2.5),
            y = 38.0 - height,
            load = rate(Some(*load)),
        );
    }
}

fn owner(svg: &mut String, shard: &ShardReport, (first, last): (u16, u16)) {
    let (from, to) = (place(first), place(last.saturating_add(1)));
    let name = shard.shard.as_str();
    let _ = write!(
        svg,
        r#"<rect class="owner {class}" x="{from:.1}" y="40" width="{width:.1}" height="26"><title>{whole}: {first}–{last}</title></rect>"#,
        class = heat(standing::hottest(shard)),
        width = to - from,
        whole = escaped(name),
    );
    // A letter takes about eight units.
    let letters = ((to - from - 10.0) / 8.0).max(0.0) as usize;
    if letters >= 3 {
        let _ = write!(
            svg,
            r#"<text class="within" x="{:.1}" y="58" text-anchor="middle">{}</text>"#,
            f64::midpoint(from, to),
            escaped(&fitted(name, letters)),
        );
    }
}

fn place(slot: u16) -> f64 {
    WIDTH * f64::from(slot) / f64::from(Slot::COUNT)
}
