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
    pub(crate) ttl_ms: u64,
    pub(crate) notice: Notice,
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

/// When a lock is extended for the first time: at up to a third of its TTL, spread out, so that many locks that were
/// taken at once are not extended at once.
pub(crate) fn first_after(ttl_ms: u64, random: u64) -> Nanos {
    let third = ttl_ms * MILLISECOND / 3;
    third - ((u128::from(random) * u128::from(third / 4)) >> 64) as Nanos
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
