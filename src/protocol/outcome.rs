//! What comes out of the machine: outcomes, news for people, and what is to be done with sockets.

use std::sync::Arc;

use super::grant::Grant;
use super::host::Host;
use super::node::config::Login;
use super::nodes::NodeHealth;
use crate::error::{Error, Status};
use crate::level::Level;

/// What an operation came to.
pub(crate) enum Outcome {
    Acquired(Arc<Grant>),
    Released,
    /// This lock, whose validity is looked at when the outcome is taken.
    Extended(Arc<Grant>),
    Locked(bool),
    Health(Vec<NodeHealth>),
    /// So many nodes were vouched for.
    Vouched(usize),
    Failed(Error),
}

/// News for those who use the machine.
pub(crate) enum Output<H: Host> {
    /// An operation has ended.
    Done(H::Caller, Outcome),
    /// A lock that was kept alive is lost.
    Lost(H::Observer, Error),
    /// Something to be written to the log.
    Log(Level, String),
}

/// One connection to one node, or one attempt at it. No other ever has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId {
    /// The place of the node's set.
    pub(crate) place: usize,
    /// The node's index in its set.
    pub(crate) node: usize,
    /// Counts all connections and attempts.
    pub(crate) epoch: u32,
}

/// What is to be done with sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Io {
    /// Connect to a node. The machine is to be told of the [`connection`](super::machine::Machine::connected), or that
    /// there [is none](super::machine::Machine::connect_failed).
    Connect(ConnectionId),
    /// End a connection, or an attempt at one. The machine has forgotten it.
    Disconnect(ConnectionId),
    /// The server has refused to set the connection up: maybe because of who logs in.
    Refused(ConnectionId),
    /// The set at this place is gone, with all of its connections.
    Closed(usize),
}

/// A connection that was just made.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    /// The socket address or path that was reached.
    pub(crate) peer: String,
    /// Who logs in.
    pub(crate) login: Login,
    /// What the wall clock shows more than the machine's, in us.
    pub(crate) wall_offset_us: i64,
}

/// Why a connection, or an attempt at one, has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disconnected {
    /// The server closed it; `plain` if there was no TLS between.
    Closed { plain: bool },
    /// The operating system says why.
    Failed(String),
    /// The whole reason, for people.
    Because(Status, String),
}
