//! One connection to one Redis master, without its socket: the set-up, the wire format, and requests with their responses.

pub(crate) mod ballots;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod resp;
pub(crate) mod secret;
pub(crate) mod setup;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod wire;
