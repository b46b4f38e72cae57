//! Distributed locks over N independent Redis masters, by the Redlock algorithm.
//!
//! A lock is held when more than half of the masters (*nodes*) granted it, so it survives the loss of a minority of them. A
//! [`Factory`] is a set of nodes; it gives [`Lock`]s, each on a *resource*, which is just a name. All nodes are asked at once,
//! and a call returns as soon as the outcome is certain.
//!
//! ```
//! # let masters = testkit::Cluster::start(3);
//! # let urls = masters.urls();
//! use std::time::Duration;
//! use redlock::{Factory, Wait};
//!
//! // urls: ["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"]
//! let factory = Factory::new(&urls)?;
//! let ttl = Duration::from_secs(10);
//! let lock = factory.acquire("invoice:17", ttl, Wait::For(Duration::from_secs(2)))?;
//! // The work that only one may do, for at most this long:
//! assert!(lock.validity() < ttl);
//! lock.extend(ttl)?;
//! lock.release()?;
//! # Ok::<(), redlock::Error>(())
//! ```
//!
//! A lock that is dropped is released in the background.
//!
//! # Failures
//!
//! Every failure is an [`Error`] with a [`Status`]: "taken by another" and "too few nodes reachable" are different ones. An
//! error also has each node's own part.
//!
//! ```
//! # let masters = testkit::Cluster::start(3);
//! # let urls = masters.urls();
//! # use std::time::Duration;
//! # use redlock::{Factory, Status, Wait};
//! # let factory = Factory::new(&urls)?;
//! # let ttl = Duration::from_secs(10);
//! let held = factory.acquire("invoice:17", ttl, Wait::No)?;
//! let error = factory.acquire("invoice:17", ttl, Wait::No).unwrap_err();
//! assert_eq!(error.status(), Status::Contended);
//! for node in error.nodes() {
//!     println!("{}: {}", node.address, node.message);
//! }
//! # Ok::<(), redlock::Error>(())
//! ```
//!
//! # Futures and queues
//!
//! The `_async` functions return a [`Pending`], a future that needs no particular runtime. Its operation is under way as soon
//! as the function was called, and is cancelled when the future is dropped. The `submit_` functions end in an event of a
//! [`Queue`] instead, whose descriptor fits any event loop:
//!
//! ```
//! # let masters = testkit::Cluster::start(3);
//! # let urls = masters.urls();
//! # use std::time::Duration;
//! # use redlock::{Factory, Wait};
//! use redlock::{Completion, Queue};
//! # let factory = Factory::new(&urls)?;
//!
//! let queue = Queue::new()?;
//! for id in 0..100 {
//!     let resource = format!("job:{id}");
//!     factory.submit_acquire(&resource, Duration::from_secs(10), Wait::No, &queue, id)?;
//! }
//! let mut events = Vec::new();
//! while events.len() < 100 {
//!     queue.next(&mut events, 64, Some(Duration::from_secs(10)))?;
//! }
//! for event in &events {
//!     assert!(matches!(event.result, Ok(Completion::Acquired(_))));
//! }
//! # Ok::<(), redlock::Error>(())
//! ```
//!
//! # Options
//!
//! [`Options`] are set by name; [`Options::table`] lists them.
//!
//! ```
//! use redlock::{Factory, Options};
//!
//! let mut options = Options::new();
//! options.set("node_timeout_ms", "20")?;
//! let factory = Factory::with_options(&["redis://10.0.0.1"], &options)?;
//! # Ok::<(), redlock::Error>(())
//! ```
//!
//! # Threads, fork, process end
//!
//! Everything here may be used from any number of threads at once. One thread of the library does all I/O of the process, for
//! all factories. In a forked child a factory opens connections of its own; locks and queues stay the parent's and answer
//! [`Status::Forked`]. Locks that are held when a process ends stay held until their TTL ends.
//!
//! The C ABI over all this is described by the header `redlock.h`.

mod callbacks;
mod client;
mod clock;
mod defect;
mod descriptors;
mod driver;
mod error;
// The constants there are for the C header only.
#[allow(dead_code)]
mod ffi;
mod fork;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod jitter;
mod level;
pub mod log;
mod protocol;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
#[cfg(test)]
mod strikes;
mod sync;
mod threads;
mod time;

pub use client::arguments::{MAX_RESOURCE_LENGTH, MAX_RESOURCES};
pub use client::event::{Completion, Event};
pub use client::factory::{Factory, Wait};
pub use client::lock::Lock;
pub use client::options::{OptionInfo, Options};
pub use client::pending::Pending;
pub use client::queue::Queue;
pub use client::reentrant::ReentrantLock;
pub use driver::ticket::EventKind;
pub use error::{Error, NodeReport, Result, Status};
pub use protocol::nodes::NodeHealth;
