//! Lines of the result: ours, theirs, their ratio, and whether it is as asked for.

use serde_json::{Value, json};

use crate::rounds::Results;
use crate::scenarios::{Comparison, Other, Scenario, Target};
use crate::statistics::{median, sorted};

/// One comparison, measured.
pub struct Record {
    pub scenario: &'static str,
    pub metric: &'static str,
    /// Median over the rounds.
    pub ours: f64,
    pub other: String,
    /// Median over the rounds, or the limit.
    pub theirs: f64,
    /// Median of the ratios of the rounds, each of two runs side by side.
    pub ratio: f64,
    /// The smallest and the largest of those ratios.
    pub spread: (f64, f64),
    pub target: Option<Target>,
}

impl Record {
    /// Whether the ratio is as asked for; `None` when nothing is asked.
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(bound) => self.ratio <= bound,
            Target::AtLeast(bound) => self.ratio >= bound,
        })
    }

    /// The target as text: `<= 1.35`.
    pub fn target_text(&self) -> Option<String> {
        self.target.map(|target| match target {
            Target::AtMost(bound) => format!("<= {bound}"),
            Target::AtLeast(bound) => format!(">= {bound}"),
        })
    }

    /// The record as it stands in results.json.
    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "metric": self.metric,
            "ours": self.ours,
            "other": self.other,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "ratio_min": self.spread.0,
            "ratio_max": self.spread.1,
            "target": self.target_text(),
            "met": self.met(),
        })
    }
}

/// The comparisons of a scenario for which there are figures.
pub fn records(scenario: &Scenario, results: &Results) -> Vec<Record> {
    let record = |comparison| record(scenario, comparison, results);
    scenario.comparisons.iter().filter_map(record).collect()
}

fn record(scenario: &Scenario, comparison: &Comparison, results: &Results) -> Option<Record> {
    let metric = comparison.metric;
    let ours = results.get(scenario.subjects.first()?.label)?;
    let (other, pairs): (String, Vec<(f64, f64)>) = match comparison.other {
        Other::Subject(label) => {
            let theirs = results.get(label)?;
            let both = ours
                .iter()
                .zip(theirs)
                .filter_map(|(a, b)| Some((figure(a, metric)?, figure(b, metric)?)));
            (label.to_owned(), both.collect())
        }
        Other::Limit(limit) => {
            let figures = ours
                .iter()
                .filter_map(|run| Some((figure(run, metric)?, limit)));
            ("limit".to_owned(), figures.collect())
        }
    };
    if pairs.is_empty() {
        return None;
    }
    let ratios = sorted(pairs.iter().map(|(a, b)| a / b));
    Some(Record {
        scenario: scenario.name,
        metric,
        ours: median(&sorted(pairs.iter().map(|pair| pair.0))),
        other,
        theirs: median(&sorted(pairs.iter().map(|pair| pair.1))),
        ratio: median(&ratios),
        spread: (ratios[0], ratios[ratios.len() - 1]),
        target: comparison.target,
    })
}

fn figure(run: &Option<Value>, metric: &str) -> Option<f64> {
    run.as_ref()?[metric].as_f64()
}
