//! Kept locks in Rust: the function that is called on a loss, when, and when not. The queue's side is tested from C.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redlock::{Error, Factory, Lock, Options, Status, Wait};
use testkit::{Cluster, wait_until};

const TTL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

struct Loss {
    error: Error,
    /// What was left of the lock when the function was called.
    validity: Duration,
}

fn factory(cluster: &Cluster, node_timeout_ms: &str) -> Factory {
    let mut options = Options::new();
    options.set("node_timeout_ms", node_timeout_ms).unwrap();
    Factory::with_options(&cluster.urls(), &options).unwrap()
}

fn acquire(factory: &Factory, ttl: Duration) -> Arc<Lock> {
    Arc::new(factory.acquire("r", ttl, Wait::For(PATIENCE)).unwrap())
}

/// The channel is closed when the function will not be called any more.
fn keep(lock: &Arc<Lock>) -> Receiver<Loss> {
    let (sender, receiver) = mpsc::channel();
    let weak: Weak<Lock> = Arc::downgrade(lock);
    let on_loss = move |error| {
        let validity = weak
            .upgrade()
            .map_or(Duration::ZERO, |lock| lock.validity());
        sender.send(Loss { error, validity }).unwrap();
    };
    lock.keep_alive(on_loss).unwrap();
    receiver
}

/// Whether the function was given up without having been called.
fn is_over(losses: &Receiver<Loss>) -> bool {
    match losses.try_recv() {
        Ok(loss) => panic!("a loss was reported: {}", loss.error),
        Err(error) => error == TryRecvError::Disconnected,
    }
}

fn a_silent_majority_is_reported_in_time(node_timeout_ms: &str) {
    let cluster = Cluster::start(3);
    let factory = factory(&cluster, node_timeout_ms);
    let lock = acquire(&factory, TTL * 2);
    let losses = keep(&lock);
    cluster.iter().take(2).for_each(|master| master.stop());
    let loss = losses.recv_timeout(PATIENCE).unwrap();
    cluster.iter().take(2).for_each(|master| master.cont());
    assert_eq!(loss.error.status(), Status::NoQuorum);
    assert!(loss.validity > Duration::ZERO);
    wait_until(PATIENCE, "it is called once", || is_over(&losses));
}

#[test]
fn a_loss_is_reported_before_the_validity_ends() {
    a_silent_majority_is_reported_in_time("50");
}

#[test]
fn a_loss_is_reported_in_time_when_nodes_may_take_longer() {
    a_silent_majority_is_reported_in_time("60000");
}

#[test]
fn masters_that_are_gone_are_a_loss_too() {
    let cluster = Cluster::start(3);
    let factory = factory(&cluster, "50");
    let lock = acquire(&factory, TTL * 2);
    let losses = keep(&lock);
    cluster.iter().for_each(|master| master.kill());
    let loss = losses.recv_timeout(PATIENCE).unwrap();
    assert_eq!(loss.error.status(), Status::NoQuorum);
    assert!(loss.validity > Duration::ZERO);
}

#[test]
fn a_minority_that_is_gone_is_no_loss() {
    let cluster = Cluster::start(3);
    let factory = factory(&cluster, "1000");
    let lock = acquire(&factory, TTL);
    let losses = keep(&lock);
    // A master that missed the acquire gets the lock with an extension.
    wait_until(PATIENCE, "every master has it", || {
        cluster.keys_holding("r") == 3
    });
    cluster.iter().take(1).for_each(|master| master.kill());
    for _ in 0..3 {
        let clock = factory.acquire("clock", TTL, Wait::For(PATIENCE)).unwrap();
        wait_until(PATIENCE, "a TTL passes", || clock.validity().is_zero());
    }
    assert!(lock.validity() > Duration::ZERO);
    assert!(!is_over(&losses));
    lock.release().unwrap();
    wait_until(PATIENCE, "it ends with the release", || is_over(&losses));
}

#[test]
fn it_ends_with_the_lock_the_factory_and_the_next_call() {
    let cluster = Cluster::start(3);
    let factory = factory(&cluster, "20000");
    let dropped = keep(&acquire(&factory, TTL));
    wait_until(PATIENCE, "it ends with the lock", || is_over(&dropped));
    let lock = acquire(&factory, TTL);
    let replaced = keep(&lock);
    let orphaned = keep(&lock);
    wait_until(PATIENCE, "it ends with the next call", || {
        is_over(&replaced)
    });
    assert!(lock.validity() > Duration::ZERO);
    factory.close();
    wait_until(PATIENCE, "it ends with the factory", || is_over(&orphaned));
}
