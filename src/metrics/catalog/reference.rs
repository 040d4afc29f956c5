//! The reference page of the metrics, written from the catalogue: `UPDATE_EXPECT=1 cargo test reference_page` renews it.

use std::fmt::Write;

use super::{Metric, SUBJECTS, Unit};

const BEGINNING: &str = "# Metrics

Written from the catalogue in `src/metrics/catalog`; a test holds it to that. Base units, ratios instead of percentages.
A figure that isn't known is absent, never zero. A series whose labels are gone is gone at the next scrape.

Rates of what windows observed are the increase of a counter over the increase of `hotshard_observed_seconds_total`:
`rate(hotshard_observed_pattern_commands_total[1h]) / on (region, replication_group, shard) group_left rate(hotshard_observed_seconds_total[1h])`.
Bytes out are estimated only of windows that ended as planned, so `hotshard_observed_pattern_output_bytes_total` is divided by
`hotshard_observed_output_seconds_total`.

Counters count from hotshard's start and are its own sums of differences, so a restart or a failover of a server never looks like load.
Those with an `end`, and `hotshard_windows_skipped_total` with a reason of hotshard's own, begin at 0, so that `increase` has the first event, too.
What servers and networks refuse with (`hotshard_node_poll_failures_total`, and skipped windows for such a reason) has a series from its first time on:
twenty of them for each of 500 nodes would be 10,000 that hardly ever count. Who doesn't want to miss the first one asks
`increase(x[1h]) > 0 or (x unless x offset 1h)`.

Beside these stand the usual `process_` metrics (CPU, memory, open files, threads, start time).
";

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for (heading, metrics) in SUBJECTS {
        write!(
            page,
            "\n## {heading}\n\n| name | kind | unit | labels | what it says |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for metric in metrics {
            writeln!(page, "{}", row(metric)).unwrap();
        }
    }
    page
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.label_names().iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |",
        metric.full_name(),
        metric.kind.as_str(),
        unit(metric),
        labels.join(" "),
        metric.help
    )
}

fn unit(metric: &Metric) -> String {
    match metric.unit {
        Unit::Count("discovery") => "discoveries".to_owned(),
        Unit::Count("push") => "pushes".to_owned(),
        Unit::Count(thing) => format!("{thing}s"),
        Unit::Flag => "0 or 1".to_owned(),
        Unit::Ratio => "ratio".to_owned(),
        Unit::Seconds => "seconds".to_owned(),
        Unit::Bytes => "bytes".to_owned(),
        Unit::PerSecond(thing) => format!("{thing}s a second"),
        Unit::BytesPerSecond => "bytes a second".to_owned(),
    }
}

#[test]
fn reference_page_says_what_the_catalogue_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    expect_test::expect_file![file].assert_eq(&page());
}
