//! What users hold: factories, locks, completion queues. Arguments are checked here; the engine does the rest.

pub(crate) mod arguments;
pub(crate) mod event;
pub(crate) mod factory;
pub(crate) mod lock;
pub(crate) mod options;
pub(crate) mod pending;
pub(crate) mod queue;
pub(crate) mod reentrant;
