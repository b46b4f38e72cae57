//! Distributed locks over independent Redis masters.

pub mod error;
mod node;
