//! The queue of waiters when all goes well: they are served in order, none is forgotten, and what that hangs on.

use model::handover::{BARGING, Clients, Handover, Phase};
use model::scripts::Rules;
use model::{assert_broken, assert_holds, assert_possible};

fn handover() -> Handover {
    Handover {
        rules: Rules::Sound,
        barging: false,
        looks: [0, 0],
        patient: true,
        declines: true,
        clients: Clients::Sound,
        window: false,
        in_order: true,
        held_attempts: 0,
    }
}

/// Where calls that belong together may be far apart.
fn impatient() -> Handover {
    Handover {
        patient: false,
        ..handover()
    }
}

/// The same, in any order, and the first waiter looks once.
fn unordered(clients: Clients) -> Handover {
    Handover {
        looks: [1, 0],
        clients,
        in_order: false,
        ..impatient()
    }
}

/// A holder that keeps the lock and has it on two nodes, so that the third is tried in vain.
fn beside(rules: Rules) -> Handover {
    Handover {
        rules,
        looks: [1, 1],
        in_order: false,
        held_attempts: 7,
        ..impatient()
    }
}

fn following(rules: Rules) -> Handover {
    Handover {
        rules,
        ..handover()
    }
}

#[test]
fn waiters_that_also_look() {
    let looking = Handover {
        looks: [1, 1],
        ..handover()
    };
    assert_holds("hand-over, a look each", looking);
}

#[test]
fn one_that_barges() {
    let barging = Handover {
        barging: true,
        ..handover()
    };
    assert_holds("hand-over, 1 barges", barging);
}

/// The window is for one that barges, and no waiter is forgotten for it.
fn open() -> Handover {
    Handover {
        window: true,
        in_order: false,
        ..handover()
    }
}

#[test]
fn a_window_for_those_who_do_not_queue() {
    assert_holds("hand-over, a window", open());
    let barging = Handover {
        barging: true,
        ..open()
    };
    assert_possible("one that barges gets it", barging, |_, state| {
        state.clients[BARGING].phase == Phase::Held
    });
}

#[test]
fn whoever_opens_a_window_says_when_it_closes() {
    let silent = Handover {
        rules: Rules::WindowTellsNobody,
        ..open()
    };
    assert_broken("a window of which nobody is told", silent);
}

#[test]
fn served_in_any_order_when_calls_are_far_apart() {
    let unordered = Handover {
        in_order: false,
        ..impatient()
    };
    assert_holds("hand-over, calls far apart", unordered);
}

#[test]
fn served_in_any_order_with_a_look() {
    assert_holds(
        "hand-over, calls far apart, a look",
        unordered(Clients::Sound),
    );
}

#[test]
fn one_that_does_not_decline() {
    let undeclining = Handover {
        declines: false,
        ..handover()
    };
    assert_holds("hand-over, no call is declined", undeclining);
}

#[test]
fn the_lock_is_handed_over_at_all() {
    assert_possible("both are served", handover(), |_, state| {
        state.clients[..2].iter().all(|it| it.phase == Phase::Done)
    });
}

#[test]
fn the_order_hangs_on_calls_that_come_together() {
    assert_broken("in order, calls far apart", impatient());
}

#[test]
fn a_reservation_is_for_one_waiter() {
    assert_broken(
        "anybody takes a reserved lock",
        following(Rules::ReservationsIgnored),
    );
}

#[test]
fn whoever_releases_calls() {
    assert_broken("a release calls nobody", following(Rules::CallsNobody));
}

/// A node refuses a waiter that gathers, and calls it before the attempt is over.
#[test]
fn a_call_that_is_forgotten() {
    assert_broken("a call is forgotten", unordered(Clients::Forgetful));
}

#[test]
fn a_call_after_the_win_that_is_ignored() {
    assert_broken("a call after the win is ignored", unordered(Clients::Deaf));
}

/// An attempt fails, and 5 ms after it began the waiter leaves the queue of a node that has not called.
#[test]
fn the_time_for_calls_ends_with_the_attempt() {
    assert_broken(
        "the time for calls outlives its attempt",
        unordered(Clients::LeavingLate),
    );
}
#[test]
fn whoever_steps_back_is_not_called_for_it() {
    assert_holds(
        "a free node beside a holder, a look each",
        beside(Rules::Sound),
    );
    assert_broken(
        "a failed attempt is given back as a lock",
        beside(Rules::FailureCalls),
    );
    assert_broken(
        "a failed attempt calls the next and waits on",
        beside(Rules::FailureCallsAndRejoins),
    );
}

#[test]
fn whoever_leaves_calls_the_next() {
    let leaving = Handover {
        looks: [1, 1],
        ..following(Rules::LeavingCallsNobody)
    };
    assert_broken("leaving a free lock calls nobody", leaving);
}
