//! OpenMetrics 1.0.0 from gathered families, which the Prometheus crate can't write.
//!
//! It refuses to know where the families come from.

use std::io::Write;

use prometheus::proto::{MetricFamily, MetricType};

/// Appends the families and the mark of the end. Families other than counters and gauges don't occur here.
pub(super) fn encode(families: &[MetricFamily], page: &mut Vec<u8>) {
    for family in families {
        write_family(family, page).expect("writing to memory doesn't fail");
    }
    page.extend_from_slice(b"# EOF\n");
}

fn write_family(family: &MetricFamily, page: &mut Vec<u8>) -> std::io::Result<()> {
    let counter = family.get_field_type() == MetricType::COUNTER;
    let (stem, kind, suffix) = match family.name().strip_suffix("_total") {
        Some(stem) if counter => (stem, "counter", "_total"),
        _ => (family.name(), "gauge", ""),
    };
    writeln!(page, "# TYPE {stem} {kind}")?;
    if let Some(unit) = ["_seconds", "_bytes", "_ratio"]
        .into_iter()
        .find(|unit| stem.ends_with(unit))
    {
        writeln!(page, "# UNIT {stem} {}", &unit[1..])?;
    }
    writeln!(page, "# HELP {stem} {}", escaped(family.help()))?;
    for series in family.get_metric() {
        write!(page, "{stem}{suffix}")?;
        for (index, label) in series.get_label().iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(page, "{before}{}=\"{}\"", label.name(), escaped(label.value()))?;
        }
        if !series.get_label().is_empty() {
            page.push(b'}');
        }
        let value = if counter {
            series.get_counter().get_value()
        } else {
            series.get_gauge().get_value()
        };
        writeln!(page, " {value}")?;
    }
    Ok(())
}

fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return text.into();
    }
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .into()
}
