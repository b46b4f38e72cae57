//! The queue of waiters when all goes well: they are served in order, none is forgotten, and what that hangs on.

use model::handover::{Handover, Phase};
use model::scripts::Rules;
use model::{assert_broken, assert_holds, assert_possible};

fn handover() -> Handover {
    Handover {
        rules: Rules::Sound,
        barging: false,
        looks: [0, 0],
        patient: true,
        declines: true,
        remembers: false,
        in_order: true,
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
fn remembering(remembers: bool) -> Handover {
    Handover {
        looks: [1, 0],
        remembers,
        in_order: false,
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

#[test]
fn served_in_any_order_when_calls_are_far_apart() {
    let unordered = Handover {
        in_order: false,
        ..impatient()
    };
    assert_holds("hand-over, calls far apart", unordered);
}

/// The library does not remember: see `a_call_that_is_forgotten`.
#[test]
fn calls_that_are_remembered() {
    assert_holds(
        "hand-over, calls far apart, looks, calls remembered",
        remembering(true),
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

/// A node refuses a waiter that gathers, and calls it before the attempt is over. The library drops that call, and the
/// waiter rests until its next look although the lock is free.
#[test]
fn a_call_that_is_forgotten() {
    assert_broken("hand-over, calls far apart, looks", remembering(false));
}
