//! The scenarios with a contended lock, and those that show what its queue costs where nobody contends.

use crate::options::Options;
use crate::scenarios::{Comparison, Other, Runs, Scenario, Subject, Target, against, pair, words};

const PEERS: [&str; 3] = ["redsync", "node-redlock", "redisson"];

/// Ours without the queue, beside ours with it.
const UNFAIR: &str = "ours, fair=off";

/// A pair of the floor, after a rest: two round trips to servers that sleep, as a hand-over's are.
const RESTED: &str = "floor, rested";

/// The lock handed over by the fewest messages that do it, between two processes with bare sockets.
const FLOOR: &str = "floor";

/// Processes that want the lock at the same time.
const PROCESSES: usize = 16;

/// Hand-overs of ours in each round, so that the 99th percentile is not just the slowest.
const HAND_OVERS: usize = 200;

pub fn scenarios(options: &Options) -> [Scenario; 4] {
    [
        hand_over(options),
        turns(options),
        uncontended_one(options),
        uncontended_many(options),
    ]
}

/// The name of the scenario that the picture shows.
pub const TURNS: &str = "turns";

fn hand_over(options: &Options) -> Scenario {
    let mut subjects = with_and_without(|| {
        let least = Runs::HandOver { least: HAND_OVERS };
        contended(options, "ours", "handover", least)
    });
    subjects.extend(PEERS.map(|peer| {
        let least = Runs::HandOver { least: 1 };
        contended(options, peer, "handover", least)
    }));
    let least = Runs::HandOver { least: HAND_OVERS };
    subjects.push(contended(options, FLOOR, "handover", least));
    subjects.push(Subject {
        label: RESTED,
        arguments: words(&["--scenario", "rested"]),
        ..pair(options, "floor", 1)
    });
    Scenario {
        name: "hand-over",
        subjects,
        comparisons: vec![
            limit("p50_us", 500.0, Some(Target::AtMost(1.0))),
            limit("p99_us", 2000.0, Some(Target::AtMost(1.0))),
            against("p50_us", "redsync", Some(Target::AtMost(0.02))),
            against("p50_us", "redisson", Some(Target::AtMost(0.1))),
            against("p50_us", FLOOR, None),
            against("p50_us", RESTED, None),
            against("p50_us", "node-redlock", None),
            against("p50_us", UNFAIR, None),
            against("p99_us", "redsync", None),
            against("p99_us", "redisson", None),
            against("p99_us", "node-redlock", None),
        ],
    }
}

fn turns(options: &Options) -> Scenario {
    let together = || Runs::Together(PROCESSES);
    let mut subjects = with_and_without(|| contended(options, "ours", "turns", together()));
    subjects.extend(PEERS.map(|peer| contended(options, peer, "turns", together())));
    // Sixteen virtual machines take most of a minute to start.
    let slow = subjects
        .iter_mut()
        .filter(|subject| subject.program == "redisson");
    slow.for_each(|subject| subject.rounds = subject.rounds.min(2));
    let mut comparisons = vec![
        against("turns_per_s", "redsync", Some(Target::AtLeast(1.4))),
        limit("jain", 1.0, Some(Target::AtLeast(0.99))),
        // A fifteenth.
        against("longest_wait_us", "redsync", Some(Target::AtMost(0.066))),
    ];
    for other in ["node-redlock", "redisson", UNFAIR] {
        comparisons.push(against("turns_per_s", other, None));
        comparisons.push(against("longest_wait_us", other, None));
    }
    for other in ["redsync", "node-redlock", "redisson", UNFAIR] {
        comparisons.push(against("jain", other, None));
        comparisons.push(against("wait_p50_us", other, None));
        comparisons.push(against("wait_p99_us", other, None));
        comparisons.push(against("inside_p50_us", other, None));
        comparisons.push(against("occupied", other, None));
    }
    Scenario {
        name: TURNS,
        subjects,
        comparisons,
    }
}

/// Pairs that nobody else is in the way of, with the queue and without, in turn within one run.
fn uncontended_one(options: &Options) -> Scenario {
    let subject = Subject {
        arguments: words(&["--scenario", "alternate", "--option", "fair=on"]),
        ..pair(options, "ours", 1)
    };
    Scenario {
        name: "uncontended-one-caller",
        subjects: vec![subject],
        comparisons: vec![
            limit("p50_to_fair_off", 1.0, Some(Target::AtMost(1.03))),
            limit("cpu_to_fair_off", 1.0, None),
        ],
    }
}

/// The same from many callers, whose pairs a second need runs of their own.
fn uncontended_many(options: &Options) -> Scenario {
    Scenario {
        name: "uncontended-many-callers",
        subjects: with_and_without(|| pair(options, "ours", 64)),
        comparisons: vec![
            against("pairs_per_s", UNFAIR, Some(Target::AtLeast(0.97))),
            against("cpu_us_per_pair", UNFAIR, None),
        ],
    }
}

/// Ours with its queue, and without.
fn with_and_without(ours: impl Fn() -> Subject) -> Vec<Subject> {
    let with = |label, fair| {
        let mut subject = Subject { label, ..ours() };
        subject.arguments.extend(words(&["--option", fair]));
        subject
    };
    vec![with("ours", "fair=on"), with(UNFAIR, "fair=off")]
}

/// A wait may last seconds, so the windows are longer than a pair's, and three rounds have to do.
fn contended(options: &Options, program: &'static str, scenario: &str, runs: Runs) -> Subject {
    Subject {
        arguments: words(&["--scenario", scenario]),
        rounds: options.rounds().min(3),
        seconds: options
            .seconds
            .unwrap_or(if options.quick { 4.0 } else { 10.0 }),
        runs,
        ..pair(options, program, 1)
    }
}

fn limit(metric: &'static str, limit: f64, target: Option<Target>) -> Comparison {
    Comparison {
        metric,
        other: Other::Limit(limit),
        target,
    }
}
