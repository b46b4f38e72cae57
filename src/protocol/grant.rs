//! A lock that was won: what is needed to extend and to release it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::node::target::Target;
use super::node_set::NodeSet;
use super::placement::Placement;
use super::rules::quorum::NodeMask;
use super::rules::validity;
use super::slab::Key;
use super::token::Token;
use crate::time::Nanos;

/// A won lock. Shared between its owner's handle and the operations on it.
pub(crate) struct Grant {
    pub(crate) set: Arc<NodeSet>,
    pub(crate) target: Arc<Target>,
    pub(crate) token: Token,
    /// The ballot that a quorum accepted; 0 without fencing.
    pub(crate) fence: u64,
    /// The time to live that it was taken with, or last extended with, be that longer or shorter: keeping it alive goes on
    /// with it.
    ttl_ms: AtomicU64,
    /// The longest time to live that it was taken with, or that an extension has asked for: no node keeps it for longer.
    longest_ttl_ms: AtomicU64,
    placement: Placement,
    /// Since when its owner has had it, if it was handed on by the one before; 0 otherwise.
    pub(crate) handed_on_at: Nanos,
    /// Only moves later, as the key's end on the nodes does; 0 once the lock is lost.
    valid_until: AtomicU64,
    /// Counts the calls to keep it alive: the last one counts.
    keeping: AtomicU32,
    /// The engine's key of what keeps it alive, as a number.
    keeper: AtomicU64,
}

/// What a lock is won with.
pub(crate) struct Won {
    pub(crate) set: Arc<NodeSet>,
    pub(crate) target: Arc<Target>,
    pub(crate) token: Token,
    pub(crate) fence: u64,
    pub(crate) ttl_ms: u64,
    /// The nodes that took it, or may have.
    pub(crate) nodes: NodeMask,
    pub(crate) valid_until: Nanos,
    pub(crate) handed_on_at: Nanos,
}

impl Grant {
    pub(crate) fn new(won: Won) -> Grant {
        Grant {
            set: won.set,
            target: won.target,
            token: won.token,
            fence: won.fence,
            ttl_ms: AtomicU64::new(won.ttl_ms),
            longest_ttl_ms: AtomicU64::new(won.ttl_ms),
            placement: Placement::new(won.nodes.0),
            handed_on_at: won.handed_on_at,
            valid_until: AtomicU64::new(won.valid_until),
            keeping: AtomicU32::new(0),
            keeper: AtomicU64::new(Key::NONE.number()),
        }
    }

    /// For how long the lock is still proven held.
    pub(crate) fn validity(&self, now: Nanos) -> Nanos {
        match self.is_released() {
            true => 0,
            false => self.time_left(now),
        }
    }

    /// For how long nodes may still hold it, also when it has been given back.
    pub(crate) fn time_left(&self, now: Nanos) -> Nanos {
        validity::remaining(self.valid_until.load(Ordering::Acquire), now)
    }

    /// An extension begins: from here on some node may keep the lock for so long, whatever comes of the vote. It can't end
    /// earlier by it than it would, so that the validity stays.
    pub(crate) fn begin_extension(&self, ttl_ms: u64) {
        self.longest_ttl_ms.fetch_max(ttl_ms, Ordering::AcqRel);
    }

    /// A quorum keeps the lock until then at least. That never ends the validity earlier: what an extension before this one
    /// has proven stays true. A lock that is lost stays lost.
    pub(crate) fn extended_until(&self, at: Nanos, ttl_ms: u64) {
        let later = |until: u64| (until != 0).then(|| until.max(at));
        let held = self
            .valid_until
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        if held.is_ok() {
            self.ttl_ms.store(ttl_ms, Ordering::Relaxed);
        }
    }

    pub(crate) fn ttl_ms(&self) -> u64 {
        self.ttl_ms.load(Ordering::Relaxed)
    }

    /// For how long any node may keep the lock, from now, at most.
    pub(crate) fn longest_ttl_ms(&self) -> u64 {
        self.longest_ttl_ms.load(Ordering::Acquire)
    }

    pub(crate) fn nodes(&self) -> NodeMask {
        NodeMask(self.placement.nodes())
    }

    /// The lock is to be taken on one more node: false if it is being released, by an operation that may not know of it.
    pub(crate) fn add_node(&self, node: usize) -> bool {
        self.placement.add(node)
    }

    /// A new call to keep the lock alive; its number.
    pub(crate) fn keep(&self) -> u32 {
        self.keeping.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether that call is the last one.
    pub(crate) fn is_kept_by(&self, call: u32) -> bool {
        self.keeping.load(Ordering::Acquire) == call
    }

    /// It is kept alive by that entry of the engine's from now on.
    pub(crate) fn set_keeper(&self, key: Key) {
        self.keeper.store(key.number(), Ordering::Relaxed);
    }

    /// What keeps it alive, if anything.
    pub(crate) fn keeper(&self) -> Option<Key> {
        let key = Key::from_number(self.keeper.load(Ordering::Relaxed));
        (key != Key::NONE).then_some(key)
    }

    /// The lock is not held any more, whoever ended it.
    pub(crate) fn lost(&self) {
        self.valid_until.store(0, Ordering::Release);
    }

    /// Marks the lock as given back; false if it was already.
    pub(crate) fn begin_release(&self) -> bool {
        self.placement.release()
    }

    pub(crate) fn is_released(&self) -> bool {
        self.placement.is_released()
    }
}
