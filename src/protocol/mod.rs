//! The whole protocol as one state machine, without I/O: no sockets, no threads, no clock and no randomness of its own.
//!
//! Whoever uses it (see [`driver`](crate::driver)) passes in time, random numbers, operations and bytes, and takes out bytes,
//! deadlines and outcomes. [`Machine`](machine::Machine) is the way in. What it is made of, from the bottom up:
//!
//! - `rules`: the algorithm's decisions: votes, validity, ballots, admission, delays.
//! - `node`: one connection, from HELLO to its last byte: bytes become answers, questions become bytes.
//! - `operation`, `grant`, `keeping`: what is under way, and what came of it.
//! - `machine`: all sets of nodes and all operations, moved forward event by event.

/// What is checked in every interleaving by `tests/interleavings.rs` takes its atomics from here, and loom's there.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

pub(crate) mod grant;
pub(crate) mod hints;
pub(crate) mod host;
pub(crate) mod kept;
pub(crate) mod machine;
pub(crate) mod node;
pub(crate) mod node_set;
pub(crate) mod nodes;
pub(crate) mod operation;
mod orphans;
pub(crate) mod outcome;
mod placement;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod slab;
pub(crate) mod timer;
pub(crate) mod token;
