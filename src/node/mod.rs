//! One Redis master: its address, the set-up of a connection, the wire format and the connection itself.

pub(crate) mod address;
pub(crate) mod ballots;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod credentials;
pub(crate) mod dial;
pub(crate) mod resp;
pub(crate) mod secret;
pub(crate) mod setup;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod wire;
