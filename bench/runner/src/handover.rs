//! The scenario "handover": two processes that hand one lock to each other, the one asleep while the other holds it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{PATIENCE, Process, Program};
use crate::statistics::{percentile, sorted};

/// For how long the waiter waits, at least and at most, before the lock is given: long enough that it is asleep.
const ASLEEP_MS: (f64, f64) = (5.0, 60.0);

/// So many come first and do not count.
const WARM: usize = 10;

/// Hands the lock to and fro until the window is over, but at least so often; returns the times from the call of release
/// to the waiter's return.
pub fn run(
    program: &Program,
    arguments: &[String],
    least: usize,
    seconds: f64,
) -> Result<Value, String> {
    let mut pair = [program.start(arguments)?, program.start(arguments)?];
    for process in &pair {
        process.await_ready()?;
    }
    for process in &mut pair {
        process.say("go")?;
    }
    let [holder, _] = &mut pair;
    holder.say("take")?;
    moment(holder)?;
    for i in 0..WARM {
        hand_over(&mut pair, i)?;
    }
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut times = Vec::new();
    while times.len() < least || Instant::now() < end {
        times.push(hand_over(&mut pair, times.len())?);
    }
    Ok(figures(times))
}

/// The first of the pair gives the lock to the second; then they change places.
fn hand_over(pair: &mut [Process; 2], index: usize) -> Result<f64, String> {
    let [holder, waiter] = pair;
    waiter.say("take")?;
    std::thread::sleep(asleep(index));
    holder.say("give")?;
    let (given, taken) = (moment(holder)?, moment(waiter)?);
    pair.swap(0, 1);
    Ok(taken - given)
}

/// Spread evenly and without a pattern over the bounds: multiples of the golden ratio, modulo 1.
fn asleep(index: usize) -> Duration {
    let (shortest, longest) = ASLEEP_MS;
    let share = (index as f64 * 0.618_033_988_749_895).fract();
    Duration::from_secs_f64((shortest + share * (longest - shortest)) / 1e3)
}

/// The moment that the process says, in microseconds of a clock that both share.
fn moment(process: &Process) -> Result<f64, String> {
    let line = process.line(PATIENCE)?;
    line.parse()
        .map_err(|_| format!("expected a time, got {line:?}"))
}

/// A waiter that has the lock before its holder called release has it too early.
fn figures(times: Vec<f64>) -> Value {
    let overlaps = times.iter().filter(|time| **time < 0.0).count();
    let times = sorted(times.into_iter());
    json!({
        "hand_overs": times.len(),
        "p50_us": percentile(&times, 0.5),
        "p90_us": percentile(&times, 0.9),
        "p99_us": percentile(&times, 0.99),
        "overlaps": overlaps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waiter_sleeps_within_the_bounds_and_all_over_them() {
        let rests: Vec<f64> = (0..200).map(|i| asleep(i).as_secs_f64() * 1e3).collect();
        assert!(rests.iter().all(|rest| (5.0..=60.0).contains(rest)));
        for tenth in 0..10 {
            let (from, to) = (5.0 + 5.5 * f64::from(tenth), 10.5 + 5.5 * f64::from(tenth));
            let within = rests
                .iter()
                .filter(|rest| (from..to).contains(*rest))
                .count();
            assert!((15..=25).contains(&within), "{within} of 200 in a tenth");
        }
    }

    #[test]
    fn a_lock_that_comes_too_early_is_a_violation() {
        let figures = figures(vec![300.0, -5.0, 100.0]);
        assert_eq!(figures["overlaps"], 1);
        assert_eq!(figures["p50_us"], 100.0);
        assert_eq!(figures["hand_overs"], 3);
    }
}
