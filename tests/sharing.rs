//! Clients that queue, beside those that cannot or do not: these look for the lock now and then, and get turns too.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{eventually, nodes_call, options_with};
use redlock::{Factory, Wait};
use testkit::{Cluster, Reply};

const TTL: Duration = Duration::from_secs(20);
/// So many turns each of those gets who do not queue, while the others hand the lock on.
const TURNS: usize = 5;

/// Takes the lock and gives it back until all is over; counts.
fn work(
    cluster: &Cluster,
    names: &[&str],
    settings: &[(&str, &str)],
    turns: &AtomicUsize,
    is_over: &AtomicBool,
) {
    let factory = Factory::with_options(&cluster.urls(), &options_with(settings)).unwrap();
    common::all_connected(&factory);
    while !is_over.load(Ordering::Relaxed) {
        let wait = Wait::For(Duration::from_millis(500));
        if let Ok(lock) = factory.acquire_many(names, TTL, wait) {
            turns.fetch_add(1, Ordering::Relaxed);
            lock.release().unwrap();
        }
    }
}

/// Another library, in a few lines: SET NX on all nodes, and DEL.
fn work_as_another_library(cluster: &Cluster, turns: &AtomicUsize, is_over: &AtomicBool) {
    let token = "another library's";
    eventually("all to be over", || {
        let granted = cluster
            .iter()
            .filter(|server| {
                server.command(&["SET", "r", token, "NX", "PX", "20000"]) != Reply::Nil
            })
            .count();
        if granted > cluster.len() / 2 {
            turns.fetch_add(1, Ordering::Relaxed);
        }
        let script =
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end";
        cluster.command_all(&["EVAL", script, "1", "r", token]);
        is_over.load(Ordering::Relaxed)
    });
}

#[test]
fn those_who_do_not_queue_get_turns_beside_those_who_do() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let is_over = AtomicBool::new(false);
    let queueing: [AtomicUsize; 3] = Default::default();
    let others: [AtomicUsize; 4] = Default::default();
    std::thread::scope(|scope| {
        let (cluster, is_over) = (&cluster, &is_over);
        for turns in &queueing {
            scope.spawn(|| work(cluster, &["r"], &[("fair", "on")], turns, is_over));
        }
        let handed_on = || queueing.iter().all(|it| it.load(Ordering::Relaxed) > 10);
        eventually("the lock to be handed on", handed_on);
        let [unfair, resp2, many, alien] = &others;
        scope.spawn(|| work(cluster, &["r"], &[("fair", "off")], unfair, is_over));
        scope.spawn(|| work(cluster, &["r"], &[("protocol", "resp2")], resp2, is_over));
        scope.spawn(|| work(cluster, &["s", "r"], &[("fair", "on")], many, is_over));
        scope.spawn(|| work_as_another_library(cluster, alien, is_over));
        let result = std::panic::catch_unwind(|| {
            eventually("each of the others to have had its turns", || {
                others.iter().all(|it| it.load(Ordering::Relaxed) >= TURNS)
            });
        });
        is_over.store(true, Ordering::Relaxed);
        eprintln!("{queueing:?} {others:?}");
        result.unwrap();
    });
}
