//! The machine: all sets of nodes and all operations of a process, moved forward event by event.
//!
//! It performs no I/O and has no clock. Whoever uses it tells it what has happened and when, and then
//!
//! - does what [`poll_io`](Machine::poll_io) says with sockets,
//! - sends what is to be sent on the connections that [`next_to_send`](Machine::next_to_send) names,
//! - delivers the [`outputs`](Machine::outputs) to those whom they are for,
//! - and calls [`timeout`](Machine::timeout) when [`deadline`](Machine::deadline) has come.
//!
//! Requests of operations that are submitted before anything is sent leave as one batch for each node, which is where the
//! throughput comes from.

mod asking;
mod connections;
mod keeping;
mod links;
mod surveying;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use super::host::{Entropy, Host};
use super::kept::Kept;
use super::node::command::Answer;
use super::node::connection::Asked;
use super::node_set::NodeSet;
use super::nodes::{Link, Mark, Node, Nodes};
use super::operation::{Asker, Operation, Phase, Task};
use super::outcome::{ConnectionId, Io, Outcome, Output};
use super::rules::busy_poll::BusyPoll;
use super::slab::{Key, Slab};
use super::timer::{Timer, Timers};
use crate::error::{Error, Status};
use crate::level::Level;
use crate::time::Nanos;

/// Rounds of ballots within one attempt after which it counts as a split vote.
const MAX_ROUNDS: u32 = 8;

/// A node's place: of its set, and in its set.
pub(crate) type NodePlace = (usize, usize);

/// See the module.
pub(crate) struct Machine<H: Host> {
    entropy: Box<dyn Entropy>,
    /// What the channels begin with on which the waiters of this process are called.
    channels: String,
    sets: Vec<Option<Nodes<H>>>,
    operations: Slab<Box<Operation<H>>>,
    /// Locks that are kept alive.
    kept: Slab<Kept<H>>,
    timers: Timers,
    /// Sets in which operations wait for their turn, and some may have come.
    turns: Vec<usize>,
    /// Nodes to which something is to be sent.
    dirty: Vec<NodePlace>,
    io: VecDeque<Io>,
    /// What is to be delivered.
    outputs: Vec<Output<H>>,
    /// Operations under way that somebody waits for.
    awaited: u64,
    busy_poll: BusyPoll,
    /// What one read has brought and was not handled yet; empty in between.
    taken: Taken,
    /// Numbers the connections and the attempts at them, over all nodes.
    epochs: u32,
    now: Nanos,
}

/// What a connection has brought, as far as it was not handled yet. If a defect strikes meanwhile, it is still known what was
/// left.
#[derive(Default)]
struct Taken {
    /// The answers, the last one first, and the question whose answer is being counted.
    answers: Vec<(Asked<Mark>, Answer)>,
    in_hand: Option<Asked<Mark>>,
    calls: Vec<Vec<u8>>,
}

impl<H: Host> Machine<H> {
    /// A machine for a process that is called through channels whose names begin with `channels`, on a computer with so many
    /// processors.
    pub(crate) fn new(
        entropy: Box<dyn Entropy>,
        channels: String,
        processors: usize,
        now: Nanos,
    ) -> Machine<H> {
        Machine {
            entropy,
            channels,
            sets: Vec::new(),
            operations: Slab::new(),
            kept: Slab::new(),
            timers: Timers::default(),
            turns: Vec::new(),
            dirty: Vec::new(),
            io: VecDeque::new(),
            outputs: Vec::new(),
            awaited: 0,
            busy_poll: BusyPoll::new(processors),
            taken: Taken::default(),
            epochs: 0,
            now,
        }
    }

    // ---- what is asked of it ----

    /// A new set of nodes, to be contacted.
    pub(crate) fn open(&mut self, now: Nanos, set: Arc<NodeSet>) {
        self.now = now;
        let (place, count) = (set.place, set.nodes.len());
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, || None);
        }
        self.sets[place] = Some(Nodes::new(set, now));
        for node in 0..count {
            self.connect((place, node));
        }
    }

    /// The set's factory is closed: acquires under way end, and there are no further ones.
    pub(crate) fn shut(&mut self, now: Nanos, place: usize) {
        self.now = now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        set.is_shut = true;
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

    /// Nobody uses the set any more. It is gone when the last of its operations has ended; see [`Io::Closed`].
    pub(crate) fn close(&mut self, now: Nanos, place: usize) {
        self.now = now;
        if let Some(set) = self.sets[place].as_mut() {
            set.is_closing = true;
        }
        self.end_if_unused(place);
    }

    /// Takes up an operation.
    pub(crate) fn submit(&mut self, now: Nanos, operation: Box<Operation<H>>) -> Key {
        self.now = now;
        self.begin(operation)
    }

    /// An operation was cancelled before it was submitted.
    pub(crate) fn refuse_cancelled(&mut self, operation: Operation<H>) {
        let outcome = Outcome::Failed(operation.stopped(Status::Cancelled));
        if let Asker::Waiting(caller) | Asker::Background(caller) = operation.asker {
            self.outputs.push(Output::Done(caller, outcome));
        }
    }

    /// The outcome of an operation is not wanted any more. A release or an extension is not stopped: it is on its way.
    pub(crate) fn cancel(&mut self, now: Nanos, key: Key) {
        self.now = now;
        self.stop(key, Status::Cancelled);
    }

    // ---- what comes out ----

    /// The next thing to be done with sockets.
    pub(crate) fn poll_io(&mut self) -> Option<Io> {
        self.io.pop_front()
    }

    /// Whether there is anything to be done with sockets.
    pub(crate) fn has_io(&self) -> bool {
        !self.io.is_empty()
    }

    /// What is to be delivered, in its order. Take it out.
    pub(crate) fn outputs(&mut self) -> &mut Vec<Output<H>> {
        &mut self.outputs
    }

    /// How many operations are under way that somebody waits for.
    pub(crate) fn awaited(&self) -> u64 {
        self.awaited
    }

    /// Until when a wait for the nodes' answers had better be busy, because they are about to come.
    pub(crate) fn busy_until(&self) -> Nanos {
        self.busy_poll.until()
    }

    /// A wait begins. Several operations under way make it a quiet one: others follow, which leave as one batch.
    pub(crate) fn begin_wait(&mut self) {
        if self.awaited > 1 {
            self.busy_poll.in_company();
        }
    }

    /// Whether operations wait for their turn, and some may have come: [`start_queued`](Self::start_queued) starts them.
    pub(crate) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    // ---- time ----

    /// When something happened last.
    pub(crate) fn now(&self) -> Nanos {
        self.now
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    pub(crate) fn deadline(&mut self) -> Option<Nanos> {
        let Machine {
            timers,
            operations,
            sets,
            ..
        } = self;
        let node =
            |set: usize, node: usize| -> Option<&Node> { sets.get(set)?.as_ref()?.nodes.get(node) };
        timers.next(|timer| match *timer {
            Timer::NodeTimeout { operation, attempt }
            | Timer::Straggling { operation, attempt } => operations
                .get(operation)
                .is_some_and(|operation| operation.attempt == attempt),
            Timer::Resume { operation, attempt } => operations
                .get(operation)
                .is_some_and(|it| it.attempt == attempt && it.phase == Phase::Resting),
            Timer::Look { operation, attempt } => operations
                .get(operation)
                .is_some_and(|it| it.attempt == attempt && it.phase != Phase::Ended),
            Timer::KeepAlive { .. } => true,
            Timer::SetUp {
                set,
                node: index,
                epoch,
            } => node(set, index)
                .is_some_and(|it| it.epoch == epoch && matches!(it.link, Link::SettingUp(_))),
            Timer::Check { set } => sets
                .get(set)
                .and_then(Option::as_ref)
                .is_some_and(|set| !set.checks.is_empty()),
            Timer::Reconnect {
                set,
                node: index,
                epoch,
            }
            | Timer::Witness {
                set,
                node: index,
                epoch,
            }
            | Timer::GiveUp {
                set,
                node: index,
                epoch,
            } => node(set, index).is_some_and(|node| node.epoch == epoch),
        })
    }

    /// When the next lock is due that is kept alive.
    pub(crate) fn keep_alive_deadline(&self) -> Option<Nanos> {
        self.timers.next_keep_alive()
    }

    /// It is `now`, and everything has been received that had come in by `received_until`. Timers count by the latter: a host
    /// that did not run for a while would find nodes overdue whose answers it has only not read yet.
    pub(crate) fn timeout(&mut self, now: Nanos, received_until: Nanos) {
        self.now = now;
        while let Some(timer) = self.timers.pop_due(received_until) {
            self.fire(timer);
        }
    }

    fn fire(&mut self, timer: Timer) {
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
            Timer::SetUp { set, node, epoch } => {
                if self.is_current(set, node, epoch) {
                    self.mind_set_up((set, node));
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

    // ---- defects ----

    /// A defect struck in mid-turn: whoever waits is told, rather than left waiting.
    pub(crate) fn fail_everything(&mut self) {
        self.taken = Taken::default();
        for key in self.operations.keys() {
            if let Some(mut operation) = self.operations.remove(key)
                && operation.phase != Phase::Ended
            {
                let outcome = Outcome::Failed(operation.stopped(Status::Internal));
                match std::mem::replace(&mut operation.asker, Asker::Nobody) {
                    Asker::Waiting(caller) | Asker::Background(caller) => {
                        self.outputs.push(Output::Done(caller, outcome));
                    }
                    Asker::KeepAlive(kept) => self.kept_outcome(kept, outcome),
                    Asker::Nobody => {}
                }
            }
        }
        for place in 0..self.sets.len() {
            let Some(set) = self.sets[place].as_mut() else {
                continue;
            };
            (set.operations, set.asking) = (0, 0);
            set.queued.clear();
            set.waiting.clear();
            for check in set.checks.drain(..) {
                let error = Error::new(
                    Status::Internal,
                    "a check of the nodes was ended by a defect",
                );
                let outcome = Outcome::Failed(error);
                self.outputs.push(Output::Done(check.caller, outcome));
            }
            self.end_if_unused(place);
        }
        self.awaited = 0;
    }

    // ---- inside ----

    /// Ends a set that nobody uses any more, with its connections.
    fn end_if_unused(&mut self, place: usize) {
        let is_unused = |set: &Nodes<H>| set.is_closing && set.operations == 0;
        if !self.sets[place].as_ref().is_some_and(is_unused) {
            return;
        }
        let set = self.sets[place].take();
        for (index, node) in set.iter().flat_map(|set| &set.nodes).enumerate() {
            if !matches!(node.link, Link::Down) {
                let id = id_of((place, index), node);
                self.io.push_back(Io::Disconnect(id));
            }
        }
        self.io.push_back(Io::Closed(place));
    }

    fn log(&mut self, level: Level, message: String) {
        self.outputs.push(Output::Log(level, message));
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

    /// Something is to be sent to the node.
    fn is_to_send(&mut self, at: NodePlace) {
        if let Some(node) = self.node(at)
            && !std::mem::replace(&mut node.dirty, true)
        {
            self.dirty.push(at);
        }
    }

    fn node(&mut self, (place, index): NodePlace) -> Option<&mut Node> {
        self.sets.get_mut(place)?.as_mut()?.nodes.get_mut(index)
    }

    /// The node of a connection that is not over.
    fn current(&mut self, id: ConnectionId) -> Option<&mut Node> {
        self.node((id.place, id.node))
            .filter(|node| node.epoch == id.epoch)
    }
}

fn id_of((place, node): NodePlace, state: &Node) -> ConnectionId {
    ConnectionId {
        place,
        node,
        epoch: state.epoch,
    }
}

fn mark_dirty(list: &mut Vec<NodePlace>, flag: &mut bool, place: NodePlace) {
    if !std::mem::replace(flag, true) {
        list.push(place);
    }
}
