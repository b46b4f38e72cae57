//! The engine proper: all connections and all operations of the process, moved forward one turn at a time.
//!
//! Whoever drives it (see [`runtime`](super::runtime)) calls [`Core::turn`] over and over: take in requests, fire
//! timers, flush what was asked, wait for sockets, count the answers. Everything that was asked in one turn of a node
//! leaves as one batch, which is where the throughput comes from.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token as PollToken};

use super::grant::{Grant, Held};
use super::nodes::{Availability, GIVE_UP_AFTER, Link, Mark, Node, NodeSet, Nodes};
use super::operation::{Operation, Phase, Task};
use super::runtime::{Runtime, WAKER};
use super::slab::{Key, Slab};
use super::ticket::{Outcome, TakenUp, Ticket};
use super::timer::{Timer, Timers};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::error::{Error, Status};
use crate::log::{self, Level};
use crate::logic::quorum::{Decision, MAX_NODES, NodeMask, Tally, Vote};
use crate::logic::validity;
use crate::node::command::{self, Answer, Question};
use crate::node::connection::{Asked, Connection};
use crate::node::setup::{self, Established, SetupError, Superseded};

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
    /// A connector thread is done.
    Connected {
        place: usize,
        node: usize,
        epoch: u32,
        result: Result<Box<Established>, SetupError>,
    },
    Submit(Box<Operation>),
    Cancel(Arc<Ticket>),
    /// How are the nodes of a set?
    Inspect {
        place: usize,
        ticket: Arc<Ticket>,
    },
}

/// A node's place: of its set, and in its set.
type NodePlace = (usize, usize);

/// All state that only the driver touches.
pub(crate) struct Core {
    runtime: &'static Runtime,
    poll: Poll,
    events: Events,
    sets: Vec<Option<Nodes>>,
    operations: Slab<Operation>,
    timers: Timers,
    /// Nodes with output that no flush has been tried for.
    dirty: Vec<NodePlace>,
    /// Operations under way that somebody waits for.
    awaited: u64,
    requests: Vec<Request>,
    answers: Vec<(Asked<Mark>, Answer)>,
    /// Numbers the connections and the attempts at them, over all nodes.
    epochs: u32,
    now: Nanos,
}

impl Core {
    pub(crate) fn new(runtime: &'static Runtime, poll: Poll) -> Core {
        Core {
            runtime,
            poll,
            events: Events::with_capacity(256),
            sets: Vec::new(),
            operations: Slab::new(),
            timers: Timers::default(),
            dirty: Vec::new(),
            awaited: 0,
            requests: Vec::new(),
            answers: Vec::new(),
            epochs: 0,
            now: clock::now(),
        }
    }

    /// One round: what has come in, what is due, what is to be sent; then a wait for sockets, other threads or the
    /// next timer, at most until `until`.
    pub(crate) fn turn(&mut self, until: Nanos) {
        self.now = clock::now();
        self.take_requests();
        self.fire_timers();
        self.flush();
        self.runtime.awaited.set(self.awaited);
        let timeout = self.time_to_wait(until);
        self.wait(timeout);
    }

    /// Takes up an operation at once, for a caller that drives.
    pub(crate) fn submit(&mut self, operation: Operation) {
        self.now = clock::now();
        self.begin(operation);
    }

    /// Sends what a turn left unsent, for a caller that stops driving.
    pub(crate) fn settle(&mut self) -> u64 {
        self.flush();
        self.runtime.awaited.set(self.awaited);
        self.awaited
    }

    /// A defect struck in mid-turn: whoever waits is told, rather than left waiting.
    pub(crate) fn fail_everything(&mut self) {
        for key in self.operations.keys() {
            if let Some(operation) = self.operations.remove(key)
                && operation.phase != Phase::Ended
                && let Some(ticket) = &operation.ticket
            {
                let error = operation.stopped(Status::Internal);
                ticket.complete(Outcome::Failed(error));
            }
        }
        self.awaited = 0;
    }

    // ---- requests ----

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
            Request::Connected {
                place,
                node,
                epoch,
                result,
            } => self.connected((place, node), epoch, result),
            Request::Submit(operation) => self.begin(*operation),
            Request::Cancel(ticket) => self.cancel(&ticket),
            Request::Inspect { place, ticket } => self.inspect(place, &ticket),
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
        for key in self.operations.keys() {
            let ends = self.operations.get(key).is_some_and(|operation| {
                operation.set.place == place
                    && operation.phase != Phase::Ended
                    && matches!(operation.task, Task::Acquire { .. } | Task::IsLocked { .. })
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
            if let Link::Up(connection) = node.link {
                unwatch(self.poll.registry(), connection.fd());
            }
        }
        self.runtime.free_place(place);
    }

    fn cancel(&mut self, ticket: &Ticket) {
        if let Some(key) = ticket.cancel() {
            self.stop(key, Status::Cancelled);
        }
    }

    fn inspect(&mut self, place: usize, ticket: &Ticket) {
        let now = self.now;
        let nodes = self.sets[place].as_ref().map_or(&[][..], |set| &set.nodes);
        let health = nodes.iter().map(|node| node.health(now)).collect();
        ticket.complete(Outcome::Health(health));
    }

    // ---- nodes: connecting, losing ----

    /// Sends out a connector thread.
    fn connect(&mut self, (place, index): NodePlace) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let timeout = Duration::from_nanos(set.settings.connect_timeout());
        let node = &mut set.nodes[index];
        self.epochs = self.epochs.wrapping_add(1);
        node.epoch = self.epochs;
        node.link = Link::Connecting;
        let (runtime, epoch) = (self.runtime, node.epoch);
        let address = Arc::clone(&node.address);
        let superseded = node.superseded.clone();
        let spawned = super::runtime::spawn("redlock-connect", move || {
            let result =
                setup::establish(&address, timeout, &command::scripts(), superseded.as_ref());
            runtime.send(Request::Connected {
                place,
                node: index,
                epoch,
                result: result.map(Box::new),
            });
        });
        if let Err(error) = spawned {
            let error = SetupError {
                kind: Status::System,
                message: format!("no thread to connect with: {error}"),
            };
            self.connected((place, index), epoch, Err(error));
        }
    }

    fn connected(
        &mut self,
        at @ (place, index): NodePlace,
        epoch: u32,
        result: Result<Box<Established>, SetupError>,
    ) {
        if !self.is_current(place, index, epoch) {
            return;
        }
        let watched = result.and_then(|established| {
            match watch(self.poll.registry(), established.stream.fd(), at) {
                Ok(()) => Ok(established),
                Err(error) => Err(SetupError {
                    kind: Status::System,
                    message: format!("its socket can't be watched: {error}"),
                }),
            }
        });
        match watched {
            Ok(established) => self.up(at, *established),
            Err(failure) => self.connect_failed(at, failure),
        }
        self.resume_waiting(place);
    }

    /// A node can't be reached; it is tried again after a rest.
    fn connect_failed(&mut self, (place, index): NodePlace, failure: SetupError) {
        let now = self.now;
        let Some(node) = self.node((place, index)) else {
            return;
        };
        if *node.trouble.1 != *failure.message {
            log::write(Level::Warn, || {
                format!("{}: {}", node.address.display(), failure.message)
            });
        }
        node.link = Link::Down;
        node.contacted = true;
        node.hope_until = 0;
        node.trouble = (failure.kind, failure.message.into());
        let retry_at = now + node.backoff.next(rand::random());
        let timer = Timer::Reconnect {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        self.timers.set(retry_at, timer);
    }

    /// A node is there. What could not be delivered to it before goes first.
    fn up(&mut self, (place, index): NodePlace, established: Established) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let shared = set.shared.upgrade();
        let node = &mut set.nodes[index];
        log::write(Level::Info, || {
            format!("{}: connected", node.address.display())
        });
        let connection = Connection::new(established.stream, established.server);
        node.link = Link::Up(Box::new(connection));
        node.contacted = true;
        node.silent_since = None;
        node.superseded = None;
        node.hope_until = 0;
        node.backoff.reset();
        let orphans = std::mem::take(&mut node.orphans);
        let Some(shared) = shared else { return };
        for orphan in orphans {
            let (set, here) = (Arc::clone(&shared), NodeMask(1 << index));
            let release = Operation::give_back(set, orphan.key, orphan.token, orphan.ttl_ms, here);
            self.begin(release);
        }
    }

    /// The connection is no good any more: its questions stay without an answer, and a new one is made.
    fn lose(&mut self, (place, index): NodePlace, reason: &str, status: Status) {
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        let Link::Up(connection) = std::mem::replace(&mut node.link, Link::Down) else {
            return;
        };
        unwatch(self.poll.registry(), connection.fd());
        let message: Arc<str> = format!("connection lost: {reason}").into();
        log::write(Level::Warn, || {
            format!("{}: {message}", node.address.display())
        });
        if connection.waiting_since().is_some() {
            let server = &connection.server;
            node.superseded = Option::zip(server.run_id.clone(), server.client_id)
                .map(|(run_id, client_id)| Superseded { run_id, client_id });
        }
        node.silent_since = None;
        // Most lost connections are back in a moment; a node that was silent already is not waited for.
        node.hope_until = match status {
            Status::Timeout => 0,
            _ => now + set.settings.node_timeout(None),
        };
        node.trouble = (status, Arc::clone(&message));
        let unanswered: Vec<_> = connection.abandon().collect();
        self.connect((place, index));
        for asked in unanswered {
            self.unanswered((place, index), asked, status, &message);
        }
    }

    fn unanswered(
        &mut self,
        (place, index): NodePlace,
        asked: Asked<Mark>,
        status: Status,
        message: &Arc<str>,
    ) {
        let Some(operation) = self.operations.get_mut(asked.mark.operation) else {
            return;
        };
        if asked.mark.attempt != operation.attempt {
            return;
        }
        operation.open = operation.open.without(NodeMask(1 << index));
        operation.unavailable(index, status, message);
        if let Task::Release { ttl_ms, .. } = operation.task {
            let (key, token) = (Arc::clone(&operation.key), operation.token);
            if let Some(set) = self.sets[place].as_mut() {
                set.nodes[index].remember(key, token, ttl_ms, self.now);
            }
        }
        self.evaluate(asked.mark.operation);
    }

    fn resume_waiting(&mut self, place: usize) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        for key in std::mem::take(&mut set.waiting) {
            self.resume(key);
        }
    }

    // ---- operations: attempts ----

    fn begin(&mut self, operation: Operation) {
        if operation.is_awaited() {
            self.awaited += 1;
        }
        let ticket = operation.ticket.clone();
        let key = self.operations.insert(operation);
        match ticket.map(|ticket| ticket.taken_up(key)) {
            // The request to cancel it was faster than the operation itself.
            Some(TakenUp::Cancelled) => self.stop(key, Status::Cancelled),
            _ => self.resume(key),
        }
    }

    /// Starts an operation's next attempt, or lets it wait for nodes that are about to be there.
    fn resume(&mut self, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if operation.phase != Phase::Resting {
            return;
        }
        let place = operation.set.place;
        let ends_with_factory =
            matches!(operation.task, Task::Acquire { .. } | Task::IsLocked { .. });
        if ends_with_factory && operation.set.is_closed() {
            return self.stop(key, Status::Closed);
        }
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let wait_until = match operation.may_wait_for_nodes() {
            true => worth_waiting_until(set, self.now),
            false => None,
        };
        if let Some(until) = wait_until {
            set.waiting.push(key);
            let attempt = operation.attempt;
            let timer = Timer::Resume {
                operation: key,
                attempt,
            };
            self.timers.set(until, timer);
            return;
        }
        self.ask_all(key);
    }

    /// One attempt: all nodes at once. Those that can't be asked are counted right away.
    fn ask_all(&mut self, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if let Err(error) = operation.begin_attempt(self.now) {
            return self.end(key, Outcome::Failed(error));
        }
        let place = operation.set.place;
        let question = operation.question();
        let mark = Mark {
            operation: key,
            attempt: operation.attempt,
        };
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        for (index, node) in set.nodes.iter_mut().enumerate() {
            if !operation.eligible.contains(index) {
                let message = "has no part in this lock".into();
                operation.unavailable(index, Status::Unreachable, &message);
                continue;
            }
            let is_release = question == Question::Release;
            match &mut node.link {
                // A release follows its acquire even to a node that is silent at the moment.
                Link::Up(connection) if is_release || node.silent_since.is_none() => {
                    let (name, token) = (operation.key.as_bytes(), operation.token.as_bytes());
                    connection.ask((mark, question), name, token, self.now);
                    operation.asked.insert(index);
                    operation.open.insert(index);
                    mark_dirty(&mut self.dirty, &mut node.dirty, (place, index));
                }
                _ => {
                    operation.unavailable(index, node.trouble.0, &node.trouble.1);
                    if let Task::Release { ttl_ms, .. } = operation.task {
                        let key = Arc::clone(&operation.key);
                        node.remember(key, operation.token, ttl_ms, self.now);
                    }
                }
            }
        }
        if !operation.asked.is_empty() {
            let due = self.now + operation.node_timeout();
            let attempt = operation.attempt;
            let timer = Timer::NodeTimeout {
                operation: key,
                attempt,
            };
            self.timers.set(due, timer);
        }
        self.evaluate(key);
    }

    /// Draws the consequence of the votes so far, if there is one.
    fn evaluate(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        if operation.phase == Phase::Ended {
            return self.forget_if_answered(key);
        }
        if operation.phase == Phase::Resting {
            return;
        }
        match operation.tally.decision() {
            Decision::Pending => {}
            Decision::Won => self.won(key),
            decision => self.not_won(key, decision),
        }
    }

    fn won(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let now = clock::now();
        match &operation.task {
            Task::Acquire {
                resource, ttl_ms, ..
            } => {
                let valid_until = validity::valid_until(operation.started, *ttl_ms);
                if validity::remaining(valid_until, now) == 0 {
                    let hopeless = validity::remaining(valid_until, operation.started) == 0;
                    let error = |operation: &Operation| operation.stopped(Status::Expired);
                    // A TTL that the drift eats up whole is never valid, however often it is tried.
                    return match hopeless {
                        true => self.fail(key, error),
                        false => self.retry_or(key, error),
                    };
                }
                let grant = Grant::new(
                    Arc::clone(&operation.set),
                    (Arc::clone(resource), Arc::clone(&operation.key)),
                    operation.token,
                    operation.may_hold(),
                    valid_until,
                );
                self.end(key, Outcome::Acquired(Held(Arc::new(grant))));
            }
            Task::Release { .. } => self.end(key, Outcome::Released),
            Task::Extend { grant, ttl_ms } => {
                let valid_until = validity::valid_until(operation.started, *ttl_ms);
                let left = validity::remaining(valid_until, now);
                if left == 0 {
                    grant.lost();
                    let error = operation.stopped(Status::Expired);
                    return self.end(key, Outcome::Failed(error));
                }
                grant.extended_until(valid_until, operation.turn);
                let left = left.min(grant.validity());
                self.end(key, Outcome::Extended(left));
            }
            Task::IsLocked { .. } => self.end(key, Outcome::Locked(false)),
        }
    }

    fn not_won(&mut self, key: Key, decision: Decision) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        match &operation.task {
            Task::Acquire { .. } => self.retry_or(key, |operation| operation.failure(decision)),
            Task::IsLocked { .. } if decision == Decision::Refused => {
                self.end(key, Outcome::Locked(true));
            }
            Task::Extend { grant, .. } => {
                if decision == Decision::Refused {
                    grant.lost();
                }
                let error = operation.failure(decision);
                self.end(key, Outcome::Failed(error));
            }
            _ => {
                let error = operation.failure(decision);
                self.end(key, Outcome::Failed(error));
            }
        }
    }

    /// An attempt to acquire has failed: gives back what it may have got, then rests for another, or ends.
    fn retry_or(&mut self, key: Key, error: impl FnOnce(&Operation) -> Error) {
        self.give_back(key);
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        match operation.rest(self.now, rand::random()) {
            Some(until) => {
                operation.phase = Phase::Resting;
                let attempt = operation.attempt;
                let timer = Timer::Resume {
                    operation: key,
                    attempt,
                };
                self.timers.set(until, timer);
            }
            None => {
                let error = error(operation);
                self.end(key, Outcome::Failed(error));
            }
        }
    }

    /// An acquire has failed for good: gives back what it may have got, and ends.
    fn fail(&mut self, key: Key, error: impl FnOnce(&Operation) -> Error) {
        self.give_back(key);
        if let Some(operation) = self.operations.get(key) {
            let error = error(operation);
            self.end(key, Outcome::Failed(error));
        }
    }

    /// Releases the present attempt's key wherever it may be. On each connection the release goes behind the acquire,
    /// and before the next attempt: so a grant that comes late is gone as soon as it lands.
    fn give_back(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let Task::Acquire { ttl_ms, .. } = operation.task else {
            return;
        };
        let nodes = operation.may_hold();
        if operation.phase != Phase::Asking || nodes.is_empty() {
            return;
        }
        let release = Operation::give_back(
            Arc::clone(&operation.set),
            Arc::clone(&operation.key),
            operation.token,
            ttl_ms,
            nodes,
        );
        self.begin(release);
    }

    /// Ends an operation that is not decided yet. A release or an extension is not stopped: it is on its way.
    fn stop(&mut self, key: Key, status: Status) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let can_stop = matches!(operation.task, Task::Acquire { .. } | Task::IsLocked { .. });
        if operation.phase == Phase::Ended || !can_stop {
            return;
        }
        self.fail(key, |operation| operation.stopped(status));
    }

    /// Tells the caller. The operation stays until the last node has answered.
    fn end(&mut self, key: Key, outcome: Outcome) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        operation.phase = Phase::Ended;
        if operation.is_awaited() {
            self.awaited -= 1;
        }
        if let Some(ticket) = operation.ticket.take() {
            ticket.complete(outcome);
        }
        self.forget_if_answered(key);
    }

    fn forget_if_answered(&mut self, key: Key) {
        if self
            .operations
            .get(key)
            .is_some_and(|operation| operation.open.is_empty())
        {
            self.operations.remove(key);
        }
    }

    // ---- timers ----

    fn fire_timers(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::NodeTimeout { operation, attempt } => self.node_timeout(operation, attempt),
                Timer::Resume { operation, attempt } => {
                    if self.is_at(operation, attempt) {
                        self.resume(operation);
                    }
                }
                Timer::Reconnect { set, node, epoch } => {
                    if self.is_current(set, node, epoch) {
                        self.connect((set, node));
                    }
                }
                Timer::GiveUp { set, node, epoch } => self.give_up((set, node), epoch),
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

    fn node(&mut self, (place, index): NodePlace) -> Option<&mut Node> {
        self.sets.get_mut(place)?.as_mut()?.nodes.get_mut(index)
    }

    /// The nodes that have not answered by now are counted as unavailable, and not asked again until they answer.
    fn node_timeout(&mut self, key: Key, attempt: u32) {
        if !self.is_at(key, attempt) {
            return;
        }
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let (place, open) = (operation.set.place, operation.open);
        let waited = (self.now - operation.started) / MILLISECOND;
        for node in open.iter() {
            let message = format!("no answer within {waited} ms").into();
            operation.unavailable(node, Status::Timeout, &message);
        }
        for node in open.iter() {
            self.fell_silent((place, node));
        }
        self.evaluate(key);
    }

    fn fell_silent(&mut self, (place, index): NodePlace) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        let since = match &node.link {
            Link::Up(connection) => connection.waiting_since(),
            _ => None,
        };
        if node.silent_since.is_some() || since.is_none() {
            return;
        }
        log::write(Level::Warn, || {
            format!("{}: does not answer", node.address.display())
        });
        node.silent_since = since;
        node.trouble = (Status::Timeout, "does not answer".into());
        let timer = Timer::GiveUp {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        self.timers.set(self.now + GIVE_UP_AFTER, timer);
    }

    fn give_up(&mut self, (place, index): NodePlace, epoch: u32) {
        if !self.is_current(place, index, epoch) {
            return;
        }
        let Some(node) = self.sets[place].as_ref().map(|set| &set.nodes[index]) else {
            return;
        };
        let Some(since) = node.silent_since else {
            return;
        };
        // It has answered, and fallen silent again, since this timer was set: there is a later one.
        if self.now < since + GIVE_UP_AFTER {
            return;
        }
        let silence = (self.now - since) / MILLISECOND;
        let reason = format!("no answer for {silence} ms");
        self.lose((place, index), &reason, Status::Timeout);
    }

    // ---- sockets ----

    fn flush(&mut self) {
        // A connection that fails here may make others dirty (releases of what it leaves undecided).
        while let Some((place, index)) = self.dirty.pop() {
            let Some(node) = self.node((place, index)) else {
                continue;
            };
            node.dirty = false;
            let Some(connection) = node.connection() else {
                continue;
            };
            if let Err(error) = connection.flush() {
                self.lose((place, index), &error.to_string(), Status::Unreachable);
            }
        }
    }

    fn time_to_wait(&mut self, until: Nanos) -> Option<Duration> {
        let Core {
            timers,
            operations,
            sets,
            ..
        } = self;
        let next = timers.next(|timer| match *timer {
            Timer::NodeTimeout { operation, attempt } => operations
                .get(operation)
                .is_some_and(|operation| operation.attempt == attempt),
            Timer::Resume { operation, attempt } => operations
                .get(operation)
                .is_some_and(|it| it.attempt == attempt && it.phase == Phase::Resting),
            Timer::Reconnect { set, node, epoch } | Timer::GiveUp { set, node, epoch } => sets
                .get(set)
                .and_then(Option::as_ref)
                .and_then(|set| set.nodes.get(node))
                .is_some_and(|node| node.epoch == epoch),
        });
        let at = next.unwrap_or(Nanos::MAX).min(until);
        (at != Nanos::MAX).then(|| Duration::from_nanos(at.saturating_sub(clock::now())))
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        let timeout = match self.runtime.about_to_wait() {
            true => timeout,
            false => Some(Duration::ZERO),
        };
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, timeout);
        self.runtime.has_waited();
        match polled {
            Ok(()) => {
                self.now = clock::now();
                for event in &events {
                    self.ready(event);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => log::write(Level::Error, || format!("waiting for sockets: {error}")),
        }
        self.events = events;
    }

    fn ready(&mut self, event: &Event) {
        if event.token() == WAKER {
            return;
        }
        let (place, index) = node_place(event.token());
        let Some(node) = self
            .sets
            .get_mut(place)
            .and_then(Option::as_mut)
            .and_then(|set| set.nodes.get_mut(index))
        else {
            return;
        };
        let Link::Up(connection) = &mut node.link else {
            return;
        };
        let mut answers = std::mem::take(&mut self.answers);
        let to_the_end = event.is_read_closed() || event.is_error();
        let mut result = Ok(());
        if event.is_writable() {
            result = connection.flush();
        }
        if event.is_readable() || to_the_end {
            result = result.and(connection.receive(to_the_end, &mut answers));
        }
        if !answers.is_empty() {
            node.silent_since = None;
        }
        for (asked, answer) in answers.drain(..) {
            self.answered((place, index), asked, answer);
        }
        self.answers = answers;
        if let Err(error) = result {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the server closed it".to_owned(),
                _ => error.to_string(),
            };
            self.lose((place, index), &reason, Status::Unreachable);
        }
    }

    fn answered(&mut self, (place, index): NodePlace, asked: Asked<Mark>, answer: Answer) {
        let key = asked.mark.operation;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if operation.attempt != asked.mark.attempt {
            return;
        }
        match answer {
            Answer::NoScript => return self.ask_with_script((place, index), asked),
            Answer::Vote(vote) => operation.vote(index, vote),
            Answer::Error(words) => {
                let words = format!("the server said: {words}").into();
                operation.unavailable(index, Status::Server, &words);
            }
        }
        operation.open = operation.open.without(NodeMask(1 << index));
        self.evaluate(key);
    }

    fn ask_with_script(&mut self, (place, index): NodePlace, asked: Asked<Mark>) {
        let Some(operation) = self.operations.get(asked.mark.operation) else {
            return;
        };
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        if let Link::Up(connection) = &mut node.link {
            connection.ask_with_script(
                (asked.mark, asked.question),
                operation.key.as_bytes(),
                operation.token.as_bytes(),
                self.now,
            );
            mark_dirty(&mut self.dirty, &mut node.dirty, (place, index));
        }
    }
}

/// Until when an attempt had better wait for nodes that are about to be there: for as long as they could make the
/// quorum that is missing, and, on first contact, for a moment, so that a new factory's first lock is on all nodes.
fn worth_waiting_until(set: &Nodes, now: Nanos) -> Option<Nanos> {
    // All ready is the common case by far.
    let mut tally = Tally::new(set.nodes.len());
    let mut hoped_until: Option<Nanos> = None;
    let mut first_contact = false;
    for (index, node) in set.nodes.iter().enumerate() {
        match node.availability(now) {
            Availability::Ready => tally.record(index, Vote::Yes),
            Availability::Hoped(until) => {
                hoped_until = Some(hoped_until.map_or(until, |hoped| hoped.min(until)));
                first_contact |= !node.contacted;
                continue;
            }
            Availability::Away => tally.record(index, Vote::Unavailable),
        };
    }
    match tally.decision() {
        Decision::Pending => hoped_until,
        Decision::Won if first_contact && now < set.grace_until => Some(set.grace_until),
        _ => None,
    }
}

fn mark_dirty(list: &mut Vec<NodePlace>, flag: &mut bool, place: NodePlace) {
    if !std::mem::replace(flag, true) {
        list.push(place);
    }
}

fn poll_token((place, index): NodePlace) -> PollToken {
    PollToken(place * MAX_NODES + index)
}

fn node_place(token: PollToken) -> NodePlace {
    (token.0 / MAX_NODES, token.0 % MAX_NODES)
}

fn watch(registry: &Registry, fd: RawFd, place: NodePlace) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&fd), poll_token(place), interest)
}

/// Fails only for a descriptor that is not watched, which is what is wanted.
fn unwatch(registry: &Registry, fd: RawFd) {
    let _ = registry.deregister(&mut SourceFd(&fd));
}
