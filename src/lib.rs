//! Distributed locks over independent Redis masters.
#![allow(dead_code)]

mod clock;
pub mod error;
mod logic;
mod node;
mod token;
