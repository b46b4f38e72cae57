//! How long a lock is proven held: TTL less the time that passed less the drift of the clocks.

use crate::time::{self, MILLISECOND, Nanos};

/// What the servers' clocks may be faster than ours over the lifetime of a lock, plus the servers' resolution of
/// expiry (1 ms) and our own: TTL * 0.01 + 2 ms, as the Redlock specification has it.
pub(crate) fn drift(ttl_ms: u64) -> Nanos {
    time::from_ms(ttl_ms) / 100 + 2 * MILLISECOND
}

/// When a lock of `ttl_ms`, whose first command was handed to a socket at `started`, must be taken as lost.
/// Not after `started` for a TTL that the drift eats up whole.
pub(crate) fn valid_until(started: Nanos, ttl_ms: u64) -> Nanos {
    started
        .saturating_add(time::from_ms(ttl_ms))
        .saturating_sub(drift(ttl_ms))
}

/// What must be left for a success, at the decision and when the caller takes it: durations are whole milliseconds to most
/// callers, who would take less for nothing.
pub(crate) fn is_worth_having(left: Nanos) -> bool {
    left >= MILLISECOND
}

/// What is left at `now`, 0 when nothing is.
pub(crate) fn remaining(valid_until: Nanos, now: Nanos) -> Nanos {
    valid_until.saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_ttl_less_what_passed(
            started in 0..u64::MAX / 4,
            ttl_ms in 1..10_000_000_000u64,
            elapsed in 0..u64::MAX / 4,
        ) {
            let left = remaining(valid_until(started, ttl_ms), started + elapsed);
            let exact = i128::from(ttl_ms) * 1_000_000
                - i128::from(elapsed)
                - i128::from(ttl_ms) * 10_000
                - 2_000_000;
            prop_assert_eq!(i128::from(left), exact.max(0));
        }

        #[test]
        fn only_falls_as_time_passes(until: u64, now: u64, later: u64) {
            let (now, later) = (now.min(later), now.max(later));
            prop_assert!(remaining(until, later) <= remaining(until, now));
        }
    }

    #[test]
    fn a_ttl_shorter_than_the_drift_is_never_valid() {
        for ttl_ms in 1..=2 {
            assert_eq!(remaining(valid_until(1_000, ttl_ms), 1_000), 0);
        }
        let worth = |ttl_ms| is_worth_having(remaining(valid_until(1_000, ttl_ms), 1_000));
        assert!(!worth(3) && worth(4));
    }

    #[test]
    fn a_huge_ttl_does_not_wrap() {
        assert!(valid_until(u64::MAX - 5, u64::MAX) > u64::MAX / 2);
    }
}
