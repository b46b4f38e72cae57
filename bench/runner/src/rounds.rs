//! Runs a scenario's subjects in turn, round by round, on the same servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, wait_until};

use crate::builds::Programs;
use crate::handover;
use crate::scenarios::{Runs, Scenario, Subject};
use crate::turns;

/// For each subject what it printed in each round; `None` where it failed or took no part.
pub type Results = BTreeMap<&'static str, Vec<Option<Value>>>;

/// Runs the scenario. Each round begins with another subject, so that none always follows the same one.
pub fn run(scenario: &Scenario, programs: &Programs, cluster: &Cluster) -> Results {
    let mut results = Results::new();
    let rounds = scenario
        .subjects
        .iter()
        .map(|subject| subject.rounds)
        .max()
        .unwrap_or(0);
    for round in 0..rounds {
        eprintln!("{}: round {} of {rounds}", scenario.name, round + 1);
        let count = scenario.subjects.len();
        for turn in 0..count {
            let subject = &scenario.subjects[(round + turn) % count];
            let value = if round < subject.rounds {
                run_one(subject, programs, cluster, round)
            } else {
                None
            };
            results.entry(subject.label).or_default().push(value);
        }
    }
    results
}

fn run_one(
    subject: &Subject,
    programs: &Programs,
    cluster: &Cluster,
    round: usize,
) -> Option<Value> {
    // Which nodes hang changes from round to round: no program may owe its figure to the order of its nodes.
    let hung = |i: usize| &cluster[(round + i) % cluster.len()];
    let program = &programs[subject.program];
    // They end with the run.
    let (_links, urls) = subject.network.between(cluster);
    let (arguments, seconds) = (arguments(subject, &urls), subject.seconds);
    let outcome = match subject.runs {
        Runs::Alone => program.run(&arguments, Duration::from_secs_f64(seconds), || {
            (0..subject.hung).for_each(|i| hung(i).stop());
        }),
        Runs::Together(processes) => turns::run(program, &arguments, processes, seconds),
        Runs::HandOver { least } => handover::run(program, &arguments, least, seconds),
    };
    for i in 0..subject.hung {
        hung(i).cont();
        wait_until(Duration::from_secs(10), "the node answers again", || {
            hung(i).is_answering()
        });
    }
    match outcome {
        Ok(value) => Some(value),
        Err(reason) => {
            eprintln!("  {}: {reason}", subject.label);
            None
        }
    }
}

fn arguments(subject: &Subject, urls: &[String]) -> Vec<String> {
    // A new prefix for each run: keys that an earlier one left behind are in nobody's way.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let common = [
        ("--urls", urls.join(",")),
        ("--seconds", subject.seconds.to_string()),
        ("--resource-prefix", format!("bench{run}")),
    ];
    let common = common
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value]);
    subject.arguments.iter().cloned().chain(common).collect()
}
