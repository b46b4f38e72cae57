//! What a node knows, apart from its connections' bytes: what commands look at and change.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rustc_hash::FxHashSet;

use super::keyspace::Keyspace;
use super::reply::Reply;
use super::user::User;
use super::version::Version;

/// A connection, as the node numbers them; CLIENT ID tells it.
pub type ConnectionId = u64;

/// The SHA-1 of a script, in hexadecimal digits.
pub type Digest = [u8; 40];

/// How many databases there are.
const DATABASES: usize = 16;

/// What a node's operator has set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server that it is.
    pub version: Version,
    /// Whether there is an append-only file.
    pub aof: bool,
    /// How often that is synced: `always`, `everysec`, `no`.
    pub appendfsync: &'static str,
    /// What is evicted when the memory is full. Nothing is, here.
    pub maxmemory_policy: &'static str,
    /// Whether the memory is full.
    pub memory_full: bool,
    /// Whether fewer replicas are there than `min-replicas-to-write` asks for.
    pub lacks_replicas: bool,
    /// Whether it is a replica of another.
    pub replica: bool,
    /// Whether it is loading its data.
    pub loading: bool,
    /// Users by name; `default` is the one that a connection begins as.
    pub users: BTreeMap<String, Rc<User>>,
}

impl Settings {
    /// Those of a new master that lets everybody do everything, and keeps nothing on disk.
    pub fn new(version: Version) -> Settings {
        let default = Rc::new(User::default());
        Settings {
            version,
            aof: false,
            appendfsync: "everysec",
            maxmemory_policy: "noeviction",
            memory_full: false,
            lacks_replicas: false,
            replica: false,
            loading: false,
            users: BTreeMap::from([("default".to_owned(), default)]),
        }
    }

    /// Whether each write is on disk before it is answered.
    pub fn persists_every_write(&self) -> bool {
        self.aof && self.appendfsync == "always"
    }
}

/// What a node knows.
#[derive(Debug)]
pub struct State {
    /// What its operator has set.
    pub settings: Settings,
    /// Its clock's time, in us since 1970. It stands still while a command is executed.
    pub now_us: u64,
    /// The name of the present start.
    pub run_id: String,
    /// When that was, by its clock, in us since 1970.
    pub started_us: u64,
    /// The scripts that it has.
    pub scripts: FxHashSet<Digest>,
    /// The connections that are open.
    pub connections: BTreeSet<ConnectionId>,
    /// Who listens on which channel.
    pub channels: BTreeMap<Vec<u8>, BTreeSet<ConnectionId>>,
    /// Messages for connections that listen, which are to be sent.
    pub pushes: Vec<(ConnectionId, Reply)>,
    /// How many commands were executed, those of scripts not counted.
    pub commands: u64,
    databases: Vec<Keyspace>,
}

impl State {
    /// The state of a server that was just started.
    pub fn new(settings: Settings, run_id: String, now_us: u64) -> State {
        State {
            settings,
            now_us,
            run_id,
            started_us: now_us,
            scripts: FxHashSet::default(),
            connections: BTreeSet::new(),
            channels: BTreeMap::new(),
            pushes: Vec::new(),
            commands: 0,
            databases: vec![Keyspace::default(); DATABASES],
        }
    }

    /// Its clock's time, in ms since 1970.
    pub fn now_ms(&self) -> i64 {
        (self.now_us / 1000) as i64
    }

    /// A database, if there is one of that number.
    pub fn database(&mut self, number: usize) -> Option<&mut Keyspace> {
        self.databases.get_mut(number)
    }

    /// All databases.
    pub fn databases(&self) -> &[Keyspace] {
        &self.databases
    }

    /// Takes all data out of it.
    pub fn take_data(&mut self) -> Vec<Keyspace> {
        std::mem::replace(&mut self.databases, vec![Keyspace::default(); DATABASES])
    }

    /// Puts data in the place of what it has.
    pub fn set_data(&mut self, databases: Vec<Keyspace>) {
        debug_assert_eq!(databases.len(), DATABASES);
        self.databases = databases;
    }

    /// Forgets what has ended.
    pub fn purge(&mut self) {
        let now = self.now_ms();
        for database in &mut self.databases {
            database.purge(now);
        }
    }

    /// Sends a message to who listens on a channel; how many do.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let Some(listeners) = self.channels.get(channel) else {
            return 0;
        };
        let push = Reply::Push(vec![
            Reply::bulk("message"),
            Reply::bulk(channel),
            Reply::bulk(message),
        ]);
        for listener in listeners {
            self.pushes.push((*listener, push.clone()));
        }
        listeners.len()
    }

    /// A connection is gone: it listens no more.
    pub fn forget_connection(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.channels.retain(|_, listeners| {
            listeners.remove(&connection);
            !listeners.is_empty()
        });
    }
}
