//! A lock that was won: what is needed to extend and to release it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::nodes::NodeSet;
use super::operation::Operation;
use super::ticket::Ticket;
use crate::clock::{self, Nanos};
use crate::logic::quorum::NodeMask;
use crate::logic::validity;
use crate::token::Token;

/// A won lock. Shared between its owner's handle and the operations on it.
pub(crate) struct Grant {
    pub(crate) set: Arc<NodeSet>,
    pub(crate) resource: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) token: Token,
    /// The nodes that took the lock, or may have: those that a release must reach.
    pub(crate) nodes: NodeMask,
    valid_until: AtomicU64,
    /// How many extensions have begun.
    extensions: AtomicU64,
    released: AtomicBool,
}

impl Grant {
    pub(crate) fn new(
        set: Arc<NodeSet>,
        (resource, key): (Arc<str>, Arc<str>),
        token: Token,
        nodes: NodeMask,
        valid_until: Nanos,
    ) -> Grant {
        Grant {
            set,
            resource,
            key,
            token,
            nodes,
            valid_until: AtomicU64::new(valid_until),
            extensions: AtomicU64::new(0),
            released: AtomicBool::new(false),
        }
    }

    /// For how long the lock is still proven held.
    pub(crate) fn validity(&self) -> Nanos {
        match self.is_released() {
            true => 0,
            false => self.time_left(),
        }
    }

    /// For how long nodes may still hold it, also when it has been given back.
    pub(crate) fn time_left(&self) -> Nanos {
        validity::remaining(self.valid_until.load(Ordering::Acquire), clock::now())
    }

    /// An extension begins: from here on some node may have the new time to live, whatever comes of the vote. Returns
    /// the extension's turn.
    pub(crate) fn begin_extension(&self, until: Nanos) -> u64 {
        self.valid_at_most_until(until);
        self.extensions.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A quorum took the new time to live. If a later extension has begun since, nodes may have that one's already.
    pub(crate) fn extended_until(&self, at: Nanos, turn: u64) {
        if turn == self.extensions.load(Ordering::Acquire) {
            self.valid_until.store(at, Ordering::Release);
        }
    }

    /// Some node may have taken a time to live that ends earlier than the present one.
    fn valid_at_most_until(&self, at: Nanos) {
        self.valid_until.fetch_min(at, Ordering::AcqRel);
    }

    /// The lock is not held any more, whoever ended it.
    pub(crate) fn lost(&self) {
        self.valid_at_most_until(0);
    }

    /// Marks the lock as given back; false if it was already.
    pub(crate) fn begin_release(&self) -> bool {
        !self.released.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

/// The owner's side of a grant: dropping it gives the lock back in the background.
pub(crate) struct Held(pub(crate) Arc<Grant>);

impl Drop for Held {
    fn drop(&mut self) {
        let grant = &self.0;
        // In a forked child the lock is the parent's; there is nothing to give back.
        if grant.set.is_inherited() || !grant.begin_release() {
            return;
        }
        let ticket = Ticket::for_background(Arc::clone(&grant.set));
        let release = Operation::release(grant, Some(ticket));
        grant.set.runtime.submit(release);
    }
}
