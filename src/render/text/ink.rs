//! How much something is, and how hot, as it is drawn: bars and colours. It refuses to know what is drawn so.

use owo_colors::Style;

use crate::analysis::status::Status;

/// A bar of so many columns, drawn to an eighth of one.
pub(super) fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let least = usize::from(share > 0.0 && columns > 0);
    let eighths = eighths.max(least);
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    let drawn = text.chars().count();
    text.push_str(&" ".repeat(columns.saturating_sub(drawn)));
    text
}

pub(super) fn heat_style(status: Status) -> Style {
    match status {
        Status::VeryHot => Style::new().red().bold(),
        Status::Hot => Style::new().yellow().bold(),
        Status::Normal => Style::new().green(),
        Status::Cold => Style::new().blue(),
        Status::Idle | Status::Unknown => Style::new().dimmed(),
    }
}

pub(super) fn share_style(share: f64) -> Style {
    match share {
        share if share >= 0.5 => Style::new().red(),
        share if share >= 0.2 => Style::new().yellow(),
        _ => Style::new().cyan(),
    }
}
