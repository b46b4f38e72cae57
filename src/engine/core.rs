//! The engine proper: all connections and all operations of the process, moved forward one turn at a time.
//!
//! Whoever drives it (see [`runtime`](super::runtime)) calls [`Core::prepare`], waits for sockets, and calls
//! [`Core::react`], over and over: take in requests, fire timers, flush what was asked, wait, count the answers.
//! Everything that was asked in one turn of a node leaves as one batch, which is where the throughput comes from.

mod asking;
mod credentials;
#[cfg(test)]
mod defects;
mod keeping;
mod links;
mod sockets;
mod surveying;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use mio::Registry;

use self::sockets::unwatch;
use super::delivery::Deliveries;
use super::kept::Kept;
use super::nodes::{Mark, Node, NodeSet, Nodes};
use super::operation::{Operation, Phase, Task};
use super::poller::Patience;
use super::queue::QueueState;
use super::runtime::Runtime;
use super::slab::{Key, Slab};
use super::ticket::{Outcome, Ticket};
use super::timer::{Timer, Timers};
use crate::clock::{self, Nanos};
use crate::descriptors::Ours;
use crate::error::{Error, Status};
use crate::logic::busy_poll::BusyPoll;
use crate::node::command::Answer;
use crate::node::connection::Asked;

/// What other threads ask of the engine.
pub(crate) enum Request {
    /// A new set of nodes, to be contacted.
    Open(Arc<NodeSet>),
    /// The set's factory is closed: acquires under way end.
    Shut {
        place: usize,
    },
    /// Nobody uses the set any more.
    Close {
        place: usize,
    },
    /// A node's name has been looked up.
    Resolved {
        place: usize,
        node: usize,
        epoch: u32,
        result: Result<Vec<SocketAddr>, String>,
    },
    Submit(Box<Operation>),
    Cancel(Arc<Ticket>),
    /// A lock is to be kept alive.
    Keep(Kept),
    /// An extension of a kept lock has ended.
    Kept {
        kept: Key,
        outcome: Outcome,
    },
    /// An operator vouches for the nodes that can be reached.
    Vouch {
        place: usize,
        ticket: Arc<Ticket>,
    },
    /// Credentials are asked for by events of this queue, under that number.
    AskOn {
        place: usize,
        queue: Arc<QueueState>,
        id: u64,
    },
    /// The program has given credentials, or says why it can't.
    Credentials {
        place: usize,
        given: Result<(), String>,
    },
    /// How are the nodes of a set?
    Inspect {
        place: usize,
        ticket: Arc<Ticket>,
    },
}

/// Rounds of ballots within one attempt after which it counts as a split vote.
const MAX_ROUNDS: u32 = 8;

/// A node's place: of its set, and in its set.
type NodePlace = (usize, usize);

/// All state of the engine, which one thread at a time moves forward: the driver, or, while that waits for sockets, one that
/// submits an operation.
pub(crate) struct Core {
    runtime: &'static Runtime,
    registry: Ours<Registry>,
    sets: Vec<Option<Nodes>>,
    operations: Slab<Box<Operation>>,
    /// Locks that are kept alive.
    kept: Slab<Kept>,
    timers: Timers,
    /// Sets in which operations wait for their turn, and some may have come.
    turns: Vec<usize>,
    /// Nodes with output that no flush has been tried for.
    dirty: Vec<NodePlace>,
    /// Nodes that had more to read than one turn takes.
    unread: Vec<NodePlace>,
    /// Operations under way that somebody waits for.
    awaited: u64,
    requests: Vec<Request>,
    answers: Vec<(Asked<Mark>, Answer)>,
    calls: Vec<Vec<u8>>,
    busy_poll: BusyPoll,
    /// What is to be delivered when the mutex is free.
    pub(super) deliveries: Deliveries,
    /// When the driver stops waiting for sockets at the latest.
    waits_until: Nanos,
    /// When a thread that does not drive last sent an operation's questions itself.
    last_sent_aside: Nanos,
    /// When the sockets were last looked at. Timers count by this, not by what time it has become since: a driver that did
    /// not run for a while would find nodes overdue whose answers it has only not read yet.
    looked_at: Nanos,
    /// When the descriptors were last checked.
    checked_at: Nanos,
    /// Numbers the connections and the attempts at them, over all nodes.
    epochs: u32,
    now: Nanos,
}

impl Core {
    pub(crate) fn new(runtime: &'static Runtime, registry: Ours<Registry>) -> Core {
        Core {
            runtime,
            registry,
            sets: Vec::new(),
            operations: Slab::new(),
            kept: Slab::new(),
            timers: Timers::default(),
            turns: Vec::new(),
            dirty: Vec::new(),
            unread: Vec::new(),
            awaited: 0,
            requests: Vec::new(),
            answers: Vec::new(),
            calls: Vec::new(),
            deliveries: Deliveries::default(),
            busy_poll: BusyPoll::new(thread::available_parallelism().map_or(1, usize::from)),
            waits_until: 0,
            last_sent_aside: 0,
            looked_at: clock::now(),
            checked_at: 0,
            epochs: 0,
            now: clock::now(),
        }
    }

    /// The first half of a turn: what has come in, what is due, what is to be sent. Gives for how long the driver may
    /// then wait for sockets, other threads or the next timer, at most until `until`.
    pub(crate) fn prepare(&mut self, until: Nanos) -> Patience {
        self.now = clock::now();
        self.take_requests();
        self.fire_timers();
        self.start_queued();
        self.flush();
        self.runtime.awaited.set(self.awaited);
        self.patience(until)
    }

    /// Takes up an operation and sends its questions, for a thread that does not drive, while the driver waits for
    /// sockets. Gives whether the driver has to be woken: for what is left to it, or because it would wait for too long now.
    pub(crate) fn send_aside(&mut self, operation: Box<Operation>) -> bool {
        self.submit(operation);
        let left = !self.flush_sound() || !self.turns.is_empty();
        self.runtime.awaited.set(self.awaited);
        self.last_sent_aside = self.now;
        left || self.next_timer().is_some_and(|at| at < self.waits_until)
    }

    /// Takes up an operation at once, for a caller that drives.
    pub(crate) fn submit(&mut self, operation: Box<Operation>) {
        self.now = clock::now();
        self.begin(operation);
    }

    /// Sends what a turn left unsent, for a caller that stops driving.
    pub(crate) fn settle(&mut self) -> u64 {
        self.start_queued();
        self.flush();
        self.runtime.awaited.set(self.awaited);
        self.awaited
    }

    /// A defect struck in mid-turn: whoever waits is told, rather than left waiting.
    pub(crate) fn fail_everything(&mut self) {
        for key in self.operations.keys() {
            if let Some(mut operation) = self.operations.remove(key)
                && operation.phase != Phase::Ended
                && let Some(ticket) = operation.ticket.take()
            {
                let outcome = Outcome::Failed(operation.stopped(Status::Internal));
                self.deliveries.outcome(ticket, outcome);
            }
        }
        for set in self.sets.iter_mut().flatten() {
            set.asking = 0;
            set.queued.clear();
            set.waiting.clear();
            for check in set.checks.drain(..) {
                let error = Error::new(
                    Status::Internal,
                    "a check of the nodes was ended by a defect",
                );
                let outcome = Outcome::Failed(error);
                self.deliveries.outcome(check.ticket, outcome);
            }
        }
        self.awaited = 0;
    }

    fn take_requests(&mut self) {
        let mut requests = std::mem::take(&mut self.requests);
        self.runtime.take_requests(&mut requests);
        for request in requests.drain(..) {
            self.handle(request);
        }
        self.requests = requests;
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Open(set) => self.open(&set),
            Request::Shut { place } => self.shut(place),
            Request::Close { place } => self.close(place),
            Request::Resolved {
                place,
                node,
                epoch,
                result,
            } => self.resolved((place, node), epoch, result),
            Request::Submit(operation) => self.begin(operation),
            Request::Cancel(ticket) => self.cancel(&ticket),
            Request::Keep(kept) => self.keep(kept),
            Request::Kept { kept, outcome } => self.kept_outcome(kept, outcome),
            Request::Vouch { place, ticket } => self.vouch(place, ticket),
            Request::AskOn { place, queue, id } => self.ask_on(place, queue, id),
            Request::Credentials { place, given } => self.credentials(place, given),
            Request::Inspect { place, ticket } => self.inspect(place, ticket),
        }
    }

    fn open(&mut self, set: &Arc<NodeSet>) {
        let place = set.place;
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, || None);
        }
        self.sets[place] = Some(Nodes::new(set, self.now));
        for node in 0..set.addresses.len() {
            self.connect((place, node));
        }
    }

    fn shut(&mut self, place: usize) {
        self.stop_vouching(place);
        for key in self.operations.keys() {
            let ends = self.operations.get(key).is_some_and(|operation| {
                operation.set.place == place
                    && operation.phase != Phase::Ended
                    && matches!(operation.task, Task::Acquire { .. } | Task::IsLocked)
            });
            if ends {
                self.stop(key, Status::Closed);
            }
        }
    }

    fn close(&mut self, place: usize) {
        let Some(set) = self.sets[place].take() else {
            return;
        };
        for node in set.nodes {
            if let Some(stream) = node.stream {
                unwatch(&self.registry, stream.fd());
            }
        }
        self.runtime.free_place(place);
    }

    fn cancel(&mut self, ticket: &Ticket) {
        if let Some(key) = ticket.cancel() {
            self.stop(key, Status::Cancelled);
        }
    }

    fn fire_timers(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.looked_at) {
            match timer {
                Timer::NodeTimeout { operation, attempt } => self.node_timeout(operation, attempt),
                Timer::Straggling { operation, attempt } => self.straggling(operation, attempt),
                Timer::Resume { operation, attempt } => {
                    if self.is_at(operation, attempt) && self.may_look(operation, attempt) {
                        self.resume(operation);
                    }
                }
                Timer::Look { operation, attempt } => {
                    if self.is_at(operation, attempt) {
                        self.look(operation);
                    }
                }
                Timer::Reconnect { set, node, epoch } => {
                    if self.is_current(set, node, epoch) {
                        self.connect((set, node));
                    }
                }
                Timer::Dial { set, node, epoch } => {
                    if self.is_current(set, node, epoch) {
                        self.dial((set, node));
                    }
                }
                Timer::Witness { set, node, epoch } => {
                    if self.is_current(set, node, epoch) {
                        self.keep_witness((set, node));
                    }
                }
                Timer::KeepAlive { kept } => self.keep_alive(kept),
                Timer::GiveUp { set, node, epoch } => self.give_up((set, node), epoch),
                Timer::Check { set } => self.end_checks(set),
            }
        }
    }

    fn is_at(&self, operation: Key, attempt: u32) -> bool {
        self.operations
            .get(operation)
            .is_some_and(|operation| operation.attempt == attempt)
    }

    fn is_current(&self, set: usize, node: usize, epoch: u32) -> bool {
        self.sets
            .get(set)
            .and_then(Option::as_ref)
            .and_then(|set| set.nodes.get(node))
            .is_some_and(|node| node.epoch == epoch)
    }

    /// The node's connection is to be flushed in this turn.
    fn has_output(&mut self, at: NodePlace) {
        if let Some(node) = self.node(at)
            && !std::mem::replace(&mut node.dirty, true)
        {
            self.dirty.push(at);
        }
    }

    fn node(&mut self, (place, index): NodePlace) -> Option<&mut Node> {
        self.sets.get_mut(place)?.as_mut()?.nodes.get_mut(index)
    }
}
