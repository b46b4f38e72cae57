//! Waiters that are called and do not answer: a process that stands still costs the others one reservation, however many
//! waiters it has.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use common::{PATIENCE, child, eventually, nodes_call, queue_of};
use redlock::{Completion, Factory, Lock, Queue, Wait};
use testkit::{Cluster, Reply, Server};

const TTL: Duration = Duration::from_secs(100);
const TEST: &str = "a_process_that_stands_still_costs_one_reservation";

/// In a process of its own: so many waiters, which hold the lock as soon as they have it.
fn wait_in_child(role: &str) {
    let (count, urls) = role.split_once(' ').unwrap();
    let factory = connected(&child::urls(urls), "500");
    let queue = Queue::new().unwrap();
    for id in 0..count.parse().unwrap() {
        factory
            .submit_acquire("r", TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    println!("\nwaiting");
    served(&queue);
}

/// The grace is long enough to be counted: so that a reservation that ran out is one of a process that did not answer.
fn connected(urls: &[String], grace_ms: &str) -> Factory {
    let options = common::options_with(&[("fair", "on"), ("fair_grace_ms", grace_ms)]);
    let factory = Factory::with_options(urls, &options).unwrap();
    common::all_connected(&factory);
    factory
}

fn served(queue: &Queue) -> Lock {
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
    match events.pop().expect("someone gets the lock").result.unwrap() {
        Completion::Acquired(lock) => lock,
        other => panic!("{other:?}"),
    }
}

fn waiters(cluster: &Cluster) -> Vec<i64> {
    let count = |server: &Server| server.command(&["ZCARD", &queue_of("r")]).integer();
    cluster.iter().map(count).collect()
}

/// Has one more operation wait for the lock, behind all that wait. Each process measures the nodes' clocks for itself, so it may
/// seem to have come before one that was a moment earlier: then it leaves, and comes again.
fn wait_behind_all(cluster: &Cluster, factory: &Factory, queue: &Queue) {
    let line = |server: &Server| -> Vec<String> {
        let line = server.command(&["ZRANGE", &queue_of("r"), "0", "-1"]);
        line.elements().iter().map(Reply::text).collect()
    };
    let before = line(&cluster[0]);
    let count = before.len() as i64;
    for id in 0.. {
        factory
            .submit_acquire("r", TTL, Wait::Forever, queue, id)
            .unwrap();
        eventually("it waits", || {
            waiters(cluster).iter().all(|it| *it == count + 1)
        });
        let is_last = |server: &Server| line(server).last().is_some_and(|it| !before.contains(it));
        if cluster.iter().all(is_last) {
            return;
        }
        queue.cancel(id).unwrap();
        let mut events = Vec::new();
        queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
        assert!(events.pop().expect("it was cancelled").result.is_err());
        eventually("it has left", || {
            waiters(cluster).iter().all(|it| *it == count)
        });
    }
}

/// A process that stands still, and what it writes.
struct Silent {
    process: Child,
    _output: ChildStdout,
}

/// A process with so many waiters behind those that are there, which stands still from then on.
fn start_silent(cluster: &Cluster, count: i64) -> Silent {
    let before = waiters(cluster)[0];
    let role = format!("{count} {}", cluster.urls().join(","));
    let mut child = child::command(TEST, &role)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert!(
        output
            .by_ref()
            .lines()
            .any(|line| line.unwrap() == "waiting")
    );
    eventually("all wait on every node", || {
        waiters(cluster).iter().all(|now| *now == before + count)
    });
    // SAFETY: kill takes any number, and the child is not yet waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGSTOP) }, 0);
    let (pid, mut status) = (child.id() as i32, 0);
    // SAFETY: it is a child of this process, and `status` is a place to write to.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "{status}");
    Silent {
        process: child,
        _output: output.into_inner(),
    }
}

/// Whose reservations are seen on a node until the lock is held: each waiter's, as often as it had one in a row.
fn reservations_until_held(server: &Server) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    eventually("the lock to be held again", || {
        let Reply::Bulk(owner) = server.command(&["GET", "r"]) else {
            return false;
        };
        let owner = String::from_utf8(owner).unwrap();
        match owner.strip_prefix("reserved:") {
            Some(waiter) if seen.last().is_none_or(|last| last != waiter) => {
                seen.push(waiter.to_owned());
                false
            }
            Some(_) => false,
            None => true,
        }
    });
    seen
}

fn end(silent: impl IntoIterator<Item = Silent>) {
    for mut it in silent {
        it.process.kill().unwrap();
        it.process.wait().unwrap();
    }
}

#[test]
fn a_process_that_stands_still_costs_one_reservation() {
    if let Some(role) = child::role() {
        return wait_in_child(&role);
    }
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = connected(&cluster.urls(), "500");
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let silent = [1, 5, 20].map(|count| start_silent(&cluster, count));
    let queue = Queue::new().unwrap();
    wait_behind_all(&cluster, &factory, &queue);
    let token = held.token().to_owned();
    held.release().unwrap();
    eventually("it to be given back", || {
        // Nil, if the reservation has ended.
        !matches!(cluster[0].command(&["GET", "r"]), Reply::Bulk(owner) if owner == token.as_bytes())
    });
    let reservations = reservations_until_held(&cluster[0]);
    let lock = served(&queue);
    // One for each process that stands still, and perhaps its own.
    assert!(reservations.len() <= 4, "{reservations:?}");
    let channel = |waiter: &String| waiter.split('|').next().unwrap().to_owned();
    let mut channels: Vec<_> = reservations.iter().map(channel).collect();
    channels.dedup();
    assert_eq!(channels.len(), reservations.len(), "{reservations:?}");
    // All their waiters have left, where it has the lock: one of the nodes may not have been needed.
    let left = waiters(&cluster);
    assert_eq!(left[0], 0, "{left:?}");
    assert!(left.iter().filter(|it| **it == 0).count() >= 2, "{left:?}");
    lock.release().unwrap();
    end(silent);
}

/// Its waiters that had left come back when it goes on.
#[test]
fn a_process_that_goes_on_is_served() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = connected(&cluster.urls(), "500");
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let mut silent = start_silent(&cluster, 3);
    let queue = Queue::new().unwrap();
    wait_behind_all(&cluster, &factory, &queue);
    held.release().unwrap();
    let lock = served(&queue);
    // SAFETY: kill takes any number, and the child is not yet waited for.
    let code = unsafe { libc::kill(silent.process.id() as i32, libc::SIGCONT) };
    assert_eq!(code, 0);
    eventually("its waiters are back", || {
        waiters(&cluster).iter().all(|it| *it == 3)
    });
    lock.release().unwrap();
    // It takes the lock, which lets the others go, and ends.
    assert!(silent.process.wait().unwrap().success());
}
