//! What is measured, against whom, and which ratio is asked for.

use std::collections::BTreeSet;

use crate::builds::Programs;
use crate::contention;
use crate::cpp;
use crate::go;
use crate::network::{self, Network};
use crate::node;
use crate::options::Options;
use crate::python;

/// How a subject runs.
#[derive(Clone, Copy)]
pub enum Runs {
    /// One process, which prints its figures.
    Alone,
    /// So many processes at once on one resource, whose turns the runner puts together.
    Together(usize),
    /// Two processes that hand one lock to each other, at least so often.
    HandOver { least: usize },
}

/// One program in one role within a scenario.
pub struct Subject {
    /// Its name in the table.
    pub label: &'static str,
    /// Which program.
    pub program: &'static str,
    /// Its arguments, besides the addresses and the resource prefix.
    pub arguments: Vec<String>,
    /// How many nodes are stopped with SIGSTOP before it is measured.
    pub hung: usize,
    /// In how many rounds it takes part.
    pub rounds: usize,
    /// How long its window is.
    pub seconds: f64,
    pub runs: Runs,
    /// What is between it and the servers.
    pub network: Network,
}

/// The asked-for ratio of ours to theirs.
#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// What ours is held against.
pub enum Other {
    /// Another subject of the scenario.
    Subject(&'static str),
    /// A fixed figure.
    Limit(f64),
}

/// One line of the table.
pub struct Comparison {
    pub metric: &'static str,
    pub other: Other,
    pub target: Option<Target>,
}

/// A set of subjects that run in turn. The first is ours.
pub struct Scenario {
    pub name: &'static str,
    pub subjects: Vec<Subject>,
    pub comparisons: Vec<Comparison>,
}

const PEERS: [&str; 4] = ["redsync", "rslock", "node-redlock", "redlock-py"];

/// Threads that a process may have with 10,000 operations in flight: its own, the library's, and two to spare.
const THREAD_LIMIT: f64 = 4.0;

/// Growth of resident memory over a million pairs that counts as none: a quarter of a byte a pair.
const GROWTH_LIMIT_KB: f64 = 256.0;

/// The scenarios that the options ask for; none when `--only` names one that there is not.
pub fn chosen(options: &Options) -> Vec<Scenario> {
    let mut scenarios = all(options);
    scenarios.retain(|scenario| options.wants(scenario.name));
    scenarios
}

/// Every scenario there is.
pub fn all(options: &Options) -> Vec<Scenario> {
    let core = [
        one_caller(options),
        many_callers(options),
        asynchronous(options),
        hung(options, "one-hung", 1),
        hung(options, "two-hung", 2),
        memory(options),
        safety(options, "safety-one-caller", 1),
        safety(options, "safety-many-callers", 64),
    ];
    core.into_iter()
        .chain(contention::scenarios(options))
        .chain(go::scenarios(options))
        .chain(node::scenarios(options))
        .chain(cpp::scenarios(options))
        .chain(python::scenarios(options))
        .chain(network::scenarios(options))
        .collect()
}

/// The names of the programs that some of these scenarios run.
pub fn programs_of(scenarios: &[Scenario]) -> BTreeSet<&'static str> {
    let subjects = scenarios.iter().flat_map(|scenario| &scenario.subjects);
    subjects.map(|subject| subject.program).collect()
}

/// The scenario without the subjects whose programs are missing.
pub fn without_missing(mut scenario: Scenario, programs: &Programs) -> Scenario {
    scenario
        .subjects
        .retain(|subject| programs.contains_key(subject.program));
    let labels: Vec<_> = scenario
        .subjects
        .iter()
        .map(|subject| subject.label)
        .collect();
    scenario
        .comparisons
        .retain(|comparison| match comparison.other {
            Other::Subject(label) => labels.contains(&label),
            Other::Limit(_) => true,
        });
    scenario
}

fn one_caller(options: &Options) -> Scenario {
    let mut subjects = vec![
        plain_pair(options, 1),
        pair(options, "floor", 1),
        Subject {
            label: "floor, spinning",
            arguments: words(&["--scenario", "spin"]),
            ..pair(options, "floor", 1)
        },
    ];
    subjects.extend(PEERS.map(|peer| pair(options, peer, 1)));
    let mut comparisons = vec![
        against("p50_us", "floor", Some(Target::AtMost(1.35))),
        against("p50_us", "redsync", Some(Target::AtMost(0.8))),
        against("p50_us", "floor, spinning", None),
    ];
    comparisons
        .extend(["rslock", "node-redlock", "redlock-py"].map(|peer| against("p50_us", peer, None)));
    comparisons.push(against("p99_us", "floor", None));
    comparisons.push(against("cpu_us_per_pair", "floor", None));
    Scenario {
        name: "one-caller",
        subjects,
        comparisons,
    }
}

fn many_callers(options: &Options) -> Scenario {
    let mut subjects = vec![plain_pair(options, 64)];
    subjects.extend(PEERS.map(|peer| pair(options, peer, 64)));
    let comparisons = vec![
        against("pairs_per_s", "rslock", Some(Target::AtLeast(1.8))),
        against("pairs_per_s", "redsync", Some(Target::AtLeast(5.0))),
        against("cpu_us_per_pair", "rslock", Some(Target::AtMost(0.6))),
        against("pairs_per_s", "node-redlock", None),
        against("pairs_per_s", "redlock-py", None),
        against("cpu_us_per_pair", "redsync", None),
        against("cpu_us_per_pair", "node-redlock", None),
        against("p99_us", "rslock", None),
    ];
    Scenario {
        name: "many-callers",
        subjects,
        comparisons,
    }
}

fn asynchronous(options: &Options) -> Scenario {
    const THREADS: &str = "ours, 64 threads";
    let queue = Subject {
        arguments: words(&["--scenario", "async", "--inflight", "10000"]),
        ..pair(options, "ours", 1)
    };
    let threads = Subject {
        label: THREADS,
        ..pair(options, "ours", 64)
    };
    let comparisons = vec![
        against("pairs_per_s", THREADS, Some(Target::AtLeast(1.0))),
        Comparison {
            metric: "threads",
            other: Other::Limit(THREAD_LIMIT),
            target: Some(Target::AtMost(1.0)),
        },
        against("cpu_us_per_pair", THREADS, None),
    ];
    Scenario {
        name: "async",
        subjects: vec![queue, threads],
        comparisons,
    }
}

/// redlock-py is left out: with a hung node it never returns.
fn hung(options: &Options, name: &'static str, nodes: usize) -> Scenario {
    const HEALTHY: &str = "ours, all nodes healthy";
    let peers = ["redsync", "rslock", "node-redlock"];
    let mut subjects = vec![
        Subject {
            hung: nodes,
            ..pair(options, "ours", 1)
        },
        Subject {
            label: HEALTHY,
            ..pair(options, "ours", 1)
        },
        Subject {
            hung: nodes,
            ..pair(options, "floor", 1)
        },
    ];
    // Some take seconds for one pair, so their window is longer and two rounds have to do.
    subjects.extend(peers.map(|peer| Subject {
        hung: nodes,
        rounds: 2,
        seconds: 3.0,
        ..pair(options, peer, 1)
    }));
    let mut comparisons = vec![
        against("p50_us", HEALTHY, Some(Target::AtMost(1.1))),
        against("p99_us", HEALTHY, Some(Target::AtMost(2.0))),
        against("p50_us", "floor", None),
    ];
    comparisons.extend(peers.map(|peer| against("p50_us", peer, None)));
    Scenario {
        name,
        subjects,
        comparisons,
    }
}

/// What fences, the restart guard and keeping each lock alive cost.
fn safety(options: &Options, name: &'static str, callers: usize) -> Scenario {
    const PLAIN: &str = "ours, plain";
    let mut safe = pair(options, "ours", callers);
    safe.arguments.push("--keep-alive".to_owned());
    let plain = Subject {
        label: PLAIN,
        ..plain_pair(options, callers)
    };
    let fenced = Subject {
        label: "ours, fences only",
        ..pair(options, "ours", callers)
    };
    let comparisons = match callers {
        1 => vec![
            against("p50_us", PLAIN, Some(Target::AtMost(1.05))),
            against("p50_us", "ours, fences only", None),
        ],
        _ => vec![
            against("pairs_per_s", PLAIN, Some(Target::AtLeast(0.85))),
            against("cpu_us_per_pair", PLAIN, None),
            against("pairs_per_s", "ours, fences only", None),
        ],
    };
    Scenario {
        name,
        subjects: vec![safe, plain, fenced],
        comparisons,
    }
}

fn memory(options: &Options) -> Scenario {
    let pairs = if options.quick { "100000" } else { "1000000" };
    let subject = Subject {
        arguments: words(&[
            "--scenario",
            "memory",
            "--inflight",
            "10000",
            "--pairs",
            pairs,
        ]),
        rounds: 1,
        // It runs for a number of pairs, not for a time; this is how long the runner waits for it.
        seconds: 300.0,
        ..pair(options, "ours", 1)
    };
    let limit = |metric, limit| Comparison {
        metric,
        other: Other::Limit(limit),
        target: Some(Target::AtMost(1.0)),
    };
    let comparisons = vec![
        limit("bytes_per_pending", 1024.0),
        limit("rss_growth_kb", GROWTH_LIMIT_KB),
    ];
    Scenario {
        name: "memory",
        subjects: vec![subject],
        comparisons,
    }
}

fn plain_pair(options: &Options, callers: usize) -> Subject {
    plain(pair(options, "ours", callers))
}

/// Ours as the peers are: without fences and guard, which they have not. What those cost has scenarios of its own.
pub fn plain(mut subject: Subject) -> Subject {
    for option in ["fencing=off", "restart_guard=off"] {
        subject.arguments.extend(words(&["--option", option]));
    }
    subject
}

/// A program in the scenario "pair", under its own name, in every round.
pub fn pair(options: &Options, program: &'static str, callers: usize) -> Subject {
    Subject {
        label: program,
        program,
        arguments: words(&["--scenario", "pair", "--callers", &callers.to_string()]),
        hung: 0,
        rounds: options.rounds(),
        seconds: options.seconds(),
        runs: Runs::Alone,
        network: Network::Loopback,
    }
}

/// One metric, held against another subject's.
pub fn against(metric: &'static str, other: &'static str, target: Option<Target>) -> Comparison {
    Comparison {
        metric,
        other: Other::Subject(other),
        target,
    }
}

/// Words of a command.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
