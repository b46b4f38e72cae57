//! The protocol's machine as `tests/simulation` drives it: one simulated process, with virtual time and chosen random numbers.
//!
//! This is no part of the API: it exists with the feature `simulation` only.

// What is not said here is said in the machine, which this only opens.
#![allow(missing_docs)]

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::error::Error;
use crate::level::Level;
use crate::protocol::grant::Grant;
use crate::protocol::host::{Entropy, Host};
use crate::protocol::kept::Kept;
use crate::protocol::machine::Machine;
use crate::protocol::node::command::{Scripts, Terms};
use crate::protocol::node::config::{Login, NodeConfig, Protocol};
use crate::protocol::node::secret::Secret;
use crate::protocol::node::setup::SetupError;
use crate::protocol::node::target::Target;
use crate::protocol::node_set::NodeSet;
use crate::protocol::operation::{Asker, Operation};
use crate::protocol::outcome::{self, Connected, ConnectionId, Disconnected, Io, Output};
use crate::protocol::slab::Key;
use crate::protocol::token::{self, Token};
use crate::{Options, Status};

/// A point in virtual time, or a duration, in nanoseconds.
pub type Nanos = u64;

/// A connection of a process: to that node of that set, never the same number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection {
    pub set: usize,
    pub node: usize,
    pub number: u32,
}

impl From<ConnectionId> for Connection {
    fn from(id: ConnectionId) -> Connection {
        Connection {
            set: id.place,
            node: id.node,
            number: id.epoch,
        }
    }
}

impl From<Connection> for ConnectionId {
    fn from(it: Connection) -> ConnectionId {
        ConnectionId {
            place: it.set,
            node: it.node,
            epoch: it.number,
        }
    }
}

/// What a process wants done, or tells.
#[derive(Debug)]
pub enum Action {
    /// Connect: answer with [`Process::connected`] or [`Process::connect_failed`].
    Connect(Connection),
    /// The connection is of no use any more: close it.
    Disconnect(Connection),
    /// These bytes are to be sent.
    Send(Connection, Vec<u8>),
    /// The operation that was begun under that number has ended.
    Done(u64, Ended),
    /// The lock that was kept alive under that number is lost.
    Lost(u64, Error),
    /// A message of the log.
    Log(Level, String),
    /// The set is gone.
    Closed(usize),
}

/// How an operation ended.
#[derive(Debug)]
pub enum Ended {
    Acquired(Lock),
    Released,
    /// The lock's validity is moved.
    Extended,
    Locked(bool),
    /// A check, or a word of an operator.
    Other,
    Failed(Error),
}

/// A lock that was won.
#[derive(Clone)]
pub struct Lock(Arc<Grant>);

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({:?}, {})", self.0.target.first(), self.0.fence)
    }
}

impl Lock {
    /// Until when the lock is proven held; not after `now` if it is not.
    pub fn valid_until(&self, now: Nanos) -> Nanos {
        now + self.0.validity(now)
    }

    pub fn fence(&self) -> u64 {
        self.0.fence
    }

    pub fn token(&self) -> &str {
        self.0.token.as_str()
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.0.target.names().iter();
        names.map(|name| name.to_string()).collect()
    }

    /// The owner drops its handle, or has it released: its validity is over at once. False if it was before.
    pub fn begin_release(&self) -> bool {
        self.0.begin_release()
    }
}

struct Numbers;

impl Host for Numbers {
    type Caller = u64;
    type Observer = u64;
}

/// Random numbers of one seed: SplitMix64, as in `jitter`.
struct Seeded(u64);

impl Entropy for Seeded {
    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn token(&mut self) -> io::Result<Token> {
        let mut bytes = [0; token::ENTROPY];
        for chunk in bytes.chunks_mut(8) {
            let random = self.random().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        Ok(Token::of(bytes))
    }
}

/// One process that uses the library.
pub struct Process {
    machine: Machine<Numbers>,
    entropy: Seeded,
    sets: Vec<Option<Arc<NodeSet>>>,
    /// The machine's keys of operations that have not ended.
    under_way: std::collections::HashMap<u64, Key>,
    actions: Vec<Action>,
}

impl Process {
    /// A process whose random numbers follow from `seed`; `name` is that of its channels, unlike every other's.
    pub fn new(seed: u64, name: &str, now: Nanos) -> Process {
        let mut entropy = Seeded(seed);
        let inner = Seeded(entropy.random());
        Process {
            machine: Machine::new(Box::new(inner), format!("libredlock:{name}"), 1, now),
            entropy,
            sets: Vec::new(),
            under_way: std::collections::HashMap::new(),
            actions: Vec::new(),
        }
    }

    /// A new factory over these nodes, given by any names; gives its number. `resp2` if it does not speak RESP3.
    pub fn open(&mut self, now: Nanos, nodes: &[String], options: &Options, resp2: bool) -> usize {
        let config = |name: &String| {
            Arc::new(NodeConfig {
                display: name.clone(),
                database: 0,
                protocol: match resp2 {
                    true => Protocol::Resp2,
                    false => Protocol::Auto,
                },
            })
        };
        let place = self.sets.len();
        let set = Arc::new(NodeSet {
            place,
            nodes: nodes.iter().map(config).collect(),
            settings: Arc::new(options.settings.clone()),
        });
        self.sets.push(Some(Arc::clone(&set)));
        self.machine.open(now, set);
        place
    }

    /// Acquires under way end; nothing new is to be begun.
    pub fn shut(&mut self, now: Nanos, set: usize) {
        self.machine.shut(now, set);
    }

    /// Nobody uses the set any more.
    pub fn close(&mut self, now: Nanos, set: usize) {
        self.sets[set] = None;
        self.machine.close(now, set);
    }

    fn set(&self, set: usize) -> Arc<NodeSet> {
        Arc::clone(self.sets[set].as_ref().expect("the set is open"))
    }

    fn submit(&mut self, now: Nanos, id: u64, operation: Operation<Numbers>) {
        let key = self.machine.submit(now, Box::new(operation));
        self.under_way.insert(id, key);
    }

    /// Begins to take a lock, until `give_up_at` (0 for one attempt, `Nanos::MAX` for ever).
    pub fn acquire(
        &mut self,
        now: Nanos,
        id: u64,
        set: usize,
        names: &[&str],
        ttl_ms: u64,
        give_up_at: Nanos,
    ) {
        let set = self.set(set);
        let target = Target::many(Arc::clone(&set.settings.key_prefix), names);
        let token = self.entropy.token().expect("a seed has tokens");
        let asker = Asker::Waiting(id);
        let operation = Operation::acquire(set, asker, target, ttl_ms, give_up_at, token);
        self.submit(now, id, operation);
    }

    /// Begins to give a lock back. False if it was given back before.
    pub fn release(&mut self, now: Nanos, id: u64, lock: &Lock) -> bool {
        if !lock.0.begin_release() {
            return false;
        }
        let random = self.entropy.random();
        let operation = Operation::release(&lock.0, Asker::Waiting(id), now, random);
        self.submit(now, id, operation);
        true
    }

    /// Begins to extend a lock, which must be valid.
    pub fn extend(&mut self, now: Nanos, id: u64, lock: &Lock, ttl_ms: u64) {
        let operation = Operation::extend(&lock.0, Asker::Waiting(id), ttl_ms);
        self.submit(now, id, operation);
    }

    /// Begins to ask whether anybody holds a lock.
    pub fn is_locked(&mut self, now: Nanos, id: u64, set: usize, name: &str) {
        let set = self.set(set);
        let target = Target::one(Arc::clone(&set.settings.key_prefix), name);
        let operation = Operation::is_locked(set, Asker::Waiting(id), target);
        self.submit(now, id, operation);
    }

    /// Has a lock kept alive; a loss is told under `id`.
    pub fn keep_alive(&mut self, now: Nanos, id: u64, lock: &Lock) {
        let kept = Kept {
            grant: Arc::downgrade(&lock.0),
            call: lock.0.keep(),
            observer: id,
            due: 0,
            asking: false,
        };
        self.machine.keep(now, kept);
    }

    /// Cancels an operation that has not ended.
    pub fn cancel(&mut self, now: Nanos, id: u64) {
        if let Some(key) = self.under_way.get(&id) {
            self.machine.cancel(now, *key);
        }
    }

    /// An operator's word that the nodes have forgotten nothing.
    pub fn vouch(&mut self, now: Nanos, id: u64, set: usize) {
        self.machine.vouch(now, set, id);
    }

    /// Asks how the nodes are.
    pub fn check(&mut self, now: Nanos, id: u64, set: usize) {
        self.machine.inspect(now, set, id);
    }

    // ---- connections ----

    /// A connection stands; `peer` names the address, `user` logs in (with the password `secret`), `wall_offset_us` is what the
    /// wall clock shows more than `now`.
    pub fn connected(
        &mut self,
        now: Nanos,
        it: Connection,
        peer: &str,
        user: Option<&str>,
        wall_offset_us: i64,
    ) {
        let login = Login {
            user: user.map(str::to_owned),
            password: user.map(|_| Secret::new("secret")),
        };
        let connected = Connected {
            peer: peer.to_owned(),
            login,
            wall_offset_us,
        };
        self.machine.connected(now, it.into(), connected);
    }

    pub fn connect_failed(&mut self, now: Nanos, it: Connection, reason: &str) {
        let error = SetupError::new(Status::Unreachable, reason);
        self.machine.connect_failed(now, it.into(), error);
    }

    /// Bytes have arrived.
    pub fn received(&mut self, now: Nanos, it: Connection, mut bytes: &[u8]) {
        while !bytes.is_empty()
            && let Some(room) = self.machine.room(it.into())
        {
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.machine.received(now, it.into(), count);
            bytes = &bytes[count..];
        }
    }

    /// The connection is gone: closed by the server, or broken.
    pub fn disconnected(&mut self, now: Nanos, it: Connection, is_closed: bool) {
        let reason = match is_closed {
            true => Disconnected::Closed { plain: true },
            false => Disconnected::Failed("Connection reset by peer (os error 104)".to_owned()),
        };
        self.machine.disconnected(now, it.into(), reason);
    }

    // ---- time and what comes out ----

    /// When [`timeout`](Self::timeout) is to be called.
    pub fn deadline(&mut self) -> Option<Nanos> {
        self.machine.deadline()
    }

    /// It is `now`, and all bytes that had come in by `received_until` have been handed over.
    pub fn timeout(&mut self, now: Nanos, received_until: Nanos) {
        self.machine.timeout(now, received_until);
    }

    /// What is to be done and told now, in its order. Call it after every other function.
    pub fn poll(&mut self) -> Vec<Action> {
        self.machine.start_queued();
        loop {
            while let Some(io) = self.machine.poll_io() {
                self.actions.push(match io {
                    Io::Connect(id) => Action::Connect(id.into()),
                    Io::Disconnect(id) => Action::Disconnect(id.into()),
                    Io::Closed(place) => Action::Closed(place),
                    Io::Refused(_) => continue,
                });
            }
            let Some(id) = self.machine.next_to_send() else {
                break;
            };
            self.machine.pack(id);
            let bytes = self.machine.unsent(id).to_vec();
            if !bytes.is_empty() {
                self.machine.sent(id, bytes.len());
                self.actions.push(Action::Send(id.into(), bytes));
            }
        }
        for output in self.machine.outputs().drain(..) {
            self.actions.push(match output {
                Output::Done(id, outcome) => {
                    self.under_way.remove(&id);
                    Action::Done(id, ended(outcome))
                }
                Output::Lost(id, error) => Action::Lost(id, error),
                Output::Log(level, message) => Action::Log(level, message),
            });
        }
        std::mem::take(&mut self.actions)
    }
}

fn ended(outcome: outcome::Outcome) -> Ended {
    match outcome {
        outcome::Outcome::Acquired(grant) => Ended::Acquired(Lock(grant)),
        outcome::Outcome::Released => Ended::Released,
        outcome::Outcome::Extended(_) => Ended::Extended,
        outcome::Outcome::Locked(is_locked) => Ended::Locked(is_locked),
        outcome::Outcome::Health(_) | outcome::Outcome::Vouched(_) => Ended::Other,
        outcome::Outcome::Failed(error) => Ended::Failed(error),
    }
}

/// The scripts that a process has a boot of a server run, in the order in which they are loaded, and how long it remembers
/// ballots, in ms and decimal.
pub fn scripts(run_id: &str, options: &Options) -> (Vec<String>, String) {
    let settings = &options.settings;
    let terms = Terms {
        key_prefix: Arc::clone(&settings.key_prefix),
        max_ttl_ms: settings.max_ttl_ms,
        fencing: settings.fencing,
        ballot_retention_ms: settings.ballot_retention_ms,
        fair_grace_ms: settings.fair_grace_ms,
        channel: "".into(),
    };
    let scripts = Scripts::for_boot(run_id, terms);
    let texts = scripts.to_load().map(|script| script.text.clone());
    let retention = String::from_utf8_lossy(scripts.retention()).into_owned();
    (texts.to_vec(), retention)
}
