//! Which nodes a lock is on, and that it is given back: two things that threads change at the same time.

use super::atomic::{AtomicBool, AtomicU64, Ordering};

/// A set of nodes that grows until the lock is given back.
#[derive(Debug)]
pub(crate) struct Placement {
    /// The nodes that took the lock, or may have: those that a release must reach. One bit for each.
    nodes: AtomicU64,
    released: AtomicBool,
}

impl Placement {
    pub(crate) fn new(nodes: u64) -> Placement {
        Placement {
            nodes: AtomicU64::new(nodes),
            released: AtomicBool::new(false),
        }
    }

    pub(crate) fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Acquire)
    }

    /// The lock is to be taken on one more node: false if it is being released, by an operation that may not know of it.
    ///
    /// Both sides write what they have before they change the same flag, so one of the two sees what the other wrote.
    /// A mere load of the flag here could miss the release that misses the node.
    pub(crate) fn add(&self, node: usize) -> bool {
        self.nodes.fetch_or(1 << node, Ordering::Relaxed);
        !self.released.fetch_or(false, Ordering::AcqRel)
    }

    /// Marks the lock as given back; false if it was already. The nodes are looked at after this.
    pub(crate) fn release(&self) -> bool {
        !self.released.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}
