//! Everything that performs I/O: threads, sockets, TLS, name look-up, and the delivery of outcomes.
//!
//! One driver at a time moves the [protocol's machine](crate::protocol::machine) forward for the whole process. A caller builds
//! an [`operation`](crate::protocol::operation), hands it to the [`runtime::Runtime`] and gets its outcome through a
//! [`ticket::Ticket`]. Inside, [`core::Core`] owns the machine and all sockets; only the thread that drives it at the moment
//! touches them.

pub(crate) mod address;
pub(crate) mod core;
pub(crate) mod credentials;
#[cfg(test)]
mod defects;
mod delivery;
mod dial;
mod driving;
mod endpoint;
pub(crate) mod entropy;
pub(crate) mod held;
pub(crate) mod loss;
pub(crate) mod open_set;
mod places;
mod poller;
pub(crate) mod queue;
mod resolver;
pub(crate) mod runtime;
mod stream;
pub(crate) mod ticket;
pub(crate) mod tls;
mod unlocked;
pub(crate) mod url;
