//! Mutual exclusion, judged by a counter in a file that knows nothing of locks: many processes increment it without
//! atomicity, under the lock, while masters fail. Not one increment may be lost.

mod common;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{PATIENCE, Scratch, child, eventually};
use redlock::{Factory, Wait};
use testkit::{Cluster, Server};

const PROCESSES: usize = 6;
const THREADS: usize = 2;
/// Times that masters fail, and increments that are awaited before each change.
const ROUNDS: usize = 12;
const STEP: u64 = 15;
/// Long enough that no process is held up for it by a busy machine, and loses its lock in the act.
const TTL: Duration = Duration::from_secs(60);

/// In a worker's process: increments the counter until standard input ends, and tells how often it did.
fn worker(role: &str) {
    let words: Vec<&str> = role.split(' ').collect();
    let options =
        common::options_with(&[("node_timeout_ms", "200"), ("connect_timeout_ms", "500")]);
    let factory = Factory::with_options(&words[1..], &options).unwrap();
    let done = AtomicBool::new(false);
    let count: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| increment_until(&done, &factory, Path::new(words[0]))))
            .collect();
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        done.store(true, Ordering::Relaxed);
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    println!("\nincrements: {count}");
}

fn increment_until(done: &AtomicBool, factory: &Factory, counter: &Path) -> u64 {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        let lock = factory
            .acquire("counter", TTL, Wait::For(PATIENCE))
            .unwrap();
        let before = read(counter).expect("only the holder writes, and it writes a number");
        // Whoever else were in here would now read the same.
        std::thread::yield_now();
        std::fs::write(counter, (before + 1).to_string()).unwrap();
        assert!(
            !lock.validity().is_zero(),
            "it took so long that nothing is proven"
        );
        count += 1;
        // A master that failed just now may be told later.
        let _ = lock.release();
    }
    count
}

/// The counter's value; `None` in the moment in which it is being written.
fn read(counter: &Path) -> Option<u64> {
    std::fs::read_to_string(counter).unwrap().parse().ok()
}

fn start_worker(test: &str, role: &str) -> Child {
    let mut command = child::command(test, role);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Ends a worker, and returns how often it incremented the counter.
fn finish(mut worker: Child) -> u64 {
    drop(worker.stdin.take());
    let lines: Vec<String> = BufReader::new(worker.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .collect();
    let status = worker.wait().unwrap();
    assert!(status.success(), "a worker failed: {}", lines.join("\n"));
    let count = lines
        .iter()
        .find_map(|line| line.strip_prefix("increments: "));
    count.expect("a worker counts").parse().unwrap()
}

fn random(below: usize) -> usize {
    // Each RandomState has keys of its own, which makes it the standard library's source of random numbers.
    let number = RandomState::new().build_hasher().finish();
    usize::try_from(number % below as u64).unwrap()
}

/// Runs the workers, and `disturb` once in each round with what waits for more increments.
fn no_increment_is_lost(test: &str, cluster: &Cluster, disturb: impl Fn(&dyn Fn())) {
    let scratch = Scratch::new();
    let counter = scratch.file("counter", "0");
    let role = format!("{} {}", counter.display(), cluster.urls().join(" "));
    let workers: Vec<Child> = (0..PROCESSES).map(|_| start_worker(test, &role)).collect();
    let more = || {
        let mut target = None;
        eventually("more increments", || match (read(&counter), target) {
            (Some(now), None) => {
                target = Some(now + STEP);
                false
            }
            (Some(now), Some(target)) => now >= target,
            (None, _) => false,
        });
    };
    more();
    for _ in 0..ROUNDS {
        disturb(&more);
    }
    let total: u64 = workers.into_iter().map(finish).sum();
    assert_eq!(read(&counter), Some(total));
}

/// How a master fails without forgetting what it granted.
enum Failure {
    Dead,
    Hung,
    /// It was dead, and is back already.
    Restarted,
}

fn fail(server: &Server) -> Failure {
    match random(3) {
        0 => {
            server.kill();
            Failure::Dead
        }
        1 => {
            server.restart();
            Failure::Restarted
        }
        _ => {
            server.stop();
            Failure::Hung
        }
    }
}

fn mend(server: &Server, failure: &Failure) {
    match failure {
        Failure::Dead => server.restart(),
        Failure::Hung => server.cont(),
        Failure::Restarted => {}
    }
}

/// Never more than two of five fail at a time, and none forgets: a master that comes back without its data is no minority
/// fault but a third vote for the next one to come, unless it is kept out for as long as locks live.
#[test]
fn while_masters_are_killed_restarted_and_stopped() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let cluster = Cluster::start_with(5, |server| server.persistent());
    no_increment_is_lost(
        "while_masters_are_killed_restarted_and_stopped",
        &cluster,
        |more| {
            let first = random(5);
            let second = (first + 1 + random(4)) % 5;
            let one = fail(&cluster[first]);
            more();
            let other = fail(&cluster[second]);
            more();
            mend(&cluster[first], &one);
            mend(&cluster[second], &other);
            more();
        },
    );
}

#[test]
fn while_connections_are_cut_and_scripts_forgotten() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let cluster = Cluster::start(3);
    no_increment_is_lost(
        "while_connections_are_cut_and_scripts_forgotten",
        &cluster,
        |more| {
            let server = &cluster[random(3)];
            server.command(&["SCRIPT", "FLUSH"]).ok();
            server.command(&["CLIENT", "KILL", "TYPE", "normal"]).ok();
            more();
        },
    );
}

/// With an even number, votes split often.
#[test]
fn on_an_even_number_of_masters() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let cluster = Cluster::start(4);
    no_increment_is_lost("on_an_even_number_of_masters", &cluster, |more| more());
}
