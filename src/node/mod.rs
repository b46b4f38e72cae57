//! One Redis master: its address, the set-up of a connection, the wire format and the connection itself.

// Until the engine uses all of it.
#![allow(dead_code)]

pub(crate) mod address;
pub(crate) mod setup;
pub(crate) mod stream;
