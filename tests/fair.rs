//! Contended locks: waiters are served in the order of their arrival, and called when it is their turn.

mod common;

use std::sync::Mutex;
use std::time::Duration;

use redlock::{Completion, Factory, Queue, Wait};
use testkit::Cluster;

const TTL: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether nodes can call their waiters: only RESP3 brings a message in between the answers.
fn nodes_call() -> bool {
    let they_do = common::protocol().as_deref() != Some("resp2");
    if !they_do {
        eprintln!("skipped: with RESP2 nobody queues");
    }
    they_do
}

fn fair(cluster: &Cluster) -> Factory {
    let options = common::options_with(&[("fair", "on")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    factory
}

fn waiters(cluster: &Cluster, resource: &str) -> usize {
    let queue = format!("{{{resource}}}:redlock:queue");
    let on = |index: usize| cluster[index].command(&["ZCARD", &queue]).integer() as usize;
    (0..cluster.len()).map(on).min().unwrap_or(0)
}

#[test]
fn waiters_are_served_in_the_order_of_their_arrival() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let factory = fair(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    for id in 0..20 {
        // Every waiter is a client of its own, with its own connections.
        factory
            .submit_acquire("r", TTL, Wait::Forever, &queue, id)
            .unwrap();
        testkit::wait_until(PATIENCE, "it waits on every node", || {
            waiters(&cluster, "r") == id as usize + 1
        });
    }
    held.release().unwrap();
    for id in 0..20 {
        let mut events = Vec::new();
        queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
        let event = events.pop().expect("someone gets the lock");
        assert_eq!(event.id, id);
        match event.result.unwrap() {
            Completion::Acquired(lock) => lock.release().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn threads_with_factories_of_their_own_take_turns() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let served = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (cluster, served) = (&cluster, &served);
            scope.spawn(move || {
                let factory = fair(cluster);
                for _ in 0..50 {
                    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
                    served.lock().unwrap().push((thread, lock.fence()));
                    lock.release().unwrap();
                }
            });
        }
    });
    let served = served.into_inner().unwrap();
    assert_eq!(served.len(), 400);
    assert!(served.windows(2).all(|pair| pair[0].1 < pair[1].1));
}

#[test]
fn a_waiter_that_gives_up_leaves_the_queue() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .unwrap();
    testkit::wait_until(PATIENCE, "it waits", || waiters(&cluster, "r") == 1);
    queue.cancel(1).unwrap();
    testkit::wait_until(PATIENCE, "it has left", || {
        let queue = "{r}:redlock:queue";
        cluster
            .iter()
            .all(|node| node.command(&["ZCARD", queue]).integer() == 0)
    });
}

/// One that stayed would be called in vain, again and again.
#[test]
fn a_waiter_leaves_the_queue_also_when_scripts_were_flushed() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    for id in 0..20 {
        factory
            .submit_acquire("r", TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    let waiting = |node: &testkit::Server| {
        let queue = "{r}:redlock:queue";
        node.command(&["ZCARD", queue]).integer()
    };
    testkit::wait_until(PATIENCE, "all wait everywhere", || {
        cluster.iter().all(|node| waiting(node) == 20)
    });
    cluster.command_all(&["SCRIPT", "FLUSH"]);
    for id in 0..20 {
        queue.cancel(id).unwrap();
    }
    // Less than a minute, for that is when an idle queue is gone in any case.
    testkit::wait_until(Duration::from_secs(30), "all have left", || {
        cluster.iter().all(|node| waiting(node) == 0)
    });
}

#[test]
fn without_fairness_nobody_queues() {
    let cluster = Cluster::start(3);
    let options = common::options_with(&[("fair", "off")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .unwrap();
    factory
        .acquire("r", TTL, Wait::For(Duration::from_millis(100)))
        .unwrap_err();
    assert_eq!(waiters(&cluster, "r"), 0);
    held.release().unwrap();
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
    assert!(events[0].result.is_ok());
}
