//! Servers that misbehave, for the tests that show what the library makes of them.
//!
//! A [`Relay`] stands in front of a real server and spoils what it answers; a [`Replay`] answers from a recorded dialogue
//! with seeded mutations. The library runs in a process of its own, the [`Client`]: so its memory and processor time are
//! those of one scenario, and an abort is an observation like any other.
//!
//! All scenarios are in `tests/scenarios`, and are listed in its `main.rs`.

pub mod client;
pub mod dialogue;
pub mod mutation;
pub mod oracle;
pub mod relay;
pub mod replay;
pub mod wire;

pub use client::{Answer, Client};
pub use dialogue::Dialogue;
pub use relay::{Exchange, Flow, Peer, Relay};
pub use replay::Replay;
