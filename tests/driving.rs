//! Callers that wait for a lock for long, alone: they drive the engine themselves, and its thread sleeps.

mod common;

use std::thread;

use common::threads::comes_to_rest;
use common::{TTL, child};
use redlock::{Factory, Status, Wait};
use testkit::Cluster;

/// Runs the test again in a process of its own, where nobody else uses the engine, with these nodes.
fn alone(test: &str) -> Option<Factory> {
    let Some(role) = child::role() else {
        child::run_alone(test, &Cluster::start(3));
        return None;
    };
    let factory = Factory::with_options(&child::urls(&role), &common::options()).unwrap();
    common::all_connected(&factory);
    Some(factory)
}

#[test]
fn one_who_waits_alone_drives_until_there_is_company() {
    let Some(factory) = alone("one_who_waits_alone_drives_until_there_is_company") else {
        return;
    };
    for _ in 0..3 {
        let held = factory.acquire("r", TTL, Wait::No).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
            comes_to_rest("rest while a thread waits for a lock");
            // Company, while the other waits on.
            for _ in 0..100 {
                common::works_again(&factory, "other");
            }
            assert!(!waiter.is_finished());
            held.release().unwrap();
            waiter.join().unwrap().unwrap().release().unwrap();
        });
    }
    comes_to_rest("rest when nobody waits any more");
}

#[test]
fn one_who_drives_is_told_that_the_factory_is_closed() {
    let Some(factory) = alone("one_who_drives_is_told_that_the_factory_is_closed") else {
        return;
    };
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        comes_to_rest("rest while a thread waits for a lock");
        factory.close();
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.status(), Status::Closed, "{error:?}");
    });
    held.release().unwrap();
}
