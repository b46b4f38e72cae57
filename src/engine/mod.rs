//! Operations on sets of nodes, carried out by one driver at a time for the whole process.
//!
//! A caller builds an [`operation::Operation`], hands it to the [`runtime::Runtime`] and gets its outcome through a
//! [`ticket::Ticket`]. Inside, [`core::Core`] owns all sockets and all operations under way; only the thread that
//! drives it at the moment touches them.

/// What is checked in every interleaving by `tests/interleavings.rs` takes its atomics from here, and loom's there.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

pub(crate) mod core;
mod delivery;
mod driving;
pub(crate) mod grant;
pub(crate) mod hints;
pub(crate) mod kept;
pub(crate) mod nodes;
pub(crate) mod operation;
mod orphans;
mod placement;
pub(crate) mod poller;
pub(crate) mod queue;
pub(crate) mod resolver;
pub(crate) mod runtime;
pub(crate) mod slab;
pub(crate) mod sync;
pub(crate) mod ticket;
pub(crate) mod timer;
