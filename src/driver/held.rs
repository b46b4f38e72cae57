//! The owner's side of a lock: dropping it gives the lock back.

use std::sync::Arc;

use super::open_set::OpenSet;
use crate::clock::{self, Nanos};
use crate::protocol::grant::Grant;

/// The owner's side of a grant: dropping it gives the lock back in the background.
pub(crate) struct Held {
    pub(crate) grant: Arc<Grant>,
    pub(crate) set: Arc<OpenSet>,
}

impl Held {
    /// For how long the lock is still proven held.
    pub(crate) fn validity(&self) -> Nanos {
        self.grant.validity(clock::now())
    }

    /// For how long nodes may still hold it, also when it has been given back.
    pub(crate) fn time_left(&self) -> Nanos {
        self.grant.time_left(clock::now())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // In a forked child the lock is the parent's; there is nothing to give back.
        if !self.set.is_inherited() && self.grant.begin_release() {
            self.set.give_back(&self.grant);
        }
    }
}
