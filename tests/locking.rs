//! What a lock does on five healthy masters: taken, refused, extended, asked for, released.

mod common;

use std::time::Duration;

use redlock::{Factory, Status, Wait};
use testkit::{Cluster, Reply};

const TTL: Duration = Duration::from_secs(20);

fn five() -> (Cluster, Factory) {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    (cluster, factory)
}

#[test]
fn a_lock_is_on_every_master_and_gone_after_its_release() {
    let (cluster, factory) = five();
    let lock = factory.acquire("invoice", TTL, Wait::No).unwrap();
    assert_eq!(lock.resource(), "invoice");
    assert!(lock.validity() > TTL / 2 && lock.validity() < TTL);
    testkit::wait_until(Duration::from_secs(10), "all masters hold the lock", || {
        cluster.keys_holding("invoice") == 5
    });
    for master in cluster.iter() {
        assert_eq!(master.command(&["GET", "invoice"]).text(), lock.token());
    }
    lock.release().unwrap();
    testkit::wait_until(Duration::from_secs(10), "no master holds the lock", || {
        cluster.keys_holding("invoice") == 0
    });
    assert_eq!(lock.validity(), Duration::ZERO);
}

#[test]
fn a_held_lock_is_refused_to_others_and_every_node_says_so() {
    let (_cluster, factory) = five();
    let other = factory.clone();
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    let error = other.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    assert_eq!(error.nodes().len(), 5);
    let refused = error
        .nodes()
        .iter()
        .filter(|node| node.status == Status::Contended);
    assert!(refused.count() >= 3, "{error:?}");
}

#[test]
fn many_pairs_one_after_the_other() {
    let (_cluster, factory) = five();
    for _ in 0..2_000 {
        let lock = factory.acquire("r", TTL, Wait::No).unwrap();
        lock.release().unwrap();
    }
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_released() {
    let (_cluster, factory) = five();
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        testkit::wait_until(Duration::from_secs(10), "the resource is locked", || {
            factory.is_locked("r").unwrap()
        });
        held.release().unwrap();
        assert!(waiter.join().unwrap().is_ok());
    });
}

#[test]
fn a_dropped_lock_is_given_back() {
    let (_cluster, factory) = five();
    drop(factory.acquire("r", TTL, Wait::No).unwrap());
    factory.acquire("r", TTL, Wait::Forever).unwrap();
}

#[test]
fn an_extension_sets_the_time_to_live_everywhere() {
    let (cluster, factory) = five();
    let lock = factory
        .acquire("r", Duration::from_secs(5), Wait::No)
        .unwrap();
    lock.extend(TTL * 2).unwrap();
    assert!(lock.validity() > TTL);
    testkit::wait_until(Duration::from_secs(10), "extended on all", || {
        cluster
            .iter()
            .all(|master| match master.command(&["PTTL", "r"]) {
                Reply::Integer(left) => left > 20_000,
                _ => false,
            })
    });
}

#[test]
fn threads_exclude_each_other() {
    let (_cluster, factory) = five();
    let mut counter = 0u64;
    let shared = std::sync::atomic::AtomicPtr::new(&mut counter);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
                    let place = shared.load(std::sync::atomic::Ordering::Relaxed);
                    // SAFETY: under the lock; a lost increment would show that it did not exclude.
                    unsafe {
                        let before = place.read_volatile();
                        std::thread::yield_now();
                        place.write_volatile(before + 1);
                    }
                    lock.release().unwrap();
                }
            });
        }
    });
    assert_eq!(counter, 16 * 50);
}
