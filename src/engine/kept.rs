//! Locks that are kept alive: extended in time, and reported when they can't be.

use std::sync::{Arc, Weak};

use super::grant::Grant;
use super::queue::QueueState;
use super::sync::call_out;
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
    pub(crate) notice: Notice,
    /// When there is something to do next; a timer that is due before is an old one.
    pub(crate) due: Nanos,
    /// Whether an extension is under way.
    pub(crate) asking: bool,
}

impl Notice {
    pub(crate) fn tell(self, error: Error) {
        match self {
            Notice::None => {}
            Notice::Queue(queue, id) => queue.lost(id, error),
            Notice::Call(call) => call_out(|| call(error)),
        }
    }
}

/// In how long a lock is to be extended of whose validity so much is left: when a third of its TTL has passed.
pub(crate) fn next_after(ttl_ms: u64, validity: Nanos) -> Nanos {
    validity.saturating_sub(ttl_ms * MILLISECOND / 3 * 2)
}

/// The same for the first time: a little earlier, so that many locks that were taken at once are not extended at once.
pub(crate) fn first_after(ttl_ms: u64, validity: Nanos, random: u64) -> Nanos {
    let after = next_after(ttl_ms, validity);
    after - ((u128::from(random) * u128::from(after / 4)) >> 64) as Nanos
}

/// How long an extension may take that begins with so much validity left, until the lock is given up.
pub(crate) fn patience(ttl_ms: u64, validity: Nanos) -> Nanos {
    validity
        .saturating_sub(notice_time(ttl_ms))
        .max(validity / 2)
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
