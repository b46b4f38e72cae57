//! The table of results, as aligned Markdown: for the terminal and for the documentation.

use crate::records::Record;

const HEADINGS: [&str; 9] = [
    "scenario", "metric", "ours", "other", "theirs", "ratio", "min-max", "target", "met",
];

/// The table, one line a record.
pub fn render(records: &[Record]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(records.iter().map(cells));
    let widths: [usize; 9] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, &widths)).collect();
    lines.insert(
        1,
        format!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|")),
    );
    lines.join("\n") + "\n"
}

fn cells(record: &Record) -> [String; 9] {
    let met = record
        .met()
        .map_or("", |met| if met { "yes" } else { "NO" });
    [
        record.scenario.to_owned(),
        record.metric.to_owned(),
        rounded(record.ours),
        record.other.clone(),
        rounded(record.theirs),
        ratio(record.ratio),
        format!("{}-{}", ratio(record.spread.0), ratio(record.spread.1)),
        record.target_text().unwrap_or_default(),
        met.to_owned(),
    ]
}

/// Text to the left, figures to the right.
fn line(row: &[String; 9], widths: &[usize; 9]) -> String {
    let figure = |column| matches!(column, 2 | 4 | 5 | 6);
    let cells = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| {
            if figure(column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// A ratio with two digits that matter, however small it is.
fn ratio(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let leading_zeros = (-value.abs().log10().floor()).clamp(1.0, 9.0) as usize;
    format!("{value:.*}", leading_zeros + 1)
}

/// A figure with about three digits that matter, and a comma at the thousands.
fn rounded(value: f64) -> String {
    if value.abs() < 1.0 && value != 0.0 {
        return format!("{value:.3}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
