//! What the engine must do at a later time, soonest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::slab::Key;
use crate::time::Nanos;

/// Something to do. Timers are never withdrawn: whoever handles one finds out whether it still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The nodes had their time to answer this attempt of an operation.
    NodeTimeout { operation: Key, attempt: u32 },
    /// The nodes that this attempt has not heard had as long again as those that a larger ballot needs.
    Straggling { operation: Key, attempt: u32 },
    /// An operation has rested, or waited for nodes, long enough after this attempt.
    Resume { operation: Key, attempt: u32 },
    /// The holder of a lock that an operation waits for should be gone by now.
    Look { operation: Key, attempt: u32 },
    /// A node's back-off is over.
    Reconnect { set: usize, node: usize, epoch: u32 },
    /// A flight of a connection's set-up has taken its time.
    SetUp { set: usize, node: usize, epoch: u32 },
    /// A connection to a node has lived for as long as the restart guard demands.
    Witness { set: usize, node: usize, epoch: u32 },
    /// A lock that is kept alive is to be extended.
    KeepAlive { kept: Key },
    /// A node that stopped answering is given up, unless it did answer since.
    GiveUp { set: usize, node: usize, epoch: u32 },
    /// A check of a set's nodes has waited for them long enough.
    Check { set: usize },
}

/// The timers that are set.
#[derive(Default)]
pub(crate) struct Timers {
    all_others: Heap,
    /// Those of kept locks: when the next one is due is asked for in every turn.
    keep_alive: Heap,
}

type Heap = BinaryHeap<Reverse<(Nanos, Timer)>>;

impl Timers {
    pub(crate) fn set(&mut self, at: Nanos, timer: Timer) {
        let heap = match timer {
            Timer::KeepAlive { .. } => &mut self.keep_alive,
            _ => &mut self.all_others,
        };
        heap.push(Reverse((at, timer)));
    }

    /// The next one that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<Timer> {
        let others_at = first(&self.all_others).unwrap_or(Nanos::MAX);
        let heap = match self.next_keep_alive() {
            Some(at) if at < others_at => &mut self.keep_alive,
            _ => &mut self.all_others,
        };
        match first(heap) {
            Some(at) if at <= now => heap.pop().map(|Reverse((_, timer))| timer),
            _ => None,
        }
    }

    /// When the first timer is due for which `matters` holds; those before it are forgotten.
    pub(crate) fn next(&mut self, matters: impl Fn(&Timer) -> bool) -> Option<Nanos> {
        while let Some(Reverse((_, timer))) = self.all_others.peek()
            && !matters(timer)
        {
            self.all_others.pop();
        }
        let others_at = first(&self.all_others);
        [others_at, self.next_keep_alive()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the first timer of a kept lock is due.
    pub(crate) fn next_keep_alive(&self) -> Option<Nanos> {
        first(&self.keep_alive)
    }
}

fn first(heap: &Heap) -> Option<Nanos> {
    heap.peek().map(|Reverse((at, _))| *at)
}
