//! Rows with named columns, as a query gives them, in each format.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use super::Format;

/// Narrower columns are hard to read: a line that goes on below is easier.
const COLUMN_MIN: usize = 10;

/// The rows in that format; it ends with a line end. A table is fitted into `width`, if there is one, and each row is one line otherwise.
pub fn rows(columns: &[String], rows: &[Vec<Value>], format: Format, width: Option<usize>) -> String {
    match format {
        Format::Table => table(columns, rows, width),
        Format::Json => format!("{:#}\n", json(columns, rows)),
        Format::Csv => csv(columns, rows),
        Format::Markdown => markdown(columns, rows),
        Format::Html => html(columns, rows),
    }
}

/// The rows as a list of objects.
pub fn json(columns: &[String], rows: &[Vec<Value>]) -> Value {
    let object =
        |row: &Vec<Value>| Value::Object(columns.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>());
    rows.iter().map(object).collect()
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn table(columns: &[String], rows: &[Vec<Value>], width: Option<usize>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = width.filter(|width| *width >= COLUMN_MIN * columns.len()) {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    table.set_header(columns);
    for row in rows {
        // A terminal obeys control characters; keys are an attacker's choice.
        table.add_row(
            row.iter()
                .map(|value| shown(value).replace(char::is_control, "\u{fffd}")),
        );
    }
    format!("{table}\n")
}

fn csv(columns: &[String], rows: &[Vec<Value>]) -> String {
    let mut text = String::new();
    let mut line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    };
    line(columns.to_vec());
    for row in rows {
        line(row.iter().map(shown).collect());
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn markdown(columns: &[String], rows: &[Vec<Value>]) -> String {
    let escaped = |cell: &str| cell.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ");
    let line = |cells: Vec<String>| {
        format!(
            "| {} |\n",
            cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | ")
        )
    };
    let mut text = line(columns.to_vec());
    text.push_str(&format!("|{}\n", "---|".repeat(columns.len())));
    for row in rows {
        text.push_str(&line(row.iter().map(shown).collect()));
    }
    text
}

fn html(columns: &[String], rows: &[Vec<Value>]) -> String {
    let escaped = |cell: &str| cell.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let cells = |tag: &str, cells: Vec<String>| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let mut text = String::from("<!doctype html>\n<meta charset=\"utf-8\">\n<title>hotshard</title>\n<table>\n");
    text.push_str(&cells("th", columns.to_vec()));
    for row in rows {
        text.push_str(&cells("td", row.iter().map(shown).collect()));
    }
    // Writing to a String can't fail.
    let _ = writeln!(text, "</table>");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(format: Format, expected: &str) {
        let columns = ["key".to_owned(), "count".to_owned()];
        let given = [vec![json!("a|\"b\",<c>"), json!(3)], vec![json!(null), json!(0.5)]];
        assert_eq!(rows(&columns, &given, format, None), expected);
    }

    #[test]
    fn whatever_stands_in_a_cell_stays_in_it() {
        check(Format::Csv, "key,count\n\"a|\"\"b\"\",<c>\",3\n,0.5\n");
        check(
            Format::Markdown,
            "| key | count |\n|---|---|\n| a\\|\"b\",<c> | 3 |\n|  | 0.5 |\n",
        );
        check(
            Format::Html,
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>hotshard</title>\n<table>\n<tr><th>key</th><th>count</th></tr>\n\
             <tr><td>a|\"b\",&lt;c&gt;</td><td>3</td></tr>\n<tr><td></td><td>0.5</td></tr>\n</table>\n",
        );
    }

    #[test]
    fn a_terminal_is_not_told_to_do_anything() {
        let text = rows(&["key".into()], &[vec![json!("\u{1b}[2J")]], Format::Table, None);
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_table_is_fitted_into_a_terminal_and_into_nothing_else() {
        // How many lines there are, and how long the longest is.
        let check = |columns: usize, width: Option<usize>, expected: (usize, usize)| {
            let names: Vec<String> = (0..columns).map(|number| format!("column_{number:02}")).collect();
            let row = vec![json!("x".repeat(30)); columns];
            let text = rows(&names, &[row], Format::Table, width);
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert_eq!((text.lines().count(), longest.unwrap_or_default()), expected, "{text}");
        };
        check(4, None, (5, 4 * 33 + 1));
        check(4, Some(200), (5, 4 * 33 + 1));
        check(4, Some(69), (7, 69));
        // Columns of a letter each are no table.
        check(20, Some(100), (5, 20 * 33 + 1));
    }
}
