//! The restart guard and extensions: one owner at a time, and what each rule is good for.

use model::guard::{Extending, Guard, Restarts, Which, holds};
use model::{assert_broken, assert_holds, assert_possible};

/// Two attempts; a node that restarted waits for just as long as the longest TTL.
fn restarts(guard: Guard) -> Restarts {
    Restarts {
        attempts: 2,
        guard,
        which: Which::Any,
        extending: Extending::Never,
        longest_ttl: 2,
        kept_out: 2,
    }
}

/// Two attempts that are extended, with TTLs of up to three ticks.
fn extended(extending: Extending) -> Restarts {
    Restarts {
        extending,
        longest_ttl: 3,
        kept_out: 3,
        ..restarts(Guard::Uptime)
    }
}

/// What clients know of nodes takes many states, so that time is coarser here.
fn exempting(guard: Guard, which: Which) -> Restarts {
    Restarts {
        which,
        longest_ttl: 1,
        kept_out: 1,
        ..restarts(guard)
    }
}

#[test]
fn kept_out_for_the_longest_ttl() {
    let three = Restarts {
        attempts: 3,
        ..restarts(Guard::Uptime)
    };
    assert_holds("kept out, 3 attempts", three);
}

#[test]
fn kept_out_until_witnessed() {
    let three = Restarts {
        attempts: 3,
        ..restarts(Guard::Witness)
    };
    assert_holds("kept out until witnessed, 3 attempts", three);
}

#[test]
fn a_set_that_was_just_started_is_exempt() {
    assert_holds(
        "exemption, few restarts",
        exempting(Guard::Auto, Which::FewAtOnce),
    );
}

#[test]
fn extensions_in_time() {
    assert_holds("extended in time, 2 attempts", extended(Extending::InTime));
}

#[test]
fn extensions_in_time_of_three_attempts() {
    let three = Restarts {
        attempts: 3,
        longest_ttl: 2,
        kept_out: 2,
        ..extended(Extending::InTime)
    };
    assert_holds("extended in time, 3 attempts, TTLs up to 2 ticks", three);
}

#[test]
fn locks_are_given_and_extended_at_all() {
    assert_possible(
        "a second owner after a restart",
        restarts(Guard::Uptime),
        |_, state| state.nodes.iter().any(|node| node.age < 2) && holds(&state.attempts[1]),
    );
    assert_possible(
        "exempt nodes grant a lock",
        exempting(Guard::Auto, Which::FewAtOnce),
        |_, state| state.nodes.iter().all(|node| node.age == 0) && holds(&state.attempts[0]),
    );
    assert_possible(
        "an extended lock",
        extended(Extending::InTime),
        |_, state| holds(&state.attempts[0]) && state.attempts[0].extended,
    );
}

/// What makes a late message harmless is that nothing gets shorter by it.
#[test]
fn an_extension_that_may_shorten() {
    assert_broken("an extension may shorten", extended(Extending::MayShorten));
}

#[test]
fn without_a_guard() {
    assert_broken("no guard", restarts(Guard::Off));
}

#[test]
fn kept_out_too_briefly() {
    let brief = Restarts {
        kept_out: 1,
        ..restarts(Guard::Uptime)
    };
    assert_broken("kept out too briefly", brief);
}

#[test]
fn a_verdict_that_outlives_the_boot() {
    assert_broken(
        "a verdict outlives the boot",
        restarts(Guard::VerdictOutlivesBoot),
    );
}

#[test]
fn a_server_whose_clock_was_set_forward() {
    assert_broken(
        "a server's clock is set forward",
        restarts(Guard::UptimeOfSteppedClock),
    );
}

#[test]
fn the_exemption_is_the_known_hole() {
    assert_broken(
        "exemption, many restarts",
        exempting(Guard::Auto, Which::Any),
    );
}

#[test]
fn a_set_that_counts_as_new_for_ever() {
    assert_broken(
        "exemption for ever, few restarts",
        exempting(Guard::AutoForEver, Which::FewAtOnce),
    );
}

#[test]
fn an_extension_that_is_decided_too_late() {
    assert_broken("extended too late", extended(Extending::Late));
}
