//! A report as text, Markdown, JSON, CSV or HTML: one file per format, all showing the same. Pure: a report in, a text out.
//!
//! It refuses to know where a report came from, and whether there is a terminal: width and colour are told.

mod chart;
mod csv;
mod figure;
mod html;
mod json;
mod markdown;
mod over_time;
mod rows;
mod standing;
mod text;

use std::num::NonZeroUsize;

use clap::ValueEnum;

pub use rows::{json as rows_as_json, rows};

use crate::analysis::report::Report;

/// A form in which a report can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for a terminal
    #[default]
    Table,
    /// The whole report, for programs
    Json,
    /// One row for each entry, for spreadsheets
    Csv,
    /// For tickets and chats
    Markdown,
    /// One page with charts, for people who weren't there
    Html,
}

/// What text is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How many columns there are.
    pub width: usize,
    /// Whether there are colours.
    pub colour: bool,
    /// Entries of each list, also small ones; unsaid, as many as are easily read.
    pub entries: Option<NonZeroUsize>,
}

impl Default for Look {
    /// A pipe or a file.
    fn default() -> Self {
        Self {
            width: 100,
            colour: false,
            entries: None,
        }
    }
}

/// The first entries of a list: as many as are asked for, else so many, of which those below one in a hundred are shown only if there are
/// few others.
fn worth<Entry>(
    entries: impl Iterator<Item = Entry>,
    share: impl Fn(&Entry) -> f64,
    usual: usize,
    wanted: Option<NonZeroUsize>,
) -> impl Iterator<Item = Entry> {
    let ranked = entries.take(wanted.map_or(usual, NonZeroUsize::get)).enumerate();
    let shown = ranked.filter(move |(rank, entry)| wanted.is_some() || *rank < 3 || share(entry) >= 0.01);
    shown.map(|(_, entry)| entry)
}

/// The report in that format; it ends with a line end.
pub fn render(report: &Report, format: Format, look: Look) -> String {
    match format {
        Format::Table => text::render(report, look),
        Format::Json => json::render(report),
        Format::Csv => csv::render(report),
        Format::Markdown => markdown::render(report, look.entries),
        Format::Html => html::render(report, look.entries),
    }
}

#[cfg(test)]
mod tests;
