//! The library's protocol in virtual time: simulated nodes that execute the library's own scripts, and networks that break.
//!
//! One seed decides everything; the same seed is the same run. What is judged is judged from outside, by the one true time.

pub mod client;
pub mod faults;
pub mod judges;
pub mod mutant;
pub mod node;
pub mod other;
pub mod profile;
pub mod random;
pub mod search;
pub mod world;

/// A point in the true time, in nanoseconds since the simulation's start.
pub type Nanos = u64;
