//! Distributed locks over independent Redis masters.

mod client;
mod clock;
mod engine;
mod error;
// The constants there are for the C header only.
#[allow(dead_code)]
mod ffi;
mod fork;
pub mod log;
mod logic;
mod node;
mod token;

pub use client::factory::{Factory, MAX_RESOURCE_LENGTH, Wait};
pub use client::lock::Lock;
pub use client::options::{OptionInfo, Options};
pub use client::pending::Pending;
pub use client::queue::{Completion, Event, Queue};
pub use engine::nodes::NodeHealth;
pub use engine::queue::EventKind;
pub use error::{Error, NodeReport, Result, Status};
