//! The scenario "turns": several processes that want one lock, and what their turns say together.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{PATIENCE, Process, Program};
use crate::statistics::{jain, percentile, sorted};

/// One turn at the lock, in microseconds of a clock that all processes of the machine share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    pub begun: f64,
    pub acquired: f64,
    /// When release was called: until then nobody else may have the lock.
    pub released: f64,
}

/// What one process did.
struct Report {
    /// When its window began.
    start: f64,
    turns: Vec<Turn>,
    /// How long it had waited when it gave up, after the window.
    given_up: Option<f64>,
}

/// Runs so many processes at once; returns the figures of them all.
pub fn run(
    program: &Program,
    arguments: &[String],
    processes: usize,
    seconds: f64,
) -> Result<Value, String> {
    let mut crew = (0..processes)
        .map(|_| ready(program, arguments))
        .collect::<Result<Vec<Process>, String>>()?;
    for process in &mut crew {
        process.say("go")?;
    }
    let patience = Duration::from_secs_f64(seconds) + PATIENCE;
    let reports = crew
        .iter()
        .map(|process| report(&process.object(patience)?))
        .collect::<Result<Vec<Report>, String>>()?;
    figures(&reports, seconds)
}

/// One after the other: sixteen virtual machines that start at once would keep each other from it.
fn ready(program: &Program, arguments: &[String]) -> Result<Process, String> {
    let process = program.start(arguments)?;
    process.await_ready()?;
    Ok(process)
}

fn report(object: &Value) -> Result<Report, String> {
    let turns = object["turns"].as_array().and_then(|turns| {
        let turns = turns.iter().map(turn);
        turns.collect::<Option<Vec<Turn>>>()
    });
    match (object["start_us"].as_f64(), turns) {
        (Some(start), Some(turns)) => Ok(Report {
            start,
            turns,
            given_up: given_up(&object["given_up"]),
        }),
        _ => Err("a process printed something else than its turns".to_owned()),
    }
}

fn given_up(pair: &Value) -> Option<f64> {
    Some(pair[1].as_f64()? - pair[0].as_f64()?)
}

fn turn(triple: &Value) -> Option<Turn> {
    Some(Turn {
        begun: triple[0].as_f64()?,
        acquired: triple[1].as_f64()?,
        released: triple[2].as_f64()?,
    })
}

/// A turn counts for the pace when it was acquired within the window. A wait counts when it touches the window, so that
/// one that fills it is not left out; nor is one that was given up in the end.
fn figures(reports: &[Report], seconds: f64) -> Result<Value, String> {
    let start = reports
        .iter()
        .map(|report| report.start)
        .fold(0.0, f64::max);
    let end = start + seconds * 1e6;
    let per_process: Vec<f64> = reports
        .iter()
        .map(|report| acquired_within(&report.turns, start, end) as f64)
        .collect();
    let turns: f64 = per_process.iter().sum();
    let all: Vec<Turn> = reports
        .iter()
        .flat_map(|report| report.turns.clone())
        .collect();
    let touching = all
        .iter()
        .filter(|turn| turn.acquired >= start && turn.begun < end);
    let given_up = reports.iter().filter_map(|report| report.given_up);
    let waits = touching.map(|turn| turn.acquired - turn.begun);
    let waits = sorted(waits.chain(given_up));
    if waits.is_empty() {
        return Err("nobody wanted the lock in the window".to_owned());
    }
    let occupied: f64 = all.iter().map(|turn| inside_within(turn, start, end)).sum();
    let inside = sorted(all.iter().map(|turn| turn.released - turn.acquired));
    Ok(json!({
        "turns_per_s": turns / seconds,
        "jain": jain(&per_process),
        "wait_p50_us": percentile(&waits, 0.5),
        "wait_p99_us": percentile(&waits, 0.99),
        "longest_wait_us": percentile(&waits, 1.0),
        "inside_p50_us": percentile(&inside, 0.5),
        "occupied": occupied / (end - start),
        "overlaps": overlaps(all),
        "waits_us": waits,
    }))
}

fn acquired_within(turns: &[Turn], start: f64, end: f64) -> usize {
    let within = |turn: &&Turn| turn.acquired >= start && turn.acquired < end;
    turns.iter().filter(within).count()
}

/// How much of the window somebody was inside for this turn. All turns together fill it at most, as they exclude each other.
fn inside_within(turn: &Turn, start: f64, end: f64) -> f64 {
    (turn.released.min(end) - turn.acquired.max(start)).max(0.0)
}

/// How many turns began while another's holder had not called release yet: how often exclusion was violated.
fn overlaps(mut turns: Vec<Turn>) -> usize {
    turns.sort_by(|a, b| a.acquired.total_cmp(&b.acquired));
    let mut held_until = f64::NEG_INFINITY;
    let mut count = 0;
    for turn in turns {
        count += usize::from(turn.acquired < held_until);
        held_until = held_until.max(turn.released);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(begun: f64, acquired: f64, released: f64) -> Turn {
        Turn {
            begun,
            acquired,
            released,
        }
    }

    #[test]
    fn turns_one_after_the_other_do_not_overlap() {
        assert_eq!(overlaps(vec![]), 0);
        let touching = vec![turn(0.0, 10.0, 20.0), turn(0.0, 20.0, 30.0)];
        assert_eq!(overlaps(touching), 0);
    }

    #[test]
    fn overlaps_are_found_in_any_order_and_within_a_long_turn() {
        let long = turn(0.0, 10.0, 100.0);
        let inside = [turn(0.0, 20.0, 30.0), turn(0.0, 40.0, 50.0)];
        assert_eq!(overlaps(vec![inside[1], long, inside[0]]), 2);
        assert_eq!(overlaps(vec![inside[1], inside[0]]), 0);
    }

    #[test]
    fn a_printed_report_is_read() {
        let object = json!({"start_us": 5, "turns": [[1, 2, 3]], "given_up": [4, 9]});
        let read = report(&object).unwrap();
        assert_eq!(read.start, 5.0);
        assert_eq!(read.given_up, Some(5.0));
        assert_eq!(read.turns, [turn(1.0, 2.0, 3.0)]);
        assert!(report(&json!({"start_us": 5, "turns": [[1, 2]]})).is_err());
        assert!(report(&json!({"pairs": 5})).is_err());
    }

    #[test]
    fn the_window_is_common_and_long_waits_count() {
        let early = Report {
            start: 1e6,
            // Before the window; across its beginning; within it; waiting at its end.
            turns: vec![
                turn(0.0, 0.5e6, 0.6e6),
                turn(0.6e6, 2.1e6, 2.2e6),
                turn(2.2e6, 2.3e6, 2.4e6),
                turn(2.4e6, 9e6, 9.1e6),
            ],
            given_up: None,
        };
        let late = Report {
            start: 2e6,
            turns: vec![turn(2.5e6, 2.6e6, 2.7e6)],
            given_up: Some(8e6),
        };
        let figures = figures(&[early, late], 1.0).unwrap();
        assert_eq!(figures["turns_per_s"], 3.0);
        assert_eq!(figures["jain"], 0.9);
        assert_eq!(figures["longest_wait_us"], 8e6);
        assert_eq!(figures["waits_us"].as_array().unwrap().len(), 5);
        assert_eq!(figures["overlaps"], 0);
        assert_eq!(figures["occupied"], 0.3);
    }

    #[test]
    fn only_what_is_within_the_window_occupies_it() {
        let occupied = |turn| inside_within(&turn, 10.0, 20.0);
        assert_eq!(occupied(turn(0.0, 5.0, 9.0)), 0.0);
        assert_eq!(occupied(turn(0.0, 5.0, 12.0)), 2.0);
        assert_eq!(occupied(turn(0.0, 18.0, 25.0)), 2.0);
        assert_eq!(occupied(turn(0.0, 5.0, 25.0)), 10.0);
        assert_eq!(occupied(turn(0.0, 21.0, 25.0)), 0.0);
    }
}
