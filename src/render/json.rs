//! The report as it is: the contract of `docs/report.schema.json`.

use crate::analysis::report::Report;

pub(super) fn render(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report has neither maps with odd keys nor failing fields");
    text.push('\n');
    text
}
