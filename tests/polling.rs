//! How often a waiter asks by itself, where nobody will call it: seldom enough to be no burden.

mod common;

use std::time::Duration;

use common::{calls, options_with};
use redlock::{Factory, Queue, Status, Wait};
use testkit::{Cluster, Server};

/// The waiter's budget, and a bound of what it asks each node in it: the rest doubles from 2 to 50 ms. On a machine that is
/// busy it is less.
const BUDGET: Duration = Duration::from_secs(1);
const QUESTIONS: u64 = 100;

fn a_waiter_asks_seldom(protocol: &str, holder: &[&str]) {
    let cluster = Cluster::start(3);
    let options = options_with(&[("protocol", protocol), ("fair", "on")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    cluster.command_all(holder);
    let error = factory.acquire("r", BUDGET, Wait::For(BUDGET)).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    for server in cluster.iter() {
        // A waiter's question is a script, whoever else asks begins with SET.
        let questions = calls(server, "evalsha") + calls(server, "set");
        assert!((1..QUESTIONS).contains(&questions), "{questions} questions");
    }
}

const OURS: &str = "0123456789012345678901234567890123456789";

#[test]
fn for_a_lock_of_ours_that_runs_out_late() {
    a_waiter_asks_seldom("resp3", &["SET", "r", OURS, "PX", "100000"]);
}

/// Messages in between the answers need RESP3.
#[test]
fn over_a_connection_on_which_it_cannot_be_called() {
    a_waiter_asks_seldom("resp2", &["SET", "r", OURS, "PX", "100000"]);
}

#[test]
fn for_a_lock_of_another_library() {
    a_waiter_asks_seldom("resp3", &["SET", "r", "other", "PX", "100000"]);
}

#[test]
fn for_a_lock_that_is_a_hash() {
    a_waiter_asks_seldom("resp3", &["HSET", "r", "other:1", "1"]);
}

/// How often a node was asked for the lock.
fn questions(server: &Server) -> u64 {
    calls(server, "evalsha") + calls(server, "set")
}

/// It is of no lock library, so nobody calls when it goes.
#[test]
fn for_a_key_that_never_expires_as_for_one_of_another_library() {
    let [endless, ours] = [["SET", "r", "data"], ["SET", "r", OURS]].map(|words| {
        let cluster = Cluster::start(3);
        cluster.command_all(&words);
        cluster
    });
    ours.command_all(&["PEXPIRE", "r", "100000"]);
    let queue = Queue::new().unwrap();
    let factories = [&endless, &ours].map(|cluster| {
        let options = options_with(&[("fair", "on")]);
        let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
        common::all_connected(&factory);
        factory
    });
    for (id, factory) in (0..).zip(&factories) {
        factory
            .submit_acquire("r", BUDGET, Wait::Forever, &queue, id)
            .unwrap();
    }
    common::eventually("it is looked at again and again", || {
        questions(&endless[0]) > 40
    });
    if common::nodes_call() {
        let asked = questions(&ours[0]);
        assert!(asked < 20, "{asked} questions for a lock that calls");
    }
    common::vacate_all(&endless, "r");
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    assert_eq!(events[0].id, 0);
    queue.cancel(1).unwrap();
}

/// Whoever waited for it in vain is told what it is, however it waited.
#[test]
fn a_key_that_never_expires_is_named_after_the_wait() {
    let ways: [&[(&str, &str)]; 4] = [
        &[("fair", "on")],
        &[("fair", "off")],
        &[("fair", "off"), ("fencing", "off")],
        &[("protocol", "resp2")],
    ];
    let cluster = Cluster::start(3);
    for way in ways {
        let factory = Factory::with_options(&cluster.urls(), &options_with(way)).unwrap();
        common::all_connected(&factory);
        let wait = Wait::For(Duration::from_millis(100));
        let fails = |names: &[&str]| factory.acquire_many(names, BUDGET, wait).unwrap_err();
        for (key, words) in [
            (["SET", "r", "data"], "never expires"),
            (["LPUSH", "r", "data"], "not a string"),
        ] {
            cluster.command_all(&["DEL", "r"]);
            cluster.command_all(&key);
            for names in [&["r"][..], &["q", "r"]] {
                // On a busy machine a single attempt may take all of the wait.
                common::eventually("the key to be named", || {
                    let error = fails(names);
                    assert_eq!(error.status(), Status::Contended);
                    let named = |node: &redlock::NodeReport| node.message.contains(words);
                    error.message().contains(words) && error.nodes().iter().any(named)
                });
            }
        }
        cluster.command_all(&["SET", "r", OURS, "PX", "100000"]);
        for names in [&["r"][..], &["q", "r"]] {
            let error = fails(names);
            assert!(!error.message().contains("expires"), "{way:?}: {error:?}");
        }
        cluster.command_all(&["DEL", "r"]);
    }
}
