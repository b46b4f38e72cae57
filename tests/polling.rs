//! How often a waiter asks by itself, where nobody will call it: seldom enough to be no burden.

mod common;

use std::time::Duration;

use common::{calls, options_with};
use redlock::{Factory, Status, Wait};
use testkit::Cluster;

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
