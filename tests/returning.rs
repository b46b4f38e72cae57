//! A success is worth something when it is returned: a lock whose validity has ended by then is no success.

mod common;

use std::time::Duration;

use common::{TTL, block_on, eventually};
use redlock::{Completion, EventKind, Factory, Lock, Queue, Status, Wait};
use testkit::Cluster;

const SHORT: Duration = Duration::from_millis(300);

fn three() -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    (cluster, factory)
}

/// Lets pass what the lock lasts for: its keys come, and run out.
fn runs_out(cluster: &Cluster) {
    eventually("the lock to be taken", || {
        common::calls(&cluster[0], "set") > 0
    });
    eventually("the lock to run out", || cluster.keys_holding("r") == 0);
}

/// What is less than a millisecond is nothing to the languages that count them.
#[test]
fn a_ttl_of_which_no_millisecond_is_left_is_never_a_success() {
    let (cluster, factory) = three();
    for ttl_ms in 1..=3 {
        let ttl = Duration::from_millis(ttl_ms);
        for _ in 0..50 {
            let error = factory.acquire("r", ttl, Wait::No).unwrap_err();
            assert_eq!(error.status(), Status::Expired, "{error:?}");
            assert!(error.message().contains("use a longer one"), "{error}");
        }
        let error = factory.acquire("r", ttl, Wait::Forever).unwrap_err();
        assert_eq!(error.status(), Status::Expired, "{error:?}");
    }
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
    // To last for 3 ms more is no wish that a lock which lasts for longer could not fulfil.
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    lock.extend(Duration::from_millis(3)).unwrap();
    assert!(lock.validity() > TTL / 2);
}

#[test]
fn a_lock_that_has_run_out_before_its_future_is_polled_is_no_success() {
    let (cluster, factory) = three();
    let acquire = factory.acquire_async("r", SHORT, Wait::No);
    runs_out(&cluster);
    let error = block_on(acquire).unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");
    assert!(error.message().contains("300 ms"), "{error}");
    common::works_again(&factory, "r");
}

#[test]
fn a_lock_that_has_run_out_before_its_event_is_taken_is_no_success() {
    let (cluster, factory) = three();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", SHORT, Wait::No, &queue, 1)
        .unwrap();
    runs_out(&cluster);
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    let event = events.pop().unwrap();
    assert_eq!((event.id, event.kind), (1, EventKind::Acquire));
    assert_eq!(event.result.unwrap_err().status(), Status::Expired);
    common::works_again(&factory, "r");
}

/// A lock that is extended, and runs out then before anybody hears of it.
fn extended_and_over(begin: impl FnOnce(&Lock)) {
    let (cluster, factory) = three();
    let lock = factory
        .acquire("r", Duration::from_secs(2), Wait::No)
        .unwrap();
    begin(&lock);
    eventually("the extension to arrive", || {
        common::calls(&cluster[0], "evalsha") > 0
    });
    runs_out(&cluster);
    eventually("its validity to end", || lock.validity().is_zero());
    std::mem::forget(lock);
}

#[test]
fn an_extension_that_is_over_before_it_is_heard_of_is_no_success() {
    let mut extension = None;
    extended_and_over(|lock| extension = Some(lock.extend_async(SHORT)));
    let error = block_on(extension.unwrap()).unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");

    let queue = Queue::new().unwrap();
    extended_and_over(|lock| lock.submit_extend(SHORT, &queue, 1).unwrap());
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    let error = events.pop().unwrap().result.unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");
}

/// That its lock was given back meanwhile takes nothing from an extension.
#[test]
fn an_extension_is_a_success_although_its_lock_was_given_back_since() {
    let (_cluster, factory) = three();
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.submit_extend(TTL, &queue, 1).unwrap();
    lock.release().unwrap();
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    let Ok(Completion::Extended(left)) = events.pop().unwrap().result else {
        panic!("it was extended");
    };
    assert!(left > TTL / 2);
}
