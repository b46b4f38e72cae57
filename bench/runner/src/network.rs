//! The scenarios over slow networks: proxies between the programs and the servers that pass everything on later.

use std::time::Duration;

use testkit::{Cluster, Fault, Link, Proxy};

use crate::options::Options;
use crate::scenarios::{Comparison, Other, Runs, Scenario, Subject, Target, against, pair, words};

const PEERS: [&str; 2] = ["redsync", "node-redlock"];

/// Bare pairs have two round trips.
const TRIPS_OF_A_PAIR: f64 = 2.0;

/// What is between a program and the servers.
#[derive(Clone, Copy)]
pub enum Network {
    /// Nothing.
    Loopback,
    /// Links of the same kind.
    Links(Link),
    /// The first three nodes are near, the others far.
    ThreeNear { near: Link, far: Link },
}

impl Network {
    /// Starts the links to the servers; and what the servers' URLs are then.
    pub fn between(self, cluster: &Cluster) -> (Vec<Proxy>, Vec<String>) {
        let link_of = |index: usize| match self {
            Network::Loopback => None,
            Network::Links(link) => Some(link),
            Network::ThreeNear { near, .. } if index < 3 => Some(near),
            Network::ThreeNear { far, .. } => Some(far),
        };
        let (mut links, mut urls) = (Vec::new(), Vec::new());
        for (index, server) in cluster.iter().enumerate() {
            let Some(link) = link_of(index) else {
                urls.push(server.url());
                continue;
            };
            let proxy = Proxy::to(server);
            proxy.set(Fault::Link(link));
            urls.push(proxy.url());
            links.push(proxy);
        }
        (links, urls)
    }
}

pub fn scenarios(options: &Options) -> Vec<Scenario> {
    vec![
        round_trips(options, "rtt-1ms", 1.0, None),
        round_trips(options, "rtt-20ms", 20.0, None),
        round_trips(options, "rtt-80ms", 80.0, Some(Target::AtMost(1.1))),
        jitter(options),
        loss(options, "loss-1-percent", 10, None),
        loss(options, "loss-5-percent", 50, Some(Target::AtMost(0.0))),
        three_near(options),
        first_lock(options, "first-lock-20ms", 20.0),
        first_lock(options, "first-lock-100ms", 100.0),
        hand_over(options),
        kept(options),
    ]
}

fn link(least_ms: f64, most_ms: f64, lost_per_mille: u32) -> Link {
    let ms = |ms: f64| Duration::from_secs_f64(ms / 1e3);
    Link {
        round_trip: (ms(least_ms), ms(most_ms)),
        lost_per_mille,
    }
}

fn over(network: Network, subject: Subject) -> Subject {
    Subject {
        network,
        // A pair takes a hundred times as long as on loopback, or a thousand times.
        seconds: subject.seconds * 2.0,
        ..subject
    }
}

/// One caller of each with the default options, over the same network.
fn pairs(options: &Options, network: Network) -> Vec<Subject> {
    let programs = ["ours"].into_iter().chain(PEERS);
    programs
        .map(|program| over(network, pair(options, program, 1)))
        .collect()
}

fn beside_peers(metric: &'static str) -> impl Iterator<Item = Comparison> {
    PEERS
        .into_iter()
        .map(move |peer| against(metric, peer, None))
}

fn limit(metric: &'static str, limit: f64, target: Option<Target>) -> Comparison {
    Comparison {
        metric,
        other: Other::Limit(limit),
        target,
    }
}

/// The ratio is that of an acquire and a release to one round trip each.
fn round_trips(options: &Options, name: &'static str, ms: f64, target: Option<Target>) -> Scenario {
    let mut comparisons = vec![limit("p50_us", TRIPS_OF_A_PAIR * ms * 1e3, target)];
    comparisons.extend(beside_peers("p50_us"));
    comparisons.extend(beside_peers("p99_us"));
    Scenario {
        name,
        subjects: pairs(options, Network::Links(link(ms, ms, 0))),
        comparisons,
    }
}

fn jitter(options: &Options) -> Scenario {
    let mut comparisons = vec![limit("failures", 1.0, Some(Target::AtMost(0.0)))];
    comparisons.extend(["p50_us", "p99_us"].into_iter().flat_map(beside_peers));
    Scenario {
        name: "jitter-1-60ms",
        subjects: pairs(options, Network::Links(link(1.0, 60.0, 0))),
        comparisons,
    }
}

/// A pair is ten messages in each direction, so that every other one, or nearly every one, meets a loss.
fn loss(options: &Options, name: &'static str, per_mille: u32, target: Option<Target>) -> Scenario {
    let mut comparisons = vec![limit("failures", 1.0, target)];
    comparisons.extend(["p50_us", "p99_us"].into_iter().flat_map(beside_peers));
    let mut subjects = pairs(options, Network::Links(link(10.0, 10.0, per_mille)));
    for subject in &mut subjects {
        subject.seconds *= 2.0;
    }
    Scenario {
        name,
        subjects,
        comparisons,
    }
}

fn three_near(options: &Options) -> Scenario {
    let network = Network::ThreeNear {
        near: link(1.0, 1.0, 0),
        far: link(80.0, 80.0, 0),
    };
    let mut comparisons = vec![limit("p50_us", TRIPS_OF_A_PAIR * 1e3, None)];
    comparisons.extend(beside_peers("p50_us"));
    Scenario {
        name: "three-near-two-far",
        subjects: pairs(options, network),
        comparisons,
    }
}

/// From making a factory to its first lock, in round trips. That of TCP is missing, for the proxies take connections at once.
fn first_lock(options: &Options, name: &'static str, ms: f64) -> Scenario {
    let network = Network::Links(link(ms, ms, 0));
    let first = |program| Subject {
        arguments: words(&["--scenario", "first"]),
        ..over(network, pair(options, program, 1))
    };
    Scenario {
        name,
        subjects: vec![first("ours"), first("redsync")],
        comparisons: vec![
            limit("p50_us", ms * 1e3, Some(Target::AtMost(2.2))),
            against("p50_us", "redsync", None),
        ],
    }
}

fn hand_over(options: &Options) -> Scenario {
    const MS: f64 = 80.0;
    let subject = |program, least| Subject {
        arguments: words(&["--scenario", "handover"]),
        runs: Runs::HandOver { least },
        rounds: options.rounds().min(3),
        ..over(Network::Links(link(MS, MS, 0)), pair(options, program, 1))
    };
    Scenario {
        name: "hand-over-80ms",
        subjects: vec![subject("ours", 10), subject("redsync", 3)],
        comparisons: vec![
            limit("p50_us", MS * 1e3, Some(Target::AtMost(2.2))),
            against("p50_us", "redsync", None),
        ],
    }
}

/// A hundred locks that are kept alive for some TTLs, and how many of them get lost. `--seconds 600` has them for ten minutes.
fn kept(options: &Options) -> Scenario {
    let subject = Subject {
        arguments: words(&["--scenario", "kept", "--callers", "100"]),
        rounds: 1,
        seconds: options.seconds().max(30.0),
        network: Network::Links(link(10.0, 10.0, 10)),
        ..pair(options, "ours", 1)
    };
    Scenario {
        name: "kept-loss-1-percent",
        subjects: vec![subject],
        comparisons: vec![limit("lost", 1.0, Some(Target::AtMost(0.0)))],
    }
}
