//! Cancellation and the completion queue: one event for each operation, and no lock that nobody knows of.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{PATIENCE, TTL, calls, eventually, occupy, vacate};
use redlock::{Completion, Event, EventKind, Factory, Queue, Status, Wait};
use testkit::{Cluster, Fault, Proxy};

/// Takes `count` events, however long they take.
fn take(queue: &Queue, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let got = queue
            .next(&mut events, count, Some(PATIENCE))
            .expect("the queue is open");
        assert!(got > 0, "{} of {count} events have come", events.len());
    }
    events
}

fn take_one(queue: &Queue) -> Event {
    take(queue, 1).remove(0)
}

fn is_readable(queue: &Queue) -> bool {
    let mut poll = libc::pollfd {
        fd: queue.fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 }
}

/// What was asked before this has been dealt with, by the engine and by the nodes, when it returns.
fn barrier(cluster: &Cluster, factory: &Factory) {
    let all = cluster.len();
    let lock = factory.acquire("barrier", TTL, Wait::No).unwrap();
    eventually("the barrier on all", || {
        cluster.keys_holding("barrier") == all
    });
    lock.release().unwrap();
    eventually("the barrier's end", || cluster.keys_holding("barrier") == 0);
}

fn nothing_is_left(cluster: &Cluster, factory: &Factory) {
    barrier(cluster, factory);
    eventually("nothing to be left", || common::no_locks(cluster));
}

#[test]
fn a_dropped_future_takes_no_lock() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster.iter().for_each(|server| occupy(server, "r"));
    let mut waiter = factory.acquire_async("r", TTL, Wait::Forever);
    eventually("an attempt", || calls(&cluster[0], "set") > 1);
    assert!(common::is_pending(&mut waiter));
    drop(waiter);
    barrier(&cluster, &factory);
    cluster.iter().for_each(|server| vacate(server, "r"));
    nothing_is_left(&cluster, &factory);
}

#[test]
fn a_future_that_is_dropped_in_mid_flight_has_its_grants_released() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::patient()).unwrap();
    common::all_connected(&factory);
    proxies.iter().for_each(|proxy| proxy.set(Fault::Hold));
    drop(factory.acquire_async("r", TTL, Wait::No));
    factory.check().unwrap();
    proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
    eventually("the grants to land", || {
        cluster.iter().all(|server| calls(server, "set") > 0)
    });
    nothing_is_left(&cluster, &factory);
}

/// The clean-up of a cancelled acquire is not cancelled with it, nor when its factory goes at once.
#[test]
fn a_cancelled_acquire_is_cleaned_up_though_its_factory_is_dropped() {
    let cluster = Cluster::start(3);
    for _ in 0..50 {
        let factory = common::factory(&cluster);
        drop(factory.acquire_async("r", TTL, Wait::No));
        drop(factory);
    }
    let factory = common::factory(&cluster);
    nothing_is_left(&cluster, &factory);
}

#[test]
fn a_storm_of_dropped_futures_leaves_nothing_behind() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let factory = &factory;
            scope.spawn(move || {
                for round in 0..500 {
                    let name = format!("r{}", round % 7);
                    let mut future = factory.acquire_async(&name, TTL, Wait::Forever);
                    // So that they are dropped before, while and after they are won.
                    for _ in 0..(round * 37 + thread) % 200 {
                        if !common::is_pending(&mut future) {
                            break;
                        }
                    }
                }
            });
        }
    });
    nothing_is_left(&cluster, &factory);
}

#[test]
fn a_storm_of_cancellations_ends_each_acquire_in_one_event_and_leaves_nothing_behind() {
    const COUNT: u64 = 2_000;
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    let mut outcomes: HashMap<u64, Status> = HashMap::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 0..COUNT {
                let name = format!("r{}", id % 11);
                factory
                    .submit_acquire(&name, TTL, Wait::Forever, &queue, id)
                    .unwrap();
                // Some while they are under way, some when they have ended. An event that was taken can't be cancelled.
                if id % 3 != 0 {
                    let _ = queue.cancel(id.saturating_sub(id % 5));
                    let _ = queue.cancel(id);
                }
            }
        });
        for event in (0..COUNT).map(|_| take_one(&queue)) {
            let status = match event.result {
                // The lock is dropped here, for the next one.
                Ok(Completion::Acquired(_)) => Status::Ok,
                Ok(other) => panic!("{other:?}"),
                Err(error) => error.status(),
            };
            assert!(matches!(status, Status::Ok | Status::Cancelled));
            assert_eq!(outcomes.insert(event.id, status), None);
        }
    });
    assert_eq!(outcomes.len() as u64, COUNT);
    assert!(!is_readable(&queue));
    nothing_is_left(&cluster, &factory);
}

/// A cancellation may come from another thread before the operation has reached the engine. It must not be lost: this
/// one would wait for ever.
#[test]
fn a_cancellation_that_is_faster_than_its_operation_counts() {
    let cluster = Cluster::start(1);
    let factory = common::factory(&cluster);
    occupy(&cluster[0], "r");
    let queue = Queue::new().unwrap();
    std::thread::scope(|scope| {
        let canceller = scope.spawn(|| {
            for id in 0..3_000 {
                while queue.cancel(id).is_err() {
                    std::hint::spin_loop();
                }
            }
        });
        for id in 0..3_000 {
            factory
                .submit_acquire("r", TTL, Wait::Forever, &queue, id)
                .unwrap();
            let event = take_one(&queue);
            assert_eq!(event.result.unwrap_err().status(), Status::Cancelled);
        }
        canceller.join().unwrap();
    });
}

#[test]
fn a_waiter_is_cancelled_while_it_rests() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster.iter().for_each(|server| occupy(server, "r"));
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 7)
        .unwrap();
    eventually("several attempts", || calls(&cluster[0], "set") > 4);
    queue.cancel(7).unwrap();
    let event = take_one(&queue);
    assert_eq!((event.id, event.kind), (7, EventKind::Acquire));
    assert_eq!(event.result.unwrap_err().status(), Status::Cancelled);
    assert_eq!(
        queue.cancel(7).unwrap_err().status(),
        Status::InvalidArgument
    );
}

#[test]
fn a_won_lock_whose_event_waits_can_still_be_cancelled() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::No, &queue, 1)
        .unwrap();
    eventually("the event", || is_readable(&queue));
    queue.cancel(1).unwrap();
    let event = take_one(&queue);
    assert_eq!(event.result.unwrap_err().status(), Status::Cancelled);
    nothing_is_left(&cluster, &factory);
}

#[test]
fn a_release_and_an_extension_are_not_stopped() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.submit_extend(TTL, &queue, 1).unwrap();
    let _ = queue.cancel(1);
    lock.submit_release(&queue, 2).unwrap();
    let _ = queue.cancel(2);
    let mut events = take(&queue, 2);
    events.sort_by_key(|event| event.id);
    assert!(matches!(events[0].result, Ok(Completion::Extended(_))));
    assert!(matches!(events[1].result, Ok(Completion::Released)));
    nothing_is_left(&cluster, &factory);
}

#[test]
fn the_descriptor_is_readable_exactly_while_events_wait() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    assert!(!is_readable(&queue));
    for id in 0..10 {
        factory.submit_is_locked("r", &queue, id).unwrap();
    }
    let mut taken = 0;
    while taken < 10 {
        eventually("the descriptor to be readable", || is_readable(&queue));
        let got = take_one(&queue);
        assert!(matches!(got.result, Ok(Completion::IsLocked(false))));
        taken += 1;
    }
    assert!(!is_readable(&queue));
    let mut events = Vec::new();
    assert_eq!(queue.next(&mut events, 1, Some(Duration::ZERO)).unwrap(), 0);
}

#[test]
fn a_closed_queue_gives_back_what_was_won_and_what_will_be() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let held = factory.acquire("held", TTL, Wait::No).unwrap();
    for round in 0..50 {
        let queue = Queue::new().unwrap();
        for id in 0..20 {
            let name = format!("r{id}");
            factory
                .submit_acquire(&name, TTL, Wait::Forever, &queue, id)
                .unwrap();
        }
        factory
            .submit_acquire("held", TTL, Wait::Forever, &queue, 100)
            .unwrap();
        match round % 2 {
            0 => queue.close(),
            _ => drop(queue),
        }
    }
    held.release().unwrap();
    nothing_is_left(&cluster, &factory);
}

#[test]
fn a_thread_that_waits_for_events_is_woken_by_the_close() {
    let queue = Queue::new().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| queue.next(&mut Vec::new(), 1, None));
        queue.close();
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.status(), Status::Closed);
    });
}

#[test]
fn ten_thousand_acquires_wait_without_a_thread_each() {
    const COUNT: u64 = 10_000;
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    for id in 0..COUNT {
        let name = format!("r{id}");
        factory
            .submit_acquire(&name, TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    assert!(threads < 500, "{threads} threads");
    let mut locks = Vec::new();
    for event in take(&queue, COUNT as usize) {
        match event.result {
            Ok(Completion::Acquired(lock)) => locks.push(lock),
            other => panic!("{other:?}"),
        }
    }
    for (lock, id) in locks.iter().zip(0..) {
        lock.submit_release(&queue, id).unwrap();
    }
    for event in take(&queue, COUNT as usize) {
        assert!(matches!(event.result, Ok(Completion::Released)));
    }
    nothing_is_left(&cluster, &factory);
}
