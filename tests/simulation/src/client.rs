//! A process that takes locks, as the world drives it: it has no sockets and no clock of its own.

use std::rc::Rc;

use redlock::simulation::{self, Process};
use redlock::{Options, Status};

use crate::Nanos;
use crate::other::OtherLock;

pub use redlock::simulation::Connection;

/// Something that takes locks: the library, or another.
pub trait Client {
    /// A connection stands. `wall_offset_us` is what the wall clock shows more than `now`.
    fn connected(&mut self, now: Nanos, at: Connection, wall_offset_us: i64);
    /// There will be none.
    fn connect_failed(&mut self, now: Nanos, at: Connection);
    /// Bytes have come.
    fn received(&mut self, now: Nanos, at: Connection, bytes: &[u8]);
    /// The connection is gone: closed by the node, or broken.
    fn disconnected(&mut self, now: Nanos, at: Connection, is_closed: bool);
    /// When it is to be woken.
    fn deadline(&mut self) -> Option<Nanos>;
    /// It is that time.
    fn timeout(&mut self, now: Nanos);
    /// What it wants done, and tells.
    fn poll(&mut self) -> Vec<Action>;

    /// Begins to take a lock, until `give_up_at`; 0 for one attempt.
    fn acquire(&mut self, now: Nanos, id: u64, names: &[&str], ttl_ms: u64, give_up_at: Nanos);
    /// Begins to give a lock back.
    fn release(&mut self, now: Nanos, id: u64, lock: &Held) -> bool;
    /// Begins to extend a lock; false if it cannot.
    fn extend(&mut self, now: Nanos, id: u64, lock: &Held, ttl_ms: u64) -> bool;
    /// Keeps a lock alive; false if it cannot.
    fn keep_alive(&mut self, now: Nanos, id: u64, lock: &Held) -> bool;
    /// Begins to ask whether anybody holds a lock; false if it cannot.
    fn is_locked(&mut self, now: Nanos, id: u64, name: &str) -> bool;
    /// Cancels what has not ended.
    fn cancel(&mut self, now: Nanos, id: u64);
}

/// What a client wants done, or tells.
#[derive(Debug)]
pub enum Action {
    /// Connect to that node.
    Connect(Connection),
    /// Close the connection.
    Disconnect(Connection),
    /// Send bytes.
    Send(Connection, Vec<u8>),
    /// An operation has ended.
    Done(u64, Ended),
    /// A lock that is kept alive is lost.
    Lost(u64),
    /// A message, for people.
    Log(String),
}

/// How an operation ended.
#[derive(Debug)]
pub enum Ended {
    /// The lock was won.
    Acquired(Held),
    /// So it was without a result of interest.
    Done,
    /// It failed.
    Failed(Status, String),
}

/// A lock that was won.
#[derive(Clone, Debug)]
pub enum Held {
    /// By the library.
    Library(simulation::Lock),
    /// By another one.
    Other(Rc<OtherLock>),
}

impl Held {
    /// Until when its owner takes it for its own.
    pub fn valid_until(&self, now: Nanos) -> Nanos {
        match self {
            Held::Library(lock) => lock.valid_until(now),
            Held::Other(lock) => lock.until.max(now),
        }
    }

    /// Its fence, if it has one.
    pub fn fence(&self) -> Option<u64> {
        match self {
            Held::Library(lock) => Some(lock.fence()).filter(|fence| *fence != 0),
            Held::Other(_) => None,
        }
    }
}

/// A process of the library, with one set of nodes.
pub struct Library {
    process: Process,
    set: usize,
    /// As whom it logs in, if not as everybody.
    user: Option<&'static str>,
}

impl Library {
    /// A process whose random numbers follow from `seed`.
    pub fn new(
        now: Nanos,
        seed: u64,
        name: &str,
        nodes: &[String],
        options: &Options,
        resp2: bool,
        user: Option<&'static str>,
    ) -> Library {
        let mut process = Process::new(seed, name, now);
        let set = process.open(now, nodes, options, resp2);
        Library { process, set, user }
    }
}

impl Client for Library {
    fn connected(&mut self, now: Nanos, at: Connection, wall_offset_us: i64) {
        let peer = format!("10.0.0.{}:6379", at.node + 1);
        self.process
            .connected(now, at, &peer, self.user, wall_offset_us);
    }

    fn connect_failed(&mut self, now: Nanos, at: Connection) {
        self.process.connect_failed(now, at, "Connection refused");
    }

    fn received(&mut self, now: Nanos, at: Connection, bytes: &[u8]) {
        self.process.received(now, at, bytes);
    }

    fn disconnected(&mut self, now: Nanos, at: Connection, is_closed: bool) {
        self.process.disconnected(now, at, is_closed);
    }

    fn deadline(&mut self) -> Option<Nanos> {
        self.process.deadline()
    }

    fn timeout(&mut self, now: Nanos) {
        self.process.timeout(now, now);
    }

    fn poll(&mut self) -> Vec<Action> {
        let actions = self.process.poll();
        let own = |action| {
            Some(match action {
                simulation::Action::Connect(at) => Action::Connect(at),
                simulation::Action::Disconnect(at) => Action::Disconnect(at),
                simulation::Action::Send(at, bytes) => Action::Send(at, bytes),
                simulation::Action::Done(id, ended) => Action::Done(id, how(ended)),
                simulation::Action::Lost(id, _) => Action::Lost(id),
                simulation::Action::Log(level, message) => {
                    Action::Log(format!("{level:?}: {message}"))
                }
                simulation::Action::Closed(_) => return None,
            })
        };
        actions.into_iter().filter_map(own).collect()
    }

    fn acquire(&mut self, now: Nanos, id: u64, names: &[&str], ttl_ms: u64, give_up_at: Nanos) {
        self.process
            .acquire(now, id, self.set, names, ttl_ms, give_up_at);
    }

    fn release(&mut self, now: Nanos, id: u64, lock: &Held) -> bool {
        match lock {
            Held::Library(lock) => self.process.release(now, id, lock),
            Held::Other(_) => false,
        }
    }

    fn extend(&mut self, now: Nanos, id: u64, lock: &Held, ttl_ms: u64) -> bool {
        let Held::Library(lock) = lock else {
            return false;
        };
        let is_valid = lock.valid_until(now) > now;
        if is_valid {
            self.process.extend(now, id, lock, ttl_ms);
        }
        is_valid
    }

    fn keep_alive(&mut self, now: Nanos, id: u64, lock: &Held) -> bool {
        let Held::Library(lock) = lock else {
            return false;
        };
        self.process.keep_alive(now, id, lock);
        true
    }

    fn is_locked(&mut self, now: Nanos, id: u64, name: &str) -> bool {
        self.process.is_locked(now, id, self.set, name);
        true
    }

    fn cancel(&mut self, now: Nanos, id: u64) {
        self.process.cancel(now, id);
    }
}

fn how(ended: simulation::Ended) -> Ended {
    match ended {
        simulation::Ended::Acquired(lock) => Ended::Acquired(Held::Library(lock)),
        simulation::Ended::Failed(error) => Ended::Failed(error.status(), error.to_string()),
        simulation::Ended::Released
        | simulation::Ended::Extended
        | simulation::Ended::Locked(_)
        | simulation::Ended::Other => Ended::Done,
    }
}
