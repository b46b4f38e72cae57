//! Real Redis servers for the tests, the demo and the benchmarks: started, broken and stopped on purpose. For Linux.
//!
//! ```no_run
//! let cluster = testkit::Cluster::start(5);
//! cluster[0].stop(); // hangs, as SIGSTOP makes it
//! cluster[1].kill();
//! assert_eq!(cluster.keys_holding("name"), 0);
//! ```
//!
//! Which server is started: the one that the environment variable `REDLOCK_TEST_SERVER` names, else `redis-server` in
//! `PATH`. Nothing outlives the test: a server dies with the process that started it, whatever way that process ends.
//!
//! With `REDLOCK_TEST_USER=minimal` they have a user with few permissions, as whom their URLs log in.
//!
//! Whatever fails in here panics with what was expected and what the server's log said, because a test can do nothing
//! better with it.

mod binary;
mod builder;
pub mod certificates;
mod cluster;
mod process;
mod proxy;
mod resp;
mod server;
mod user;
mod version_1;
mod wait;

pub use binary::{ServerBinary, server_version, supports_tls};
pub use certificates::{Certificates, Flaw};
pub use cluster::Cluster;
pub use proxy::{Fault, Link, Proxy};
pub use resp::Reply;
pub use server::{Builder, ClientCertificates, Server};
pub use user::library_user;
pub use wait::wait_until;
