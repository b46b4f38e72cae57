//! Locks that are kept alive: extended in time, and reported when they can't be.

use std::sync::{Arc, Weak};

use super::delivery::Unlocked;
use super::grant::Grant;
use super::queue::QueueState;
use crate::callbacks;
use crate::clock::{MILLISECOND, Nanos};
use crate::error::Error;

/// Whom a loss is told.
pub(crate) enum Notice {
    /// Nobody; the lock's validity tells.
    None,
    /// An event of a queue, under that id.
    Queue(Arc<QueueState>, u64),
    /// A function, on a thread of its own.
    Call(OnLoss),
}

/// A function of the application's, which may block, and so may the end of what it owns: neither happens on the thread
/// that has this.
pub(crate) struct OnLoss {
    function: Option<Box<dyn FnOnce(Error) + Send>>,
    owns_something: bool,
}

impl OnLoss {
    pub(crate) fn new<F: FnOnce(Error) + Send + 'static>(function: F) -> OnLoss {
        OnLoss {
            function: Some(Box::new(function)),
            owns_something: std::mem::needs_drop::<F>(),
        }
    }

    fn call(mut self, error: Error) {
        if let Some(function) = self.function.take() {
            callbacks::run(move || function(error));
        }
    }
}

impl Drop for OnLoss {
    fn drop(&mut self) {
        if let Some(function) = self.function.take()
            && self.owns_something
        {
            callbacks::run_later(move || drop(function));
        }
    }
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
    pub(super) fn tell(self, error: Error, _: &Unlocked) {
        match self {
            Notice::None => {}
            Notice::Queue(queue, id) => queue.lost(id, error),
            Notice::Call(function) => function.call(error),
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
