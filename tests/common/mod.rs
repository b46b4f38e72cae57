//! What the tests of behaviour under faults share: options, patience, other owners' keys, futures, child processes.
//!
//! Set `REDLOCK_TEST_PROTOCOL` to `resp2` or `resp3` to have all of them speak that version of the protocol,
//! `REDLOCK_TEST_OPTIONS` to run them with other options, such as `fair=on fencing=off`, and `REDLOCK_TEST_SERVER` to run
//! them on another server, and `REDLOCK_TEST_USER` to run them as a user with few permissions (the testkit reads both).

// Each test file is a program of its own, and uses its own part of this.
#![allow(dead_code)]

pub mod child;
pub mod threads;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use redlock::{Error, Factory, Options, Pending, Status, Wait};
use testkit::{Cluster, Reply, Server};

/// A time to live so long that no key is gone because of it.
pub const TTL: Duration = Duration::from_secs(100);
/// How long anything may take that is bound to happen. Only a failing test waits for so long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A day in ms, the longest that an option can be: what has such a timeout never times out in a test.
pub const NEVER: &str = "86400000";

/// Options under which nothing times out merely because the machine is busy.
pub fn options() -> Options {
    options_with(&[])
}

/// Options for tests with nodes that hang: they are given up soon. A busy machine may make the others seem hung, so
/// tests that use these try until they succeed.
pub fn hasty() -> Options {
    options_with(&[("node_timeout_ms", "100"), ("connect_timeout_ms", "300")])
}

/// Options under which a node that does not answer is waited for, so that whatever ends did not need it.
pub fn patient() -> Options {
    options_with(&[("node_timeout_ms", NEVER), ("connect_timeout_ms", NEVER)])
}

/// The usual options with some of them changed.
pub fn options_with(changes: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    options.set("node_timeout_ms", "10000").unwrap();
    options.set("connect_timeout_ms", "10000").unwrap();
    // Servers are restarted all the time here; what keeps those out that may have forgotten locks has its own tests.
    options.set("restart_guard", "off").unwrap();
    if let Some(protocol) = protocol() {
        options.set("protocol", &protocol).unwrap();
    }
    for (name, value) in extra_options() {
        options.set(&name, &value).unwrap();
    }
    for (name, value) in changes {
        options.set(name, value).unwrap();
    }
    options
}

/// What the environment asks for, such as `fair=on fencing=off`.
fn extra_options() -> Vec<(String, String)> {
    let text = std::env::var("REDLOCK_TEST_OPTIONS").unwrap_or_default();
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').expect("name=value");
        (name.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

/// The version of the protocol that these tests are run for; `None`: whichever the server has.
pub fn protocol() -> Option<String> {
    let protocol = std::env::var("REDLOCK_TEST_PROTOCOL").ok();
    protocol.filter(|protocol| !protocol.is_empty())
}

/// Options under which an acquire is a plain SET, so that SETs count attempts.
pub fn unfenced() -> Options {
    options_with(&[("fencing", "off")])
}

/// A factory over the cluster's servers, connected to all of them.
pub fn factory(cluster: &Cluster) -> Factory {
    let factory = Factory::with_options(&cluster.urls(), &options()).unwrap();
    all_connected(&factory);
    factory
}

/// Waits until `condition` holds, which it is bound to.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    testkit::wait_until(PATIENCE, what, condition);
}

/// Waits until the factory is connected to all its nodes.
pub fn all_connected(factory: &Factory) {
    eventually("all nodes to be connected", || {
        let nodes = factory.check().unwrap();
        nodes.iter().all(|node| node.report.status == Status::Ok)
    });
}

/// Waits until the factory knows that its node number `index` is in trouble, for a reason that contains `reason`.
pub fn trouble(factory: &Factory, index: usize, reason: &str) {
    eventually(&format!("node {index} to be known as {reason:?}"), || {
        let node = &factory.check().unwrap()[index].report;
        node.status != Status::Ok && node.message.contains(reason)
    });
}

/// Makes another owner hold the resource on this server.
pub fn occupy(server: &Server, resource: &str) {
    server
        .command(&["SET", resource, "another owner", "PX", "1000000"])
        .ok();
}

/// Frees the resource on this server, whoever holds it.
pub fn vacate(server: &Server, resource: &str) {
    server.command(&["DEL", resource]).ok();
}

/// How often the server has carried out a command, also inside of scripts.
pub fn calls(server: &Server, command: &str) -> u64 {
    let text = server.command(&["INFO", "commandstats"]).text();
    let prefix = format!("cmdstat_{command}:calls=");
    text.lines()
        .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok())
        .unwrap_or(0)
}

/// What each node did, in the order of the factory's URLs.
pub fn statuses(error: &Error) -> Vec<Status> {
    error.nodes().iter().map(|node| node.status).collect()
}

/// Takes and returns a lock: all is well again, or soon will be.
pub fn works_again(factory: &Factory, resource: &str) {
    let lock = factory
        .acquire(resource, TTL, Wait::For(PATIENCE))
        .unwrap_or_else(|error| panic!("it does not work again: {error:?}"));
    // A node may be lost just now, and the release be told to it later.
    let _ = lock.release();
}

/// Whether the server lacks TLS, said in a line because a test is skipped for it.
pub fn no_tls() -> bool {
    let missing = !testkit::supports_tls();
    if missing {
        eprintln!("skipped: this server was built without TLS");
    }
    missing
}

/// Runs a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Whether the operation is still under way.
pub fn is_pending<T>(pending: &mut Pending<T>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(pending).poll(&mut context).is_pending()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A directory that goes when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redlock-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left behind by a process that had the same id and was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Frees a resource on every server of the cluster, whoever holds it.
pub fn vacate_all(cluster: &Cluster, resource: &str) {
    cluster.command_all(&["DEL", resource]);
}

/// The key in which a node keeps the queue of a resource's waiters, without a key prefix.
pub fn queue_of(resource: &str) -> String {
    format!("libredlock:queue:{resource}")
}

/// The key in which a node keeps the highest ballots, without a key prefix.
pub const BALLOTS: &str = "libredlock:ballots";

/// Whether nodes can call their waiters: only RESP3 brings a message in between the answers.
pub fn nodes_call() -> bool {
    let they_do = protocol().as_deref() != Some("resp2");
    if !they_do {
        eprintln!("with RESP2 nobody queues");
    }
    they_do
}

/// How many locks the server holds; highest ballots, which stay for a day, don't count.
pub fn lock_count(server: &Server) -> usize {
    let keys = server.command(&["KEYS", "*"]);
    let is_lock = |key: &&Reply| !key.text().contains("libredlock:");
    keys.elements().iter().filter(is_lock).count()
}

/// Whether no server holds any lock.
pub fn no_locks(cluster: &Cluster) -> bool {
    cluster.iter().all(|server| lock_count(server) == 0)
}
