//! Locks that are kept alive: extended in time, and reported when they can't be.

use std::sync::{Arc, Weak};

use super::grant::Grant;
use super::queue::QueueState;
use crate::clock::{MILLISECOND, Nanos};
use crate::error::Error;

/// Whom a loss is told.
pub(crate) enum Notice {
    /// Nobody; the lock's validity tells.
    None,
    /// An event of a queue, under that id.
    Queue(Arc<QueueState>, u64),
    /// A function, on the engine's thread.
    Call(Box<dyn FnOnce(Error) + Send>),
}

/// One lock that is kept alive.
pub(crate) struct Kept {
    pub(crate) grant: Weak<Grant>,
    /// Which call to keep the lock alive this is.
    pub(crate) call: u32,
    pub(crate) ttl_ms: u64,
    pub(crate) notice: Notice,
    /// Why it could not be extended when that was tried last.
    pub(crate) failure: Option<Error>,
}

impl Notice {
    pub(crate) fn tell(self, error: Error) {
        match self {
            Notice::None => {}
            Notice::Queue(queue, id) => queue.lost(id, error),
            Notice::Call(call) => call(error),
        }
    }
}

/// When a lock with that much validity left is extended for the first time: at up to a third of its TTL, spread out, so
/// that many locks that were taken at once are not extended at once; at once when more than that has passed.
pub(crate) fn first_after(ttl_ms: u64, validity: Nanos, random: u64) -> Nanos {
    let third = ttl_ms * MILLISECOND / 3;
    let after = validity.saturating_sub(2 * third).min(third);
    after - ((u128::from(random) * u128::from(after / 4)) >> 64) as Nanos
}

/// When it is extended again after a success.
pub(crate) fn next_after(ttl_ms: u64) -> Nanos {
    ttl_ms * MILLISECOND / 3
}

/// When it is tried again after a failure that may pass.
pub(crate) fn again_after(ttl_ms: u64) -> Nanos {
    (ttl_ms * MILLISECOND / 20).max(MILLISECOND)
}

/// How long before the end of its validity a lock that could not be extended is given up, so that its owner still has
/// time to stop.
pub(crate) fn notice_time(ttl_ms: u64) -> Nanos {
    ttl_ms * MILLISECOND / 10
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_lock_is_first_extended_before_two_thirds_of_its_ttl_are_left_or_at_once(
            ttl_ms in 1u64..86_400_000,
            left in 0.0..=1.0f64,
            random: u64,
        ) {
            let ttl = ttl_ms * MILLISECOND;
            let validity = (ttl as f64 * left) as Nanos;
            let after = first_after(ttl_ms, validity, random);
            prop_assert!(after <= ttl / 3);
            prop_assert!(after == 0 || validity - after >= ttl / 3 * 2);
        }
    }

    #[test]
    fn fresh_locks_are_first_extended_at_different_times() {
        let ttl = 9_000 * MILLISECOND;
        assert_eq!(first_after(9_000, ttl, 0), ttl / 3);
        assert!(first_after(9_000, ttl, u64::MAX) < ttl / 3 * 4 / 5);
    }
}
