//! Models of what the library promises beyond Redlock, each small enough to be searched completely.
//!
//! [`fencing`] is the protocol of the library, [`counters`] holds the simpler ones that look right and are not, and
//! [`guard`] is about nodes that restart without their data. [`scripts`] are those of the queue of waiters: [`queue`] is
//! about what may go wrong with it, [`handover`] about what happens when all goes well. `docs/safety.md` says what follows
//! from them.

pub mod counters;
pub mod fencing;
pub mod guard;
pub mod handover;
pub mod queue;
pub mod scripts;

mod search;

pub use search::{assert_broken, assert_holds, assert_possible};

/// Three nodes: the smallest set in which two quorums can differ.
pub const NODES: usize = 3;

/// A majority of the nodes.
pub const QUORUM: usize = NODES / 2 + 1;
