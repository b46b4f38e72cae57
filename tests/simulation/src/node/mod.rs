//! A simulated master: bytes in, bytes out, and the time passed in.
//!
//! It does what a Redis server does that the library speaks to, and executes the library's own scripts. A test compares each of
//! its replies with those of real servers, so that it cannot drift away from them.

mod clock;
pub mod commands;
mod connection;
mod errors;
mod glob;
mod info;
pub mod keyspace;
mod lua;
mod reply;
mod request;
mod state;
mod user;
mod version;

use std::collections::BTreeMap;
use std::rc::Rc;

pub use clock::Clock;
pub use lua::Interpreter;
pub use reply::Reply;
pub use state::{ConnectionId, Digest, Settings, State};
pub use user::User;
pub use version::Version;

use crate::Nanos;
use connection::Connection;
use keyspace::Keyspace;

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There are bytes for who is at the other end.
    Output(ConnectionId),
    /// The node closed it, after these last bytes.
    Closed(ConnectionId, Vec<u8>),
}

/// A simulated master.
pub struct Node {
    /// Its wall clock.
    pub clock: Clock,
    interpreter: Rc<Interpreter>,
    /// Lent to a script while that runs.
    state: Option<Box<State>>,
    connections: BTreeMap<ConnectionId, Connection>,
    last_connection: ConnectionId,
    /// Connections that have output, or were closed, and have not told yet.
    events: Vec<Event>,
}

impl Node {
    /// A node that was just started, with this run id.
    pub fn new(
        interpreter: &Rc<Interpreter>,
        settings: Settings,
        run_id: String,
        clock: Clock,
        now: Nanos,
    ) -> Node {
        Node {
            state: Some(Box::new(State::new(settings, run_id, clock.us(now)))),
            clock,
            interpreter: Rc::clone(interpreter),
            connections: BTreeMap::new(),
            last_connection: 2,
            events: Vec::new(),
        }
    }

    /// What it knows.
    pub fn state(&self) -> &State {
        self.state.as_ref().expect("no script is running")
    }

    /// What it knows, to be changed behind its back.
    pub fn state_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("no script is running")
    }

    /// Starts it anew: all connections end, without a word to those who hold them; the scripts are gone, and the data, unless
    /// it keeps them.
    pub fn restart(&mut self, now: Nanos, run_id: String, settings: Settings, keeps_data: bool) {
        let data = self.state_mut().take_data();
        let mut state = State::new(settings, run_id, self.clock.us(now));
        if keeps_data {
            state.set_data(data);
        }
        *self.state_mut() = state;
        self.connections.clear();
        self.last_connection = 2;
        self.events.clear();
    }

    /// A new connection.
    pub fn accept(&mut self) -> ConnectionId {
        self.last_connection += 1;
        let default = self.state().settings.users.get("default").cloned();
        let user = default.filter(|user| user.password.is_none());
        let id = self.last_connection;
        self.connections.insert(id, Connection::new(id, user));
        self.state_mut().connections.insert(id);
        id
    }

    /// The connection's other end is gone.
    pub fn disconnected(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.state_mut().forget_connection(id);
        }
    }

    /// Whether a connection is open.
    pub fn is_connected(&self, id: ConnectionId) -> bool {
        self.connections.contains_key(&id)
    }

    /// Bytes came on a connection. What they ask for is done at once.
    pub fn received(&mut self, now: Nanos, id: ConnectionId, bytes: &[u8]) {
        let us = self.clock.us(now);
        self.state_mut().now_us = us;
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        connection.received(bytes);
        let mut words = Vec::new();
        loop {
            let consumed = match connection.next_command(&mut words) {
                Ok(Some(consumed)) => consumed,
                Ok(None) => break,
                Err(error) => {
                    connection.hang_up(&Reply::error(error.0), self.state().settings.version);
                    break;
                }
            };
            let input = connection.take_command(consumed);
            let command: Vec<&[u8]> = words.iter().map(|word| &input[word.clone()]).collect();
            if !command.is_empty() {
                self.state_mut().commands += 1;
                let interpreter = Rc::clone(&self.interpreter);
                let killed = connection.execute(&mut self.state, &interpreter, &command);
                self.deliver(&mut connection);
                if let Some(other) = killed {
                    self.kill(other);
                }
            }
            connection.give_back(input);
            if connection.is_closing() {
                break;
            }
        }
        self.put_back(connection);
    }

    fn put_back(&mut self, mut connection: Connection) {
        let id = connection.id();
        if connection.is_closing() {
            let last = connection.take_output();
            self.state_mut().forget_connection(id);
            self.events.push(Event::Closed(id, last));
            return;
        }
        if connection.has_news() {
            self.events.push(Event::Output(id));
        }
        self.connections.insert(id, connection);
    }

    /// Puts messages that were published into the output of those who listen.
    fn deliver(&mut self, own: &mut Connection) {
        let state = self.state.as_mut().expect("no script is running");
        if state.pushes.is_empty() {
            return;
        }
        let version = state.settings.version;
        for (id, push) in std::mem::take(&mut state.pushes) {
            if id == own.id() {
                own.push(&push, version);
            } else if let Some(other) = self.connections.get_mut(&id) {
                other.push(&push, version);
                if other.has_news() {
                    self.events.push(Event::Output(id));
                }
            }
        }
    }

    fn kill(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.state_mut().forget_connection(id);
            self.events.push(Event::Closed(id, Vec::new()));
        }
    }

    /// What became of a connection since this was asked last.
    pub fn take_event(&mut self) -> Option<Event> {
        match self.events.is_empty() {
            true => None,
            false => Some(self.events.remove(0)),
        }
    }

    /// Takes the bytes that a connection is to send.
    pub fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        self.connections
            .get_mut(&id)
            .map_or_else(Vec::new, Connection::take_output)
    }

    /// What is in a database, at this time.
    pub fn live_keys(&mut self, now: Nanos, database: usize) -> Vec<(Vec<u8>, &'static str)> {
        let ms = (self.clock.us(now) / 1000) as i64;
        let keyspace: Option<&Keyspace> = self.state().databases().get(database);
        let keys = keyspace
            .map(|keyspace| keyspace.live(ms))
            .unwrap_or_default();
        keys.into_iter()
            .map(|(key, entry)| (key.to_vec(), entry.value.kind()))
            .collect()
    }
}
