//! A client of another library: it knows SET NX PX, and a script that deletes what is its own, and nothing else.

use std::collections::BTreeMap;
use std::rc::Rc;

use redlock::Status;

use crate::Nanos;
use crate::client::{Action, Client, Connection, Ended, Held};
use crate::random::Random;

const MS: Nanos = 1_000_000;
/// How long it waits for the nodes.
const PATIENCE: Nanos = 50 * MS;
/// How long it rests between two attempts, at most.
const REST: Nanos = 40 * MS;
/// How long it waits before it connects again.
const RECONNECT: Nanos = 100 * MS;
const DELETE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

/// A lock that it won.
#[derive(Debug)]
pub struct OtherLock {
    /// Until when it takes it for its own.
    pub until: Nanos,
    name: String,
    token: String,
}

/// The client.
pub struct Other {
    random: Random,
    nodes: Vec<Node>,
    operations: BTreeMap<u64, Operation>,
    actions: Vec<Action>,
    last_number: u32,
}

#[derive(Default)]
struct Node {
    connection: Option<Connection>,
    is_up: bool,
    reconnect_at: Nanos,
    /// What the replies that are to come are for: an operation's attempt, or nothing.
    due: std::collections::VecDeque<Option<(u64, u32)>>,
    input: Vec<u8>,
}

struct Operation {
    name: String,
    token: String,
    ttl_ms: u64,
    give_up_at: Nanos,
    attempt: u32,
    began: Nanos,
    yes: usize,
    answered: usize,
    /// When the attempt is over, or the next one begins.
    due: Nanos,
    is_resting: bool,
}

impl Other {
    /// A client of so many nodes.
    pub fn new(now: Nanos, seed: u64, nodes: usize) -> Other {
        let mut other = Other {
            random: Random::new(seed),
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            operations: BTreeMap::new(),
            actions: Vec::new(),
            last_number: 0,
        };
        (0..nodes).for_each(|node| other.connect(now, node));
        other
    }

    fn connect(&mut self, _: Nanos, node: usize) {
        self.last_number += 1;
        let connection = Connection {
            set: 0,
            node,
            number: self.last_number,
        };
        self.nodes[node] = Node {
            connection: Some(connection),
            ..Node::default()
        };
        self.actions.push(Action::Connect(connection));
    }

    fn send(&mut self, node: usize, words: &[&str], due: Option<(u64, u32)>) {
        let Some(connection) = self.nodes[node]
            .connection
            .filter(|_| self.nodes[node].is_up)
        else {
            return;
        };
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.nodes[node].due.push_back(due);
        self.actions
            .push(Action::Send(connection, bytes.into_bytes()));
    }

    fn attempt(&mut self, now: Nanos, id: u64) {
        let token = self.random.hexadecimal(40);
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        operation.token = token.clone();
        operation.attempt += 1;
        operation.began = now;
        operation.yes = 0;
        operation.answered = 0;
        operation.is_resting = false;
        operation.due = now + PATIENCE;
        let (name, ttl, attempt) = (
            operation.name.clone(),
            operation.ttl_ms.to_string(),
            operation.attempt,
        );
        for node in 0..self.nodes.len() {
            self.send(
                node,
                &["SET", &name, &token, "NX", "PX", &ttl],
                Some((id, attempt)),
            );
        }
    }

    fn delete(&mut self, name: &str, token: &str) {
        for node in 0..self.nodes.len() {
            self.send(node, &["EVAL", DELETE, "1", name, token], None);
        }
    }

    /// An attempt has as many answers as it will get.
    fn decide(&mut self, now: Nanos, id: u64) {
        let quorum = self.nodes.len() / 2 + 1;
        let rest = self.random.below(REST);
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        let drift = operation.ttl_ms / 100 + 2;
        let until = operation.began + operation.ttl_ms.saturating_sub(drift) * MS;
        let (name, token) = (operation.name.clone(), operation.token.clone());
        if operation.yes >= quorum && until > now {
            self.operations.remove(&id);
            let lock = Rc::new(OtherLock { until, name, token });
            self.actions
                .push(Action::Done(id, Ended::Acquired(Held::Other(lock))));
            return;
        }
        if operation.give_up_at <= now + rest {
            self.operations.remove(&id);
            let failed = Ended::Failed(Status::Contended, String::new());
            self.actions.push(Action::Done(id, failed));
        } else {
            operation.is_resting = true;
            operation.due = now + rest;
        }
        self.delete(&name, &token);
    }

    fn reply(&mut self, now: Nanos, node: usize, reply: &[u8]) {
        let Some(Some((id, attempt))) = self.nodes[node].due.pop_front() else {
            return;
        };
        let all = self.nodes.len();
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        if operation.attempt != attempt || operation.is_resting {
            return;
        }
        operation.answered += 1;
        operation.yes += usize::from(reply.starts_with(b"+OK"));
        if operation.answered == all {
            self.decide(now, id);
        }
    }

    fn is_current(&self, at: Connection) -> bool {
        self.nodes[at.node].connection == Some(at)
    }

    fn forget(&mut self, now: Nanos, at: Connection) {
        if self.is_current(at) {
            self.nodes[at.node] = Node {
                reconnect_at: now + RECONNECT,
                ..Node::default()
            };
        }
    }
}

/// The length of the first reply: it asks for nothing but lines, and strings that are not there.
fn first_line(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(2).position(|pair| pair == b"\r\n")? + 2)
}

impl Client for Other {
    fn connected(&mut self, _: Nanos, at: Connection, _: i64) {
        if self.is_current(at) {
            self.nodes[at.node].is_up = true;
        }
    }

    fn connect_failed(&mut self, now: Nanos, at: Connection) {
        self.forget(now, at);
    }

    fn received(&mut self, now: Nanos, at: Connection, bytes: &[u8]) {
        if !self.is_current(at) {
            return;
        }
        self.nodes[at.node].input.extend_from_slice(bytes);
        while let Some(length) = first_line(&self.nodes[at.node].input) {
            let reply: Vec<u8> = self.nodes[at.node].input.drain(..length).collect();
            self.reply(now, at.node, &reply);
        }
    }

    fn disconnected(&mut self, now: Nanos, at: Connection, _: bool) {
        self.forget(now, at);
    }

    fn deadline(&mut self) -> Option<Nanos> {
        let operations = self.operations.values().map(|operation| operation.due);
        let lost = self.nodes.iter().filter(|node| node.connection.is_none());
        operations.chain(lost.map(|node| node.reconnect_at)).min()
    }

    fn timeout(&mut self, now: Nanos) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].connection.is_none() && self.nodes[node].reconnect_at <= now {
                self.connect(now, node);
            }
        }
        let due = self
            .operations
            .iter()
            .filter(|(_, operation)| operation.due <= now);
        let due: Vec<(u64, bool)> = due
            .map(|(id, operation)| (*id, operation.is_resting))
            .collect();
        for (id, is_resting) in due {
            match is_resting {
                true => self.attempt(now, id),
                false => self.decide(now, id),
            }
        }
    }

    fn poll(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn acquire(&mut self, now: Nanos, id: u64, names: &[&str], ttl_ms: u64, give_up_at: Nanos) {
        let operation = Operation {
            name: names[0].to_owned(),
            token: String::new(),
            ttl_ms,
            give_up_at,
            attempt: 0,
            began: now,
            yes: 0,
            answered: 0,
            due: now,
            is_resting: false,
        };
        self.operations.insert(id, operation);
        self.attempt(now, id);
    }

    fn release(&mut self, _: Nanos, id: u64, lock: &Held) -> bool {
        let Held::Other(lock) = lock else {
            return false;
        };
        self.delete(&lock.name, &lock.token);
        self.actions.push(Action::Done(id, Ended::Done));
        true
    }

    fn extend(&mut self, _: Nanos, _: u64, _: &Held, _: u64) -> bool {
        false
    }

    fn keep_alive(&mut self, _: Nanos, _: u64, _: &Held) -> bool {
        false
    }

    fn is_locked(&mut self, _: Nanos, _: u64, _: &str) -> bool {
        false
    }

    fn cancel(&mut self, _: Nanos, id: u64) {
        if let Some(operation) = self.operations.remove(&id) {
            self.delete(&operation.name, &operation.token);
            let failed = Ended::Failed(Status::Cancelled, String::new());
            self.actions.push(Action::Done(id, failed));
        }
    }
}
