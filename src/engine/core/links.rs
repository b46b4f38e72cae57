//! The ways to the nodes: connecting, judging, losing and giving up.

use std::net::SocketAddr;
use std::sync::Arc;

use super::sockets::{unwatch, watch};
use super::{Core, NodePlace, Request};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::engine::nodes::{GIVE_UP_AFTER, Link, Mark, Node, NodeSet, Settings};
use crate::engine::operation::{Operation, Task};
use crate::engine::orphans::Orphan;
use crate::engine::ticket::{Outcome, Ticket};
use crate::engine::timer::Timer;
use crate::error::{Error, Status};
use crate::jitter;
use crate::log::{self, Level};
use crate::logic::admission::{self, Admission, Boot};
use crate::logic::quorum::NodeMask;
use crate::node::address::Address;
use crate::node::command::Question;
use crate::node::connection::{Asked, Connection};
use crate::node::dial::{Dial, Established};
use crate::node::setup::{ServerInfo, SetupError, Superseded};

/// A connection that has lasted for so long is made anew at once when it is lost.
const LASTING: Nanos = 1_000 * MILLISECOND;

/// How many bytes of releases that it missed a node is sent at a time, which is far less than may wait for it.
const ORPHANS_AT_ONCE: usize = 256 * 1024;

impl Core {
    /// The connected nodes may vote from now on, and newcomers are told so by the witness. Waits until each node has been
    /// reached, or has failed to be: newcomers would take one that is left out for a restarted one.
    pub(super) fn vouch(&mut self, place: usize, ticket: Arc<Ticket>) {
        let Some(set) = self.sets[place].as_mut() else {
            return self.deliveries.outcome(ticket, Outcome::Vouched(0));
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
            self.deliveries.outcome(ticket, Outcome::Vouched(count));
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
            self.deliveries.outcome(ticket, Outcome::Failed(error));
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

    /// Begins an attempt to connect.
    pub(super) fn connect(&mut self, at @ (place, index): NodePlace) {
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let timeout = set.settings.connect_timeout();
        let terms = set.settings.terms(&self.runtime.channels, place);
        let node = &mut set.nodes[index];
        self.epochs = self.epochs.wrapping_add(1);
        let epoch = self.epochs;
        node.epoch = epoch;
        let (address, superseded) = (Arc::clone(&node.address), node.superseded.clone());
        let credentials = Arc::clone(&set.credentials);
        let dial = Dial::new(address, credentials, timeout, terms, superseded, now);
        let runtime = self.runtime;
        let looked_up = dial.name().map_or(Ok(()), |(host, port)| {
            runtime.resolver.look_up(host, port, move |result| {
                runtime.send(Request::Resolved {
                    place,
                    node: index,
                    epoch,
                    result,
                });
            })
        });
        node.link = Link::Connecting(Box::new(dial));
        match looked_up {
            Ok(()) => self.dial(at),
            Err(error) => {
                let message = format!("no thread to look up its name: {error}");
                self.dialled(at, Err(SetupError::new(Status::System, message)));
            }
        }
    }

    pub(super) fn resolved(
        &mut self,
        at @ (place, index): NodePlace,
        epoch: u32,
        result: Result<Vec<SocketAddr>, String>,
    ) {
        let now = self.now;
        if !self.is_current(place, index, epoch) {
            return;
        }
        let Some(Link::Connecting(dial)) = self.node(at).map(|node| &mut node.link) else {
            return;
        };
        match result {
            Ok(addresses) => {
                dial.resolved(addresses, now);
                self.dial(at);
            }
            Err(message) => self.dialled(at, Err(SetupError::new(Status::Unreachable, message))),
        }
    }

    /// Goes on with an attempt to connect, as far as it goes. A defect in that ends the attempt, and nothing else.
    pub(super) fn dial(&mut self, at: NodePlace) {
        self.contained(at, |core| core.go_on_dialling(at));
    }

    fn go_on_dialling(&mut self, at @ (place, index): NodePlace) {
        let now = self.now;
        let Some(node) = self.node(at) else {
            return;
        };
        let epoch = node.epoch;
        let Link::Connecting(dial) = &mut node.link else {
            return;
        };
        let mut result = dial.proceed(now);
        let (mut to_watch, due, asks) = (None, dial.due(), dial.asks());
        if let Ok(established) = &result {
            to_watch = dial.next_to_watch(established.as_ref());
        }
        if let Some(fd) = to_watch
            && let Err(error) = watch(&self.registry, fd, at)
        {
            let message = format!("its socket can't be watched: {error}");
            result = Err(SetupError::new(Status::System, message));
        }
        match result {
            Ok(None) => {
                let timer = Timer::Dial {
                    set: place,
                    node: index,
                    epoch,
                };
                self.timers.set(due, timer);
                if asks {
                    self.ask_for_credentials(place);
                }
            }
            Ok(Some(established)) => self.dialled(at, Ok(established)),
            Err(error) => self.dialled(at, Err(error)),
        }
    }

    /// The way to a node is broken, whether it is connected or on its way to be.
    pub(super) fn break_off(&mut self, at: NodePlace, reason: &str, status: Status) {
        match self.node(at).map(|node| &node.link) {
            Some(Link::Up(_)) => self.lose(at, reason, status),
            Some(Link::Connecting(_)) => self.dialled(at, Err(SetupError::new(status, reason))),
            Some(Link::Down) | None => {}
        }
    }

    /// An attempt to connect has come to its end.
    pub(super) fn dialled(
        &mut self,
        at @ (place, _): NodePlace,
        result: Result<Established, SetupError>,
    ) {
        let unique = result.and_then(|established| match self.twin(at, &established) {
            None => Ok(established),
            Some(twin) => {
                unwatch(&self.registry, established.stream.fd());
                let message = format!("is the same server as {twin}, and would vote twice");
                Err(SetupError::new(Status::NotAdmitted, message))
            }
        });
        match unique {
            Ok(established) => self.up(at, established),
            Err(failure) => self.connect_failed(at, failure),
        }
        self.resume_waiting(place);
        self.vouch_if_contacted(place);
    }

    /// The address of another node of the set that turned out to be the same database of the same server. Several databases
    /// of one server are several nodes, which do not fail independently: that is told, and left to the user.
    fn twin(&self, (place, index): NodePlace, established: &Established) -> Option<String> {
        let nodes = &self.sets[place].as_ref()?.nodes;
        let (found, here) = (&established.server, &nodes[index].address);
        let is_same_server = |(other, node): &(usize, &Node)| match &node.link {
            Link::Up(connection) if *other != index => {
                let known = &connection.server;
                // A server that does not tell its run id is still found at one address.
                known.peer == found.peer || (known.run_id.is_some() && known.run_id == found.run_id)
            }
            _ => false,
        };
        let same_server: Vec<_> = nodes.iter().enumerate().filter(is_same_server).collect();
        let is_twin = |(_, node): &&(usize, &Node)| node.address.database == here.database;
        let (_, twin) = same_server.iter().find(is_twin).or_else(|| {
            if let Some((_, other)) = same_server.first() {
                warn_of_one_server(here, &other.address);
            }
            None
        })?;
        Some(twin.address.display().to_owned())
    }

    /// A node can't be reached; it is tried again after a rest.
    fn connect_failed(&mut self, (place, index): NodePlace, failure: SetupError) {
        if let Some(set) = self.sets[place].as_ref()
            && failure.kind == Status::Server
        {
            set.credentials.were_refused();
        }
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
        self.reconnect_later((place, index));
    }

    fn reconnect_later(&mut self, at @ (place, index): NodePlace) {
        let now = self.now;
        let Some(node) = self.node(at) else {
            return;
        };
        let timer = Timer::Reconnect {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        let retry_at = now + node.backoff.next(jitter::random());
        self.timers.set(retry_at, timer);
    }

    /// A node is there. What could not be delivered to it before goes first.
    fn up(&mut self, at @ (place, index): NodePlace, established: Established) {
        let Established {
            stream,
            wire,
            server,
            scripts,
            password,
        } = established;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let is_old = |(other, node): (usize, &Node)| other != index && node.is_old(self.now);
        let late = set.nodes.iter().enumerate().any(is_old);
        let node = &mut set.nodes[index];
        log::write(Level::Info, || {
            format!("{}: connected", node.address.display())
        });
        admit(node, &server, late, &set.settings, self.now);
        let timer = Timer::Witness {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        let proven = clock::from_ms(admission::probation_ms(set.settings.max_ttl_ms));
        self.timers.set(self.now + proven, timer);
        let connection = Connection::new(wire, server, scripts, password, self.now);
        node.link = Link::Up(Box::new(connection));
        node.stream = Some(stream);
        node.up_since = self.now;
        node.contacted = true;
        node.silent_since = None;
        node.superseded = None;
        node.survey = None;
        node.hope_until = 0;
        set.all_new = set.nodes.iter().all(|node| node.first_new != Some(false));
        set.set_ballot_clock();
        // More may have arrived with the last answer of the set-up, and no readiness tells of it. It is taken before anything
        // is asked, to which it could be no answer.
        self.receive(at, false);
        let Some(node) = self.node(at) else { return };
        if !matches!(node.link, Link::Up(_)) {
            return;
        }
        node.forgets_releases = false;
        self.deliver_orphans(at);
    }

    /// Asks a node for the releases that it missed while it was away, as many as it is to be sent at once. The rest follows
    /// when it has taken these.
    pub(super) fn deliver_orphans(&mut self, at @ (_, index): NodePlace) {
        while let Some((shared, orphan)) = self.next_orphan(at) {
            let Orphan {
                target,
                token,
                ttl_ms,
                ..
            } = orphan;
            let here = NodeMask(1 << index);
            let release = Operation::give_back(shared, target, token, ttl_ms, here);
            self.begin(Box::new(release));
        }
    }

    fn next_orphan(&mut self, (place, index): NodePlace) -> Option<(Arc<NodeSet>, Orphan)> {
        let set = self.sets.get_mut(place)?.as_mut()?;
        let node = &mut set.nodes[index];
        let Link::Up(connection) = &node.link else {
            return None;
        };
        if connection.backlog() > ORPHANS_AT_ONCE {
            return None;
        }
        let orphan = node.orphans.next()?;
        Some((set.shared.upgrade()?, orphan))
    }

    /// The connection is no good any more: its questions stay without an answer, and a new one is made. At once, unless it
    /// did not last: a server that hangs up after each set-up is not to be asked for one again and again.
    pub(super) fn lose(&mut self, (place, index): NodePlace, reason: &str, status: Status) {
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        // What came in one read may say twice that the connection is lost; the attempt at a new one is not to be.
        if !matches!(node.link, Link::Up(_)) {
            return;
        }
        let Link::Up(connection) = std::mem::replace(&mut node.link, Link::Down) else {
            return;
        };
        if let Some(stream) = node.stream.take() {
            unwatch(&self.registry, stream.fd());
        }
        let lasted = now.saturating_sub(node.up_since) >= LASTING;
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
            _ => now + set.settings.time_to_reconnect(connection.round_trip()),
        };
        node.trouble = (status, Arc::clone(&message));
        node.declines.clear();
        let mut unanswered: Vec<_> = std::mem::take(&mut node.held);
        unanswered.extend(connection.abandon());
        if lasted {
            node.backoff.reset();
            self.connect((place, index));
        } else {
            self.reconnect_later((place, index));
        }
        for asked in unanswered {
            self.unanswered((place, index), asked, status, &message);
        }
    }

    pub(super) fn unanswered(
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
        if status != Status::Timeout {
            operation.lost_on.insert(index);
        }
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

fn warn_of_one_server(one: &Address, other: &Address) {
    log::write(Level::Warn, || {
        format!(
            "{one}: is the same server as {other}; they fail together, so the locks survive the loss of fewer servers"
        )
    });
}

/// Judges the boot that a new connection met: from when on it may vote.
fn admit(node: &mut Node, server: &ServerInfo, late: bool, settings: &Settings, now: Nanos) {
    let run_id = server.run_id.as_deref().unwrap_or_default();
    let seen = node.meet_boot(run_id, late, now);
    let boot = Boot {
        uptime_s: server.uptime_s,
        forgets_nothing: settings.nodes_persist && !server.may_forget(),
        witnessed: server.witnessed,
        replaced_another: seen.replaced_another,
        came_late: seen.came_late,
        seen_at: seen.at,
        told_at: now,
    };
    node.admission = admission::judge(settings.restart_guard, boot, settings.max_ttl_ms);
    node.first_new.get_or_insert(node.admission.is_new());
    node.clock_offset = server.clock_offset();
    let name = node.address.display();
    if let Some(error) = &server.info_error {
        log::write(Level::Warn, || {
            format!("{name}: a restart can't be told, because INFO is refused: {error}")
        });
    }
    if let Some(error) = &server.kill_refused
        && !std::mem::replace(&mut node.kill_was_refused, true)
    {
        log::write(Level::Warn, || {
            format!(
                "{name}: a connection that is given up can't be ended on the server, so what it still holds may be carried out \
                 late: permit client|kill to this user ({error})"
            )
        });
    }
    if settings.nodes_persist && server.may_forget() {
        log::write(Level::Warn, || {
            let persistence = server.persistence();
            format!("{name}: nodes_persist=on does not count for this node: {persistence}")
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
