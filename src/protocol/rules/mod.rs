//! The rules of the algorithm, free of I/O: votes become a decision, time becomes a validity, failures become delays.

pub(crate) mod admission;
pub(crate) mod backoff;
pub(crate) mod ballot;
pub(crate) mod busy_poll;
pub(crate) mod quorum;
pub(crate) mod round_trip;
pub(crate) mod validity;
