//! The bytes of connections: what is to be sent, and what becomes of what has arrived.

use super::links::DEMOTED;
use super::{Machine, NodePlace, id_of, mark_dirty};
use crate::error::Status;
use crate::protocol::host::Host;
use crate::protocol::node::command::{Answer, Form, Question};
use crate::protocol::node::connection::Asked;
use crate::protocol::node::setup::{Progress, SetupError};
use crate::protocol::node::wire::WireError;
use crate::protocol::nodes::{Link, Mark, Node};
use crate::protocol::outcome::{ConnectionId, Disconnected};
use crate::protocol::rules::quorum::{NodeMask, Vote};
use crate::protocol::timer::Timer;
use crate::time::Nanos;

impl<H: Host> Machine<H> {
    // ---- out ----

    /// The next connection on which something is to be sent. Each is named once until more is to be sent on it.
    pub(crate) fn next_to_send(&mut self) -> Option<ConnectionId> {
        while let Some(at) = self.dirty.pop() {
            if let Some(node) = self.node(at) {
                node.dirty = false;
                return Some(id_of(at, node));
            }
        }
        None
    }

    /// Whether there is such a connection.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What could not be sent just now is to be tried again.
    pub(crate) fn send_later(&mut self, id: ConnectionId) {
        if self.current(id).is_some() {
            self.is_to_send((id.place, id.node));
        }
    }

    /// Completes what is to be sent on a connection now: see [`unsent`](Self::unsent).
    pub(crate) fn pack(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(Link::Up(connection)) = self.current(id).map(|node| &mut node.link) {
            connection.pack(now);
        }
    }

    /// What is to be sent on a connection. Say with [`sent`](Self::sent) how much of it the socket took; what it did not take is
    /// to be sent when it has room.
    pub(crate) fn unsent(&mut self, id: ConnectionId) -> &[u8] {
        match self.current(id).map(|node| &mut node.link) {
            Some(Link::Up(connection)) => connection.unsent(),
            Some(Link::SettingUp(it)) => it.setup.unsent(),
            _ => &[],
        }
    }

    /// The socket took so many bytes.
    pub(crate) fn sent(&mut self, id: ConnectionId, count: usize) {
        match self.current(id).map(|node| &mut node.link) {
            Some(Link::Up(connection)) => {
                connection.sent(count);
                self.deliver_orphans((id.place, id.node));
            }
            Some(Link::SettingUp(it)) => it.setup.sent(count),
            _ => {}
        }
    }

    /// The socket has no room: an error if the server lets too much wait.
    pub(crate) fn check_backlog(&mut self, id: ConnectionId) -> Result<(), WireError> {
        match self.current(id).map(|node| &mut node.link) {
            Some(Link::Up(connection)) => connection.check_backlog(),
            _ => Ok(()),
        }
    }

    /// Whether the connection is not ready for locks yet.
    pub(crate) fn is_setting_up(&mut self, id: ConnectionId) -> bool {
        let link = self.current(id).map(|node| &node.link);
        matches!(link, Some(Link::SettingUp(_)))
    }

    // ---- in ----

    /// Room for bytes from the socket; `None` if the connection is over.
    pub(crate) fn room(&mut self, id: ConnectionId) -> Option<&mut [u8]> {
        match &mut self.current(id)?.link {
            Link::Up(connection) => Some(connection.room()),
            Link::SettingUp(it) => Some(it.setup.room()),
            Link::Connecting { .. } | Link::Down => None,
        }
    }

    /// So many bytes have been put into [`room`](Self::room), just now.
    pub(crate) fn received(&mut self, now: Nanos, id: ConnectionId, count: usize) {
        self.now = now;
        match self.current(id).map(|node| &mut node.link) {
            Some(Link::Up(_)) => self.take_answers(id, count),
            Some(Link::SettingUp(_)) => self.go_on_setting_up(id, count),
            _ => {}
        }
    }

    fn go_on_setting_up(&mut self, id: ConnectionId, count: usize) {
        let now = self.now;
        let at = (id.place, id.node);
        let Some(Link::SettingUp(it)) = self.current(id).map(|node| &mut node.link) else {
            return;
        };
        match it.setup.received(count, now) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::NextFlight) => self.send_flight(id),
            Ok(Progress::Done(ready)) => self.set_up(at, *ready),
            Err(error) => self.attempt_failed(at, error),
        }
    }

    /// A flight of the set-up is packed: it is to be sent, and must be answered in time.
    pub(super) fn send_flight(&mut self, id: ConnectionId) {
        let deadline = self.now.saturating_add(self.connect_timeout(id.place));
        if let Some(Link::SettingUp(it)) = self.current(id).map(|node| &mut node.link) {
            it.deadline = deadline;
            let timer = Timer::SetUp {
                set: id.place,
                node: id.node,
                epoch: id.epoch,
            };
            self.timers.set(deadline, timer);
            self.is_to_send((id.place, id.node));
        }
    }

    /// A flight of the set-up may be overdue.
    pub(super) fn mind_set_up(&mut self, at: NodePlace) {
        let now = self.now;
        let timeout = self.connect_timeout(at.0);
        let Some(Link::SettingUp(it)) = self.node(at).map(|node| &mut node.link) else {
            return;
        };
        if now >= it.deadline {
            let error = it.setup.overdue(timeout);
            self.attempt_failed(at, error);
        }
    }

    /// Takes what a connection has got, and counts the answers; what the set-up left with a count of 0.
    pub(super) fn take_answers(&mut self, id: ConnectionId, count: usize) {
        let now = self.now;
        let at = (id.place, id.node);
        let mut taken = std::mem::take(&mut self.taken);
        let Some(node) = self.current(id) else { return };
        let Link::Up(connection) = &mut node.link else {
            return;
        };
        let result = connection.received(count, now, &mut taken.answers, &mut taken.calls);
        if !taken.answers.is_empty() {
            node.silent_since = None;
        }
        taken.answers.reverse();
        self.taken = taken;
        while let Some((asked, answer)) = self.taken.answers.pop() {
            self.taken.in_hand = Some(asked);
            #[cfg(test)]
            self.strike(at);
            self.answered(at, asked, answer);
            self.taken.in_hand = None;
        }
        let mut calls = std::mem::take(&mut self.taken.calls);
        for text in calls.drain(..) {
            self.call(at, &text);
        }
        self.taken.calls = calls;
        if let Err(error) = result
            && self.current(id).is_some()
        {
            self.lose(at, error.message(), Status::Unreachable);
        }
    }

    /// Strikes if a test wants that.
    #[cfg(test)]
    fn strike(&mut self, at: NodePlace) {
        let connection = self.node(at).and_then(Node::connection);
        let port = connection.and_then(|it| it.server.peer.rsplit(':').next()?.parse().ok());
        if let Some(port) = port {
            crate::strikes::strike(crate::strikes::Place::Answer, port);
        }
    }

    /// A defect struck while a connection's answers were counted: as those that are left are not trusted, their questions stay
    /// without one.
    fn end_uncounted(&mut self, at: NodePlace, reason: &str) {
        let taken = std::mem::take(&mut self.taken);
        let later = taken.answers.into_iter().rev().map(|(asked, _)| asked);
        for asked in taken.in_hand.into_iter().chain(later) {
            self.unanswered(at, asked, Status::Internal, &reason.into());
        }
    }

    /// The connection, or the attempt at it, has come to an end.
    pub(crate) fn disconnected(&mut self, now: Nanos, id: ConnectionId, reason: Disconnected) {
        self.now = now;
        let at = (id.place, id.node);
        match self.current(id).map(|node| &node.link) {
            Some(Link::Up(_)) => match reason {
                Disconnected::Closed { .. } => {
                    self.lose(at, "the server closed it", Status::Unreachable);
                }
                Disconnected::Failed(reason) => self.lose(at, &reason, Status::Unreachable),
                Disconnected::Because(status, reason) => self.lose(at, &reason, status),
            },
            Some(Link::SettingUp(it)) => {
                let error = match reason {
                    Disconnected::Closed { plain } => it.setup.closed(plain),
                    Disconnected::Failed(reason) => it.setup.broken(&reason),
                    Disconnected::Because(status, reason) => SetupError::new(status, reason),
                };
                self.attempt_failed(at, error);
            }
            Some(Link::Connecting { .. }) => {
                let error = match reason {
                    Disconnected::Because(status, reason) => SetupError::new(status, reason),
                    Disconnected::Failed(reason) => SetupError::new(Status::Unreachable, reason),
                    Disconnected::Closed { .. } => {
                        SetupError::new(Status::Unreachable, "the server closed it")
                    }
                };
                self.attempt_failed(at, error);
            }
            Some(Link::Down) | None => {}
        }
        if self.taken.in_hand.is_some() {
            self.end_uncounted(at, "a defect of libredlock ended the connection");
        }
    }

    // ---- answers ----

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
            self.is_to_send(at);
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
