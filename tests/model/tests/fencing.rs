//! The fencing protocol: fences rise and differ, and each rule of it is needed.

use model::fencing::{Acceptance, Bounds, Clocks, Fencing, Rules};
use model::{assert_broken, assert_holds, assert_possible};

/// The library's protocol, with clocks that may say anything.
fn fencing(attempts: usize, rounds: usize) -> Fencing {
    Fencing {
        attempts,
        rounds,
        proposals: attempts * rounds,
        rules: Rules::Sound,
        acceptance: Acceptance::ByHolder,
        clocks: Clocks::Unknown,
        losses: 0,
        reduced: true,
        ballots: 0,
    }
}

/// A node is kept out, and remembers, for just long enough.
const BOUNDS: Bounds = Bounds {
    ahead: 1,
    behind: 1,
    wander: 1,
    kept_out: 1 + 1 + 1 + 1,
    retention: 1 + 1 + 2 + 1,
    end: 6,
};

/// Two attempts among nodes whose clocks are bounded.
fn clocked(bounds: Bounds, losses: u8) -> Fencing {
    Fencing {
        clocks: Clocks::Bounded(bounds),
        losses,
        ballots: bounds.end + bounds.wander + 1,
        ..fencing(2, 1)
    }
}

/// The same, but a node accepts ballots whoever holds the lock, and for other resources too.
fn apart(fencing: Fencing) -> Fencing {
    Fencing {
        acceptance: Acceptance::Apart,
        ..fencing
    }
}

/// The variants below, with nodes and ballots by their own names, for a counter-example that can be read.
fn readable(rules: Rules, rounds: usize) -> Fencing {
    Fencing {
        rules,
        reduced: false,
        ballots: 2,
        ..fencing(2, rounds)
    }
}

#[test]
fn three_attempts() {
    assert_holds("3 attempts, 1 proposal each", fencing(3, 1));
}

#[test]
fn three_attempts_of_which_one_proposes_again() {
    let four = Fencing {
        proposals: 4,
        ..fencing(3, 2)
    };
    assert_holds("3 attempts, 4 proposals", four);
}

#[test]
fn two_attempts_that_propose_again() {
    assert_holds("2 attempts, 2 proposals each", fencing(2, 2));
}

#[test]
fn ballots_apart_from_locks() {
    assert_holds("apart: 3 attempts, 1 proposal each", apart(fencing(3, 1)));
    assert_holds("apart: 2 attempts, 2 proposals each", apart(fencing(2, 2)));
}

/// Whatever is accepted from the holder only may be accepted apart as well, so this is for both.
#[test]
fn nodes_that_lose_their_data_and_are_kept_out() {
    // Each node once, or one of them three times.
    let retention = 2 * BOUNDS.end;
    let lasting = Bounds {
        retention,
        ..BOUNDS
    };
    assert_holds(
        "apart: 2 attempts, 3 losses, kept out",
        apart(clocked(lasting, 3)),
    );
}

#[test]
fn nodes_that_forget_ballots_after_the_retention() {
    let kept_out = BOUNDS.end + 1;
    assert_holds(
        "apart: 2 attempts, ballots expire",
        apart(clocked(Bounds { kept_out, ..BOUNDS }, 0)),
    );
}

#[test]
fn fences_are_given_at_all() {
    assert_possible("all of 3 attempts succeed", fencing(3, 1), |_, state| {
        state.attempts.iter().all(|attempt| attempt.fence != 0)
    });
    assert_possible(
        "a second proposal wins after a success",
        fencing(2, 2),
        |_, state| {
            let [first, second, _] = state.attempts;
            first.fence != 0 && second.fence > first.fence && second.fence == second.ballots[1]
        },
    );
    assert_possible("a fence after a loss", clocked(BOUNDS, 1), |_, state| {
        state.losses == 1
            && state.nodes[0].back_at == 0
            && state.attempts[1].fence != 0
            && state.attempts[0].fence != 0
    });
}

#[test]
fn accepting_an_equal_ballot() {
    assert_broken(
        "an equal ballot is accepted",
        readable(Rules::AcceptEqual, 1),
    );
    assert_broken(
        "an equal ballot is accepted from the holder",
        readable(Rules::AcceptEqualIfOwn, 2),
    );
}

#[test]
fn counting_different_ballots_together() {
    assert_broken(
        "acceptances of different ballots count together",
        readable(Rules::MixBallots, 2),
    );
    assert_broken(
        "apart: acceptances of different ballots count together",
        apart(readable(Rules::MixBallots, 2)),
    );
}

#[test]
fn a_node_that_votes_right_after_amnesia() {
    let amnesia = Fencing {
        losses: 1,
        ..readable(Rules::Sound, 1)
    };
    assert_broken(
        "apart: a node votes after it lost its data",
        apart(amnesia.clone()),
    );
    assert_broken("a node votes right after it lost its data", amnesia);
}

#[test]
fn a_node_that_is_kept_out_too_briefly() {
    let kept_out = BOUNDS.kept_out - 1;
    assert_broken(
        "kept out too briefly",
        clocked(Bounds { kept_out, ..BOUNDS }, 1),
    );
}

#[test]
fn keeping_out_without_a_clock_s_bounds() {
    let end = BOUNDS.kept_out;
    let unbounded = Bounds {
        ahead: end,
        behind: end,
        end,
        ..BOUNDS
    };
    assert_broken(
        "kept out, ballots not bound to clocks",
        clocked(unbounded, 1),
    );
}

#[test]
fn forgetting_ballots_too_early() {
    let retention = BOUNDS.retention - 1;
    assert_broken(
        "ballots expire too early",
        clocked(
            Bounds {
                retention,
                ..BOUNDS
            },
            0,
        ),
    );
}
