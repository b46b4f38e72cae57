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
use redlock::{Factory, Options, Wait};
use testkit::{Cluster, Server};

const PROCESSES: usize = 6;
const THREADS: usize = 2;
/// Times that masters fail, and increments that are awaited before each change.
const ROUNDS: usize = 12;
const STEP: u64 = 15;
/// How long work under the lock takes where masters forget: long enough for three of them to come back meanwhile.
const WORK: Duration = Duration::from_millis(150);
/// In ms. Long enough that no process is held up for it by a busy machine, and loses its lock in the act.
const LONG_TTL: u64 = 60_000;
/// How all workers of a test lock.
struct Terms {
    ttl_ms: u64,
    /// The option of that name.
    fair: &'static str,
}

const UNFAIR: Terms = Terms {
    ttl_ms: LONG_TTL,
    fair: "off",
};

/// Increments after which a thread makes a factory anew, which knows nothing of the nodes' past.
const NEW_FACTORY: u64 = 3;

/// What a worker is told: as one text, its role.
struct Task<'a> {
    ttl: Duration,
    counter: &'a Path,
    /// Whether work takes its time, and factories are made anew now and then, to meet nodes whose past they don't know.
    /// (What a factory that goes could not release on a master that is away stays until its TTL ends; so this takes
    /// short ones.)
    masters_forget: bool,
    options: Options,
    urls: Vec<&'a str>,
}

impl Task<'_> {
    fn parse(role: &str) -> Task<'_> {
        let words: Vec<&str> = role.split(' ').collect();
        let masters_forget = words[0] != LONG_TTL.to_string();
        // A majority that forgets at once is a new set to a client that has not heard of the others yet.
        let guard = if masters_forget { "strict" } else { "auto" };
        // The others persist every write, where they are killed at all.
        let persist = if masters_forget { "off" } else { "on" };
        let options = common::options_with(&[
            ("node_timeout_ms", "200"),
            ("connect_timeout_ms", "500"),
            ("max_ttl_ms", words[0]),
            ("fair", words[1]),
            ("restart_guard", guard),
            ("nodes_persist", persist),
        ]);
        Task {
            ttl: Duration::from_millis(words[0].parse().unwrap()),
            masters_forget,
            counter: Path::new(words[2]),
            options,
            urls: words[3..].to_vec(),
        }
    }

    fn factory(&self) -> Factory {
        Factory::with_options(&self.urls, &self.options).unwrap()
    }
}

/// In a worker's process: increments the counter until standard input ends, and tells how often it did.
fn worker(role: &str) {
    let task = Task::parse(role);
    let done = AtomicBool::new(false);
    let count: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| increment_until(&done, &task)))
            .collect();
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        done.store(true, Ordering::Relaxed);
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    println!("\nincrements: {count}");
}

fn increment_until(done: &AtomicBool, task: &Task) -> u64 {
    let mut factory = task.factory();
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        let lock = factory
            .acquire("counter", task.ttl, Wait::For(PATIENCE))
            .unwrap();
        let before = read(task.counter).expect("only the holder writes, and it writes a number");
        // Whoever else were in here would now read the same.
        match task.masters_forget {
            true => std::thread::sleep(WORK),
            false => std::thread::yield_now(),
        }
        std::fs::write(task.counter, (before + 1).to_string()).unwrap();
        assert!(
            !lock.validity().is_zero(),
            "it took so long that nothing is proven"
        );
        count += 1;
        // A master that failed just now may be told later.
        let _ = lock.release();
        if task.masters_forget && count % NEW_FACTORY == 0 {
            factory = task.factory();
        }
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

/// Waits for the end of a worker, and returns how often it incremented the counter.
fn finish(mut worker: Child) -> u64 {
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

/// Runs the workers, and `disturb` in each of so many rounds, with what waits for more increments.
fn no_increment_is_lost(
    test: &str,
    cluster: &Cluster,
    terms: Terms,
    (rounds, step): (usize, u64),
    disturb: impl Fn(&dyn Fn()),
) {
    let scratch = Scratch::new();
    let counter = scratch.file("counter", "0");
    let urls = cluster.urls().join(" ");
    let Terms { ttl_ms, fair } = terms;
    let role = format!("{ttl_ms} {fair} {} {urls}", counter.display());
    let mut workers: Vec<Child> = (0..PROCESSES).map(|_| start_worker(test, &role)).collect();
    let more = || {
        let mut target = None;
        eventually("more increments", || match (read(&counter), target) {
            (Some(now), None) => {
                target = Some(now + step);
                false
            }
            (Some(now), Some(target)) => now >= target,
            (None, _) => false,
        });
    };
    more();
    for _ in 0..rounds {
        disturb(&more);
    }
    // The end of their input ends them all.
    for worker in &mut workers {
        drop(worker.stdin.take());
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

/// Never more than two of five fail at a time, and none forgets.
#[test]
fn while_masters_are_killed_restarted_and_stopped() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let test = "while_masters_are_killed_restarted_and_stopped";
    let cluster = Cluster::start_with(5, |server| server.persistent());
    no_increment_is_lost(test, &cluster, UNFAIR, (ROUNDS, STEP), |more| {
        let first = random(5);
        let second = (first + 1 + random(4)) % 5;
        let one = fail(&cluster[first]);
        more();
        let other = fail(&cluster[second]);
        more();
        mend(&cluster[first], &one);
        mend(&cluster[second], &other);
        more();
    });
}

/// A master that comes back without its data would grant what it has granted already, unless it is kept out for as long
/// as locks live. Three at once are too many to go on without them: progress stands still for that time.
#[test]
fn while_masters_restart_and_forget_everything() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    const TTL: u64 = 3_000;
    let test = "while_masters_restart_and_forget_everything";
    let cluster = Cluster::start(5);
    // Before that, they do not vote: 5 s at least, and the uptime's resolution.
    eventually("the nodes to be old enough", || {
        let uptime = |server: &Server| server.info("uptime_in_seconds").parse::<u64>();
        cluster.iter().all(|it| uptime(it).unwrap() > 6)
    });
    let terms = Terms {
        ttl_ms: TTL,
        ..UNFAIR
    };
    no_increment_is_lost(test, &cluster, terms, (3, 3), |more| {
        let first = random(5);
        std::thread::scope(|scope| {
            for index in first..first + 3 {
                let server = &cluster[index % 5];
                scope.spawn(|| server.restart_empty());
            }
        });
        more();
    });
}

#[test]
fn while_connections_are_cut_and_scripts_forgotten() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let test = "while_connections_are_cut_and_scripts_forgotten";
    let cluster = Cluster::start(3);
    no_increment_is_lost(test, &cluster, UNFAIR, (ROUNDS, STEP), |more| {
        let server = &cluster[random(3)];
        server.command(&["SCRIPT", "FLUSH"]).ok();
        let user = testkit::library_user();
        server.command(&["CLIENT", "KILL", "USER", user]).ok();
        more();
    });
}

/// With an even number, votes split often.
#[test]
fn on_an_even_number_of_masters() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let cluster = Cluster::start(4);
    let test = "on_an_even_number_of_masters";
    no_increment_is_lost(test, &cluster, UNFAIR, (ROUNDS, STEP), |more| more());
}

/// Waiters are called by the nodes, and some of the nodes fail.
#[test]
fn while_waiters_are_called_by_masters_that_fail() {
    if let Some(role) = child::role() {
        return worker(&role);
    }
    let test = "while_waiters_are_called_by_masters_that_fail";
    let cluster = Cluster::start_with(5, |server| server.persistent());
    let terms = Terms {
        fair: "on",
        ..UNFAIR
    };
    no_increment_is_lost(test, &cluster, terms, (6, 5), |more| {
        let server = &cluster[random(5)];
        let failure = fail(server);
        more();
        mend(server, &failure);
        server.command(&["SCRIPT", "FLUSH"]).ok();
        more();
    });
}
