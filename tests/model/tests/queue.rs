//! The queue of waiters when anything may go wrong, and what its rules are good for.

use model::queue::Client::{Barges, Waits};
use model::queue::{Client, Queue, holds};
use model::scripts::{Key, Rules};
use model::{assert_broken, assert_holds, assert_possible};

const TWO: &[Client] = &[Waits(0), Waits(1)];

/// Two waiters, and one that does not wait.
const THREE: &[Client] = &[Waits(0), Waits(1), Barges];

/// The same, where a waiter tries twice.
const FOUR: &[Client] = &[Waits(0), Waits(1), Waits(0), Barges];

fn queue(attempts: &'static [Client]) -> Queue {
    Queue {
        attempts,
        rules: Rules::Sound,
        calls_are_votes: false,
        ttl: 2,
        losses: 0,
        kept_out: 2,
        ballots: 0,
        windows: false,
        one_process: false,
    }
}

/// Locks that may end at any step, and what fences make of it.
fn fenced(attempts: &'static [Client]) -> Queue {
    Queue {
        ttl: 0,
        ballots: 2, // Two attempts propose one each: these are all the orders that they can have.
        ..queue(attempts)
    }
}

fn following(rules: Rules) -> Queue {
    Queue {
        rules,
        ..queue(TWO)
    }
}

#[test]
fn waiters_and_one_that_barges() {
    assert_holds("queue, 4 attempts of 3 clients", queue(FOUR));
}

#[test]
fn nodes_that_lose_their_data_and_are_kept_out() {
    let losing = Queue {
        losses: 2,
        ..queue(THREE)
    };
    assert_holds("queue, 3 attempts, 2 losses", losing);
}

#[test]
fn windows_for_those_who_do_not_queue() {
    let open = Queue {
        windows: true,
        ..queue(THREE)
    };
    assert_holds("queue, 3 attempts, windows", open);
}

#[test]
fn waiters_of_one_process() {
    let together = Queue {
        one_process: true,
        ..queue(FOUR)
    };
    assert_holds("queue, 4 attempts, waiters of one process", together);
}

#[test]
fn fences_rise_for_waiters_too() {
    assert_holds("queue with fences, 2 attempts", fenced(TWO));
}

#[test]
fn waiters_are_served_at_all() {
    assert_possible("both waiters get the lock", fenced(TWO), |_, state| {
        state.attempts[..2].iter().all(|it| it.fence != 0)
    });
    assert_possible("a lock beside a reservation", queue(THREE), |_, state| {
        let is_reserved = |key| matches!(key, Key::Reserved(_));
        holds(&state.attempts[0]) && state.nodes.iter().any(|node| is_reserved(node.lock.key))
    });
    assert_possible("one that barges is the owner", queue(THREE), |_, state| {
        holds(&state.attempts[2]) && state.nodes.iter().all(|node| node.lock.queue == 3)
    });
}

#[test]
fn a_call_is_no_vote() {
    let counting = Queue {
        calls_are_votes: true,
        ..queue(THREE)
    };
    assert_broken("a call is taken for a vote", counting);
}

#[test]
fn whoever_is_called_is_off_the_queue() {
    assert_broken(
        "a waiter that is called stays the first",
        following(Rules::NeverPopped),
    );
}

#[test]
fn whoever_does_not_answer_leaves() {
    assert_broken(
        "a waiter that does not answer is called again",
        following(Rules::SilenceIgnored),
    );
}

#[test]
fn a_reservation_runs_out() {
    assert_broken(
        "a reservation without an end",
        following(Rules::NeverExpires),
    );
}

#[test]
fn whoever_finds_the_lock_free_calls_the_first() {
    assert_broken(
        "the first alone makes reservations",
        following(Rules::FirstOnly),
    );
}

#[test]
fn whoever_leaves_gives_up_only_its_own_reservation() {
    assert_broken("leaving frees the lock", following(Rules::LeavingFrees));
}

#[test]
fn kept_out_too_briefly() {
    let brief = Queue {
        losses: 3,
        kept_out: 1,
        ..queue(TWO)
    };
    assert_broken("queue, kept out too briefly", brief);
}
