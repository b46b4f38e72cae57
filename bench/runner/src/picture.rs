//! The picture of waiting times: a row for each subject, its turns over a logarithmic axis, as SVG.

use std::fmt::Write;

use crate::axis::{Axis, duration};
use crate::rounds::Results;
use crate::scenarios::Scenario;
use crate::statistics::{percentile, sorted};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 150.0;
const PLOT: f64 = 520.0;
const TOP: f64 = 112.0;
const ROW: f64 = 62.0;
/// How high the tallest part of a row is.
const BAR: f64 = 46.0;
const PARTS_PER_DECADE: usize = 16;

/// It has a ground of its own, light or dark as the reader's system is, so that it is readable on any page.
const STYLE: &str = "\
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .name { font-weight: 600 }
  .soft { fill: #59636e }
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  .grid { stroke: #d1d9e0 }
  .ours { fill: #1a7f37 }
  .peer { fill: #6a85b0 }
  .median { stroke: #1f2328; stroke-width: 2 }
  .longest { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .ground { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #3d444d }
    .ours { fill: #3fb950 }
    .peer { fill: #7d94c4 }
    .median { stroke: #f0f6fc }
    .longest { fill: #ff7b72 }
  }
";

/// The waits of one subject over all rounds, in rising order.
struct Row {
    label: &'static str,
    waits: Vec<f64>,
}

/// A picture, and in words what it shows.
pub struct Picture {
    pub svg: String,
    pub text: String,
}

/// The picture of a scenario whose runs say their waits; none when no run did.
pub fn draw(scenario: &Scenario, results: &Results) -> Option<Picture> {
    let rows: Vec<Row> = scenario
        .subjects
        .iter()
        .map(|subject| row(subject.label, results))
        .filter(|row| !row.waits.is_empty())
        .collect();
    if rows.is_empty() {
        return None;
    }
    let text: Vec<String> = rows.iter().map(Row::words).collect();
    Some(Picture {
        svg: svg(&rows, &text.join("; ")),
        text: text.join("; "),
    })
}

fn row(label: &'static str, results: &Results) -> Row {
    let runs = results.get(label).into_iter().flatten().flatten();
    let waits = runs.filter_map(|run| run["waits_us"].as_array()).flatten();
    Row {
        label,
        waits: sorted(waits.filter_map(serde_json::Value::as_f64)),
    }
}

impl Row {
    fn median(&self) -> f64 {
        percentile(&self.waits, 0.5)
    }

    fn most(&self) -> f64 {
        percentile(&self.waits, 0.99)
    }

    fn longest(&self) -> f64 {
        percentile(&self.waits, 1.0)
    }

    fn words(&self) -> String {
        format!(
            "{}: median {}, 99 % within {}, longest {}",
            self.label,
            duration(self.median()),
            duration(self.most()),
            duration(self.longest())
        )
    }

    fn class(&self) -> &'static str {
        if self.label == "ours" { "ours" } else { "peer" }
    }
}

fn svg(rows: &[Row], words: &str) -> String {
    let waits = rows.iter().flat_map(|row| row.waits.iter().copied());
    let axis = Axis::over(waits, LEFT, PLOT);
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 56.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>Waiting times for a contended lock</title>\n\
         <desc>{words}</desc>\n<style>\n{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    svg += &head();
    svg += &grid(&axis, bottom);
    for (i, row) in rows.iter().enumerate() {
        svg += &drawn(row, &axis, TOP + ROW * (i + 1) as f64);
    }
    svg + "</svg>\n"
}

/// Title and legend.
fn head() -> String {
    let mut head = text(
        "title",
        20.0,
        32.0,
        "How long a turn at a contended lock is waited for",
    );
    head += &text(
        "soft",
        20.0,
        54.0,
        "16 processes want one lock over five masters, each stays 2 ms inside; all turns of all processes",
    );
    let mut key = |x: f64, sign: &str, words: &str| {
        _ = writeln!(head, "<g transform=\"translate({x} 80)\">{sign}</g>");
        head += &text("soft", x + 18.0, 85.0, words);
    };
    let square = |class| format!("<rect class=\"{class}\" y=\"-6\" width=\"12\" height=\"12\"/>");
    key(20.0, &square("ours"), "libredlock, in order of arrival");
    key(232.0, &square("peer"), "others");
    key(310.0, "<path class=\"median\" d=\"M6 -8V8\"/>", "median");
    key(390.0, DIAMOND, "longest wait");
    key(
        505.0,
        "",
        "height: share of turns, each row to its own scale",
    );
    head
}

const DIAMOND: &str = "<path class=\"longest\" d=\"M6 -6L12 0L6 6L0 0Z\"/>";

fn grid(axis: &Axis, bottom: f64) -> String {
    let mut grid = String::new();
    for tick in axis.ticks() {
        let x = axis.place(tick);
        _ = writeln!(grid, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
        let label = duration(tick);
        _ = writeln!(
            grid,
            "<text class=\"soft\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 20.0
        );
    }
    let middle = LEFT + PLOT / 2.0;
    _ = writeln!(
        grid,
        "<text class=\"soft\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">waiting time, from asking for the lock to \
         having it</text>",
        bottom + 42.0
    );
    grid
}

/// One row, standing on `base`.
fn drawn(row: &Row, axis: &Axis, base: f64) -> String {
    let mut drawn = format!(
        "<path class=\"grid\" d=\"M{LEFT} {base}H{}\"/>\n",
        LEFT + PLOT
    );
    _ = writeln!(
        drawn,
        "<path class=\"{}\" d=\"{}\"/>",
        row.class(),
        steps(&axis.histogram(&row.waits, PARTS_PER_DECADE), base)
    );
    let (median, longest) = (axis.place(row.median()), axis.place(row.longest()));
    _ = writeln!(
        drawn,
        "<path class=\"median\" d=\"M{median:.1} {base}v-{BAR}\"/>"
    );
    _ = writeln!(
        drawn,
        "<g transform=\"translate({:.1} {})\">{DIAMOND}</g>",
        longest - 6.0,
        base - 7.0
    );
    drawn += &text("name", 20.0, base - 18.0, row.label);
    let right = LEFT + PLOT + 20.0;
    let words = |name, wait| format!("{name} {}", duration(wait));
    drawn += &text("soft", right, base - 37.0, &words("median", row.median()));
    drawn += &text(
        "soft",
        right,
        base - 21.0,
        &words("99 % within", row.most()),
    );
    drawn + &text("soft", right, base - 5.0, &words("longest", row.longest()))
}

/// The outline of a histogram; the tallest part has the height of a bar.
fn steps(counts: &[f64], base: f64) -> String {
    let tallest = counts.iter().copied().fold(1.0, f64::max);
    let width = PLOT / counts.len() as f64;
    let mut path = format!("M{LEFT} {base}");
    for (i, count) in counts.iter().enumerate() {
        let top = base - BAR * count / tallest;
        _ = write!(path, "V{top:.1}H{:.1}", LEFT + width * (i + 1) as f64);
    }
    path + &format!("V{base}Z")
}

fn text(class: &str, x: f64, y: f64, words: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_one_closed_outline_as_high_as_a_bar() {
        let path = steps(&[0.0, 4.0, 2.0, 0.0], 100.0);
        let right = LEFT + PLOT;
        assert!(path.starts_with("M150 100V100.0H280.0V54.0H410.0V77.0"));
        assert!(path.ends_with(&format!("H{right:.1}V100Z")));
    }
}
