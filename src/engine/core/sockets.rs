//! The sockets: batches out, answers in, and the wait for either.

use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token as PollToken};

use super::{Core, NodePlace};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::defect::said;
use crate::descriptors::Ours;
use crate::engine::nodes::{Link, Mark, Node};
use crate::engine::operation::Phase;
use crate::engine::poller::{Patience, WAKER};
use crate::engine::timer::Timer;
use crate::error::Status;
use crate::logic::quorum::{MAX_NODES, NodeMask, Vote};
use crate::node::command::{Answer, Form, Question};
use crate::node::connection::{Asked, Connection};
use crate::node::stream::Stream;

/// While other threads send their questions themselves, the driver waits for so long at most. So it need not be woken
/// for the timers that they set, which are later.
const LOOKS_ROUND: Nanos = 10 * MILLISECOND;

/// How much of one connection is read in one turn, in bytes: what one server sends without end does not keep the engine
/// from the others.
const MOST_READ: usize = 256 * 1024;

/// Of a node that refuses to write because it is none that may.
const DEMOTED: &str = "the server has become a replica";
/// How often it is made sure, before something is sent, that the application has not closed the descriptor, and opened
/// a file of its own under its number.
const CHECK_AFTER: Nanos = 100 * MILLISECOND;
const TAKEN_AWAY: &str = "its descriptor was closed by this program";

impl Core {
    pub(super) fn flush(&mut self) {
        let now = self.now;
        let checks = self.checks_descriptors();
        // A connection that fails here may make others dirty (releases of what it leaves undecided).
        while let Some((place, index)) = self.dirty.pop() {
            let Some(node) = self.node((place, index)) else {
                continue;
            };
            node.dirty = false;
            if checks && is_taken_away(node) {
                self.lose((place, index), TAKEN_AWAY, Status::Unreachable);
                continue;
            }
            match send(node, now) {
                Ok(()) => self.deliver_orphans((place, index)),
                Err(error) => self.lose((place, index), &error.to_string(), Status::Unreachable),
            }
        }
    }

    /// Whether it is time to make sure of the descriptors of what is about to be flushed.
    fn checks_descriptors(&mut self) -> bool {
        let checks = self.now >= self.checked_at + CHECK_AFTER && !self.dirty.is_empty();
        if checks {
            self.checked_at = self.now;
        }
        checks
    }

    /// As `flush`, but leaves connections that turn out to be lost to the driver, as losing one goes far: it logs, ends
    /// others' operations and starts threads. False if there are any.
    pub(super) fn flush_sound(&mut self) -> bool {
        let checks = self.checks_descriptors();
        let mut taken_away = false;
        let Core {
            dirty, sets, now, ..
        } = self;
        dirty.retain(|&(place, index)| {
            let set = sets.get_mut(place).and_then(Option::as_mut);
            let Some(node) = set.and_then(|set| set.nodes.get_mut(index)) else {
                return false;
            };
            let is_gone = checks && is_taken_away(node);
            taken_away |= is_gone;
            node.dirty = is_gone || send(node, *now).is_err();
            node.dirty
        });
        if taken_away {
            // The driver makes sure again.
            self.checked_at = 0;
        }
        self.dirty.is_empty()
    }

    /// How the driver may wait for sockets.
    pub(super) fn patience(&mut self, until: Nanos) -> Patience {
        if self.awaited > 1 {
            self.busy_poll.in_company();
        }
        self.waits_until = match self.unread.is_empty() {
            true => self.asleep_until(until),
            false => 0,
        };
        Patience {
            busy_until: self.busy_poll.until().min(self.waits_until),
            until: self.waits_until,
            keep_due: self.timers.next_keep_alive().unwrap_or(Nanos::MAX),
        }
    }

    fn asleep_until(&mut self, until: Nanos) -> Nanos {
        let mut at = self.next_timer().unwrap_or(Nanos::MAX).min(until);
        if self.now < self.last_sent_aside + LOOKS_ROUND {
            at = at.min(self.now + LOOKS_ROUND);
        }
        at
    }

    /// When the next timer that still matters is due.
    pub(super) fn next_timer(&mut self) -> Option<Nanos> {
        let Core {
            timers,
            operations,
            sets,
            ..
        } = self;
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
            Timer::Dial { set, node, epoch } => sets
                .get(set)
                .and_then(Option::as_ref)
                .and_then(|set| set.nodes.get(node))
                .is_some_and(|it| it.epoch == epoch && matches!(it.link, Link::Connecting(_))),
            Timer::Check { set } => sets
                .get(set)
                .and_then(Option::as_ref)
                .is_some_and(|set| !set.checks.is_empty()),
            Timer::Reconnect { set, node, epoch }
            | Timer::Witness { set, node, epoch }
            | Timer::GiveUp { set, node, epoch } => sets
                .get(set)
                .and_then(Option::as_ref)
                .and_then(|set| set.nodes.get(node))
                .is_some_and(|node| node.epoch == epoch),
        })
    }

    /// The second half of a turn: what the sockets have brought, when they were looked at.
    pub(crate) fn react(&mut self, events: &Events, looked_at: Nanos) {
        self.now = clock::now();
        for at in std::mem::take(&mut self.unread) {
            self.contained(at, |core| core.receive(at, false));
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let at = node_place(event.token());
            self.contained(at, |core| core.ready(at, event));
        }
        self.looked_at = looked_at;
    }

    /// Handles what a connection has brought. A defect in what that leads to ends this connection, and nothing else.
    pub(super) fn contained(&mut self, at: NodePlace, handle: impl FnOnce(&mut Core)) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| handle(self))) else {
            return;
        };
        let reason = format!(
            "a defect of libredlock, please report it: {}",
            said(&*payload)
        );
        // A payload's own drop may panic; it is not worth an abort.
        std::mem::forget(payload);
        self.break_off(at, &reason, Status::Internal);
        // Of a connection that was lost already.
        let held = self.node(at).map(|node| std::mem::take(&mut node.held));
        for asked in held.into_iter().flatten() {
            self.unanswered(at, asked, Status::Internal, &reason.as_str().into());
        }
    }

    /// Another poller has taken the former one's place: it watches all sockets. What they have brought since it was looked
    /// for the last time, it reports at once.
    pub(crate) fn watch_by(&mut self, registry: Ours<Registry>) {
        self.registry = registry;
        let mut lost = Vec::new();
        for (place, set) in self.sets.iter().enumerate() {
            for (index, node) in set.iter().flat_map(|set| &set.nodes).enumerate() {
                let at = (place, index);
                let watched = |stream: &Stream| {
                    stream.is_ours() && watch(&self.registry, stream.fd(), at).is_ok()
                };
                if node.present_stream().is_some_and(|it| !watched(it)) {
                    lost.push(at);
                }
            }
        }
        for at in lost {
            self.break_off(at, TAKEN_AWAY, Status::Unreachable);
        }
    }

    fn ready(&mut self, at: NodePlace, event: &Event) {
        let now = self.now;
        let Some(node) = self.node(at) else {
            return;
        };
        match &node.link {
            Link::Connecting(_) => self.dial(at),
            Link::Up(_) => {
                if event.is_writable() {
                    if let Err(error) = send(node, now) {
                        return self.broken(at, &error);
                    }
                    self.deliver_orphans(at);
                }
                let to_the_end = event.is_read_closed() || event.is_error();
                if event.is_readable() || to_the_end {
                    self.receive(at, to_the_end);
                }
            }
            Link::Down => {}
        }
    }

    /// Takes what the socket of a connection has, and counts the answers. With `to_the_end`, or over TLS, it reads until the
    /// socket would block; otherwise a short read ends it, which for a plain stream socket means the same and saves a
    /// system call for every batch.
    pub(super) fn receive(&mut self, at: NodePlace, to_the_end: bool) {
        let mut received = Received {
            answers: std::mem::take(&mut self.answers),
            in_hand: None,
            calls: std::mem::take(&mut self.calls),
        };
        let handled = catch_unwind(AssertUnwindSafe(|| {
            self.read_and_count(at, to_the_end, &mut received);
        }));
        if let Err(payload) = handled {
            self.hold_uncounted(at, received);
            resume_unwind(payload);
        }
        self.answers = received.answers;
        self.calls = received.calls;
    }

    fn read_and_count(&mut self, at: NodePlace, to_the_end: bool, received: &mut Received) {
        let now = self.now;
        let Some(node) = self.node(at) else {
            return;
        };
        #[cfg(test)]
        super::defects::strike(super::defects::Place::Bytes, node);
        let result = match node.session() {
            Some((connection, stream)) => read(connection, stream, to_the_end, now, received),
            None => return,
        };
        if !received.answers.is_empty() {
            node.silent_since = None;
        }
        received.answers.reverse();
        while let Some((asked, answer)) = received.answers.pop() {
            received.in_hand = Some(asked);
            #[cfg(test)]
            if let Some(node) = self.node(at) {
                super::defects::strike(super::defects::Place::Answer, node);
            }
            self.answered(at, asked, answer);
            received.in_hand = None;
        }
        for text in received.calls.drain(..) {
            self.call(at, &text);
        }
        match result {
            Ok(Read::Everything) => {}
            Ok(Read::Enough) => self.unread.push(at),
            Err(error) => self.broken(at, &error),
        }
    }

    /// A defect struck before these answers were counted: as they are not trusted, their questions stay without one. They are
    /// ended with the connection.
    fn hold_uncounted(&mut self, at: NodePlace, received: Received) {
        let later = received.answers.into_iter().rev().map(|(asked, _)| asked);
        let uncounted = received.in_hand.into_iter().chain(later);
        if let Some(node) = self.node(at) {
            node.held.extend(uncounted);
        }
    }

    fn broken(&mut self, at: NodePlace, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed it".to_owned(),
            _ => error.to_string(),
        };
        self.lose(at, &reason, Status::Unreachable);
    }

    fn answered(&mut self, (place, index): NodePlace, asked: Asked<Mark>, answer: Answer) {
        match (asked.question, answer) {
            (Question::Identify, answer) => self.identified((place, index), answer),
            (Question::Survey, answer) => self.surveyed((place, index), answer),
            (Question::KeepWitness | Question::Learn { .. }, _) => {}
            (Question::Leave { .. }, answer) => self.has_left((place, index), asked.mark, &answer),
            (_, Answer::NoScript) => self.meet_unknown_scripts((place, index), asked),
            (_, answer) => self.count((place, index), asked, answer),
        }
    }

    /// Counts a node's answer.
    fn count(&mut self, at @ (_, index): NodePlace, asked: Asked<Mark>, answer: Answer) {
        let is_demoted = matches!(&answer, Answer::Error(words) if words.contains("READONLY "));
        if is_demoted {
            // Its name may lead to the new master by now; the set-up will see what is there.
            self.lose(at, DEMOTED, Status::NotAdmitted);
        }
        let key = asked.mark.operation;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if operation.attempt != asked.mark.attempt {
            return;
        }
        match answer {
            Answer::Vote(vote) => operation.vote(index, vote),
            Answer::NeedsBallot(least) => operation.needs_ballot(index, least),
            Answer::Held {
                look_after_ms,
                calls,
                stranger,
            } => {
                operation.refused_for(index, look_after_ms, calls);
                if let Some(stranger) = stranger {
                    self.kept_out(key, at, stranger);
                }
            }
            Answer::Strange(stranger) => {
                operation.vote(index, Vote::No);
                self.kept_out(key, at, stranger);
            }
            Answer::Error(_) if is_demoted => {
                operation.lost_on.insert(index);
                operation.unavailable(index, Status::NotAdmitted, &DEMOTED.into());
            }
            Answer::Error(words) => {
                let words = format!("the server said: {words}").into();
                operation.unavailable(index, Status::Server, &words);
            }
            Answer::NoScript | Answer::Boot(_) | Answer::Survey(_) | Answer::Done => {}
        }
        if let Some(operation) = self.operations.get_mut(key) {
            operation.open = operation.open.without(NodeMask(1 << index));
        }
        self.evaluate(key);
    }

    /// The node has not got our scripts. Either its cache was flushed, or another boot or server answers at its address
    /// now: which one must be known before it may vote.
    fn meet_unknown_scripts(&mut self, at: NodePlace, asked: Asked<Mark>) {
        let now = self.now;
        let Some(node) = self.node(at) else {
            return;
        };
        let Link::Up(connection) = &mut node.link else {
            return;
        };
        node.held.push(asked);
        if connection.server.run_id.is_none() {
            // A user who may not ask: there is nothing to compare.
            return self.ask_held(at);
        }
        if node.held.len() == 1 {
            connection.ask_server((asked.mark, Question::Identify), now);
            self.has_output(at);
        }
    }

    fn identified(&mut self, at: NodePlace, answer: Answer) {
        let Some(connection) = self.node(at).and_then(Node::connection) else {
            return;
        };
        let known = &connection.server.run_id;
        if matches!(&answer, Answer::Boot(run_id @ Some(_)) if run_id == known) {
            return self.ask_held(at);
        }
        let reason = "another server, or another start of it, answers at this address now";
        self.lose(at, reason, Status::Unreachable);
    }

    /// Asks again what met a flushed script cache, with the scripts' text. Not for a lock that has been given back since:
    /// that release is on its way already, or has been carried out, and would be overtaken.
    fn ask_held(&mut self, at @ (place, index): NodePlace) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        let Link::Up(connection) = &mut node.link else {
            return;
        };
        let mut unwanted = Vec::new();
        for asked in std::mem::take(&mut node.held) {
            let Some(operation) = self.operations.get_mut(asked.mark.operation) else {
                continue;
            };
            if operation.attempt != asked.mark.attempt {
                continue;
            }
            if !operation.is_wanted() {
                let many = operation.target.names().len() > 1;
                connection.ask_server((Mark::NONE, Question::Learn { many }), self.now);
                mark_dirty(&mut self.dirty, &mut node.dirty, at);
                operation.open = operation.open.without(NodeMask(1 << index));
                unwanted.push(asked.mark.operation);
                continue;
            }
            let (target, token) = (&operation.target, operation.token.as_bytes());
            let question = (asked.mark, asked.question);
            connection.ask(question, target, token, Form::Whole, self.now);
            mark_dirty(&mut self.dirty, &mut node.dirty, at);
        }
        for key in unwanted {
            self.evaluate(key);
        }
    }
}

/// What a connection has brought in one turn, as far as it was not handled yet.
struct Received {
    /// The answers, and the one that is being counted.
    answers: Vec<(Asked<Mark>, Answer)>,
    in_hand: Option<Asked<Mark>>,
    calls: Vec<Vec<u8>>,
}

/// How much of a connection's input was read.
enum Read {
    Everything,
    /// As much as one turn takes; there may be more.
    Enough,
}

/// Reads into a connection what its socket has, at most [`MOST_READ`] bytes.
fn read(
    connection: &mut Connection<Mark>,
    stream: &mut Stream,
    to_the_end: bool,
    now: Nanos,
    received: &mut Received,
) -> io::Result<Read> {
    let Received { answers, calls, .. } = received;
    let to_the_end = to_the_end || matches!(stream, Stream::Tls(_));
    // What the set-up left. Most often nothing.
    let mut taken = connection.received(0, now, answers, calls);
    let mut total = 0;
    loop {
        taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message()))?;
        if total >= MOST_READ {
            return Ok(Read::Enough);
        }
        let room = connection.room();
        let size = room.len();
        match stream.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                taken = connection.received(count, now, answers, calls);
                total += count;
                if count < size && !to_the_end && taken.is_ok() {
                    return Ok(Read::Everything);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Everything),
            Err(error) => return Err(error),
        }
    }
}

/// Whether the application has closed the node's descriptor.
fn is_taken_away(node: &Node) -> bool {
    node.stream.as_ref().is_some_and(|stream| !stream.is_ours())
}

/// Hands to a node's socket what it has room for. What is left goes when the socket becomes writable.
fn send(node: &mut Node, now: Nanos) -> io::Result<()> {
    let Some((connection, stream)) = node.session() else {
        return Ok(());
    };
    connection.pack(now);
    while !connection.unsent().is_empty() {
        match stream.write(connection.unsent()) {
            Ok(count) => connection.sent(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let backlog = connection.check_backlog();
                return backlog.map_err(|error| io::Error::other(error.message()));
            }
            Err(error) => return Err(error),
        }
    }
    match stream.flush() {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn mark_dirty(list: &mut Vec<NodePlace>, flag: &mut bool, place: NodePlace) {
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
pub(super) fn watch(registry: &Registry, fd: RawFd, place: NodePlace) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&fd), poll_token(place), interest)
}
/// Fails only for a descriptor that is not watched, which is what is wanted.
pub(super) fn unwatch(registry: &Registry, fd: RawFd) {
    let _ = registry.deregister(&mut SourceFd(&fd));
}
