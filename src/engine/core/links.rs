//! The ways to the nodes: connecting, judging, losing and giving up.

use std::sync::Arc;
use std::time::Duration;

use super::sockets::{unwatch, watch};
use super::{Core, NodePlace, Request};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::engine::nodes::{GIVE_UP_AFTER, Link, Mark, Node, Settings};
use crate::engine::operation::{Operation, Task};
use crate::engine::runtime;
use crate::engine::ticket::{Outcome, Ticket};
use crate::engine::timer::Timer;
use crate::error::{Error, Status};
use crate::log::{self, Level};
use crate::logic::admission::{self, Admission, Boot};
use crate::logic::quorum::NodeMask;
use crate::node::command::Question;
use crate::node::connection::{Asked, Connection};
use crate::node::setup::{self, Established, ServerInfo, SetupError, Superseded};

impl Core {
    /// The connected nodes may vote from now on, and newcomers are told so by the witness. Waits until each node has been
    /// reached, or has failed to be: newcomers would take one that is left out for a restarted one.
    pub(super) fn vouch(&mut self, place: usize, ticket: Arc<Ticket>) {
        let Some(set) = self.sets[place].as_mut() else {
            return ticket.complete(Outcome::Vouched(0));
        };
        set.vouching.push(ticket);
        match set.shared.upgrade() {
            Some(shared) if !shared.is_closed() => self.vouch_if_contacted(place),
            _ => self.stop_vouching(place),
        }
    }

    fn vouch_if_contacted(&mut self, place: usize) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        if set.vouching.is_empty() || !set.nodes.iter().all(|node| node.contacted) {
            return;
        }
        let tickets = std::mem::take(&mut set.vouching);
        let nodes = 0..set.nodes.len();
        let count = nodes
            .filter(|index| self.keep_witness((place, *index)))
            .count();
        for ticket in tickets {
            ticket.complete(Outcome::Vouched(count));
        }
        self.resume_waiting(place);
    }

    /// The factory is closed: nobody vouches any more.
    pub(super) fn stop_vouching(&mut self, place: usize) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        for ticket in std::mem::take(&mut set.vouching) {
            let error = Error::new(Status::Closed, "the factory was closed");
            ticket.complete(Outcome::Failed(error));
        }
    }

    /// Leaves the witness on a connected node, which votes itself from now on.
    pub(super) fn keep_witness(&mut self, (place, index): NodePlace) -> bool {
        let now = self.now;
        let Some(node) = self.node((place, index)) else {
            return false;
        };
        let Link::Up(connection) = &mut node.link else {
            return false;
        };
        node.admission = Admission::Trusted;
        connection.ask_server((Mark::NONE, Question::KeepWitness), now);
        self.has_output((place, index));
        true
    }

    /// Sends out a connector thread.
    pub(super) fn connect(&mut self, (place, index): NodePlace) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let timeout = Duration::from_nanos(set.settings.connect_timeout());
        let node = &mut set.nodes[index];
        self.epochs = self.epochs.wrapping_add(1);
        node.epoch = self.epochs;
        node.link = Link::Connecting;
        let (runtime, epoch) = (self.runtime, node.epoch);
        let terms = set.settings.terms(&self.runtime.channels, place);
        let address = Arc::clone(&node.address);
        let superseded = node.superseded.clone();
        let spawned = runtime::spawn("redlock-connect", move || {
            let result = setup::establish(&address, timeout, terms, superseded.as_ref());
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

    pub(super) fn connected(
        &mut self,
        at @ (place, index): NodePlace,
        epoch: u32,
        result: Result<Box<Established>, SetupError>,
    ) {
        if !self.is_current(place, index, epoch) {
            return;
        }
        let watched = result.and_then(|established| {
            match watch(&self.registry, established.stream.fd(), at) {
                Ok(()) => Ok(established),
                Err(error) => Err(SetupError {
                    kind: Status::System,
                    message: format!("its socket can't be watched: {error}"),
                }),
            }
        });
        let unique = watched.and_then(|established| match self.twin(at, &established) {
            None => Ok(established),
            Some(twin) => {
                unwatch(&self.registry, established.stream.fd());
                Err(SetupError {
                    kind: Status::NotAdmitted,
                    message: format!("is the same server as {twin}, and would vote twice"),
                })
            }
        });
        match unique {
            Ok(established) => self.up(at, *established),
            Err(failure) => self.connect_failed(at, failure),
        }
        self.resume_waiting(place);
        self.vouch_if_contacted(place);
    }

    /// The address of another node of the set that turned out to be the same server.
    fn twin(&self, (place, index): NodePlace, established: &Established) -> Option<String> {
        let nodes = &self.sets[place].as_ref()?.nodes;
        let found = &established.server;
        let is_twin = |(other, node): &(usize, &Node)| match &node.link {
            Link::Up(connection) if *other != index => {
                let known = &connection.server;
                // A server that does not tell its run id is still found at one address.
                known.peer == found.peer || (known.run_id.is_some() && known.run_id == found.run_id)
            }
            _ => false,
        };
        let (_, twin) = nodes.iter().enumerate().find(is_twin)?;
        Some(twin.address.display().to_owned())
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
        let is_old = |(other, node): (usize, &Node)| other != index && node.is_old(self.now);
        let late = set.nodes.iter().enumerate().any(is_old);
        let node = &mut set.nodes[index];
        log::write(Level::Info, || {
            format!("{}: connected", node.address.display())
        });
        admit(node, &established.server, late, &set.settings, self.now);
        let timer = Timer::Witness {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        let proven = clock::from_ms(admission::probation_ms(set.settings.max_ttl_ms));
        self.timers.set(self.now + proven, timer);
        node.link = Link::Up(Box::new(Connection::new(established, self.now)));
        node.contacted = true;
        node.silent_since = None;
        node.superseded = None;
        node.hope_until = 0;
        node.backoff.reset();
        set.all_new = set.nodes.iter().all(|node| node.first_new != Some(false));
        set.set_ballot_clock();
        let node = &mut set.nodes[index];
        let orphans = std::mem::take(&mut node.orphans);
        let Some(shared) = shared else { return };
        for orphan in orphans {
            let (set, here) = (Arc::clone(&shared), NodeMask(1 << index));
            let release =
                Operation::give_back(set, orphan.target, orphan.token, orphan.ttl_ms, here);
            self.begin(Box::new(release));
        }
    }

    /// The connection is no good any more: its questions stay without an answer, and a new one is made.
    pub(super) fn lose(&mut self, (place, index): NodePlace, reason: &str, status: Status) {
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        let Link::Up(connection) = std::mem::replace(&mut node.link, Link::Down) else {
            return;
        };
        unwatch(&self.registry, connection.fd());
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
        let mut unanswered: Vec<_> = std::mem::take(&mut node.held);
        unanswered.extend(connection.abandon());
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
            let (target, token) = (Arc::clone(&operation.target), operation.token);
            if let Some(set) = self.sets[place].as_mut() {
                set.nodes[index].remember(target, token, ttl_ms, self.now);
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

    pub(super) fn fell_silent(&mut self, (place, index): NodePlace) {
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

    pub(super) fn give_up(&mut self, (place, index): NodePlace, epoch: u32) {
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
}

/// Judges the boot that a new connection met: from when on it may vote.
fn admit(node: &mut Node, server: &ServerInfo, late: bool, settings: &Settings, now: Nanos) {
    let run_id = server.run_id.as_deref().unwrap_or_default();
    let seen = node.meet_boot(run_id, late, now);
    let boot = Boot {
        uptime_s: server.uptime_s,
        persists_every_write: server.persists_every_write(),
        witnessed: server.witnessed,
        replaced_another: seen.replaced_another,
        came_late: seen.came_late,
        seen_at: seen.at,
        told_at: now,
    };
    node.admission = admission::judge(settings.restart_guard, boot, settings.max_ttl_ms);
    node.first_new.get_or_insert(node.admission.is_new());
    node.clock_offset = server
        .time_us
        .map(|time| time as i64 - (server.time_at / 1000) as i64);
    let name = node.address.display();
    if let Some(error) = &server.info_error {
        log::write(Level::Warn, || {
            format!("{name}: a restart can't be told, because INFO is refused: {error}")
        });
    }
    if let Some(policy) = server
        .maxmemory_policy
        .as_deref()
        .filter(|it| *it != "noeviction")
    {
        log::write(Level::Warn, || {
            format!("{name}: maxmemory-policy {policy} can drop locks; set it to noeviction")
        });
    }
}
