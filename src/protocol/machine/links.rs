//! The connections to the nodes: made, judged, lost and given up.

use std::sync::Arc;

use super::{Machine, NodePlace, id_of};
use crate::error::{Error, Status};
use crate::level::Level;
use crate::protocol::host::Host;
use crate::protocol::node::command::Question;
use crate::protocol::node::connection::{Asked, Connection};
use crate::protocol::node::setup::{Ready, ServerInfo, Setup, SetupError, Superseded};
use crate::protocol::node_set::NodeSet;
use crate::protocol::nodes::{GIVE_UP_AFTER, Link, Mark, Node, SettingUp};
use crate::protocol::operation::{Operation, Task};
use crate::protocol::orphans::Orphan;
use crate::protocol::outcome::{Connected, ConnectionId, Io, Outcome, Output};
use crate::protocol::rules::admission::{self, Admission, Boot};
use crate::protocol::rules::quorum::NodeMask;
use crate::protocol::settings::Settings;
use crate::protocol::timer::Timer;
use crate::time::{self, MILLISECOND, Nanos};

/// Of a node that refuses to write because it is none that may.
pub(super) const DEMOTED: &str = "the server has become a replica";
/// A connection that has lasted for so long is made anew at once when it is lost.
const LASTING: Nanos = 1_000 * MILLISECOND;

/// How many bytes of releases that it missed a node is sent at a time, which is far less than may wait for it.
const ORPHANS_AT_ONCE: usize = 256 * 1024;

impl<H: Host> Machine<H> {
    /// The connected nodes may vote from now on, and newcomers are told so by the witness. Waits until each node has been
    /// reached, or has failed to be: newcomers would take one that is left out for a restarted one.
    pub(crate) fn vouch(&mut self, now: Nanos, place: usize, caller: H::Caller) {
        self.now = now;
        let Some(set) = self.sets[place].as_mut() else {
            return self.outputs.push(Output::Done(caller, Outcome::Vouched(0)));
        };
        set.vouching.push(caller);
        match set.is_shut {
            false => self.vouch_if_contacted(place),
            true => self.stop_vouching(place),
        }
    }

    fn vouch_if_contacted(&mut self, place: usize) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        if set.vouching.is_empty() || !set.nodes.iter().all(|node| node.contacted) {
            return;
        }
        let callers = std::mem::take(&mut set.vouching);
        let nodes = 0..set.nodes.len();
        let count = nodes
            .filter(|index| self.keep_witness((place, *index)))
            .count();
        for caller in callers {
            self.outputs
                .push(Output::Done(caller, Outcome::Vouched(count)));
        }
        self.resume_waiting(place);
    }

    /// The factory is closed: nobody vouches any more.
    pub(super) fn stop_vouching(&mut self, place: usize) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        for caller in std::mem::take(&mut set.vouching) {
            let error = Error::new(Status::Closed, "the factory was closed");
            self.outputs
                .push(Output::Done(caller, Outcome::Failed(error)));
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
        self.is_to_send((place, index));
        true
    }

    /// Begins an attempt to connect.
    pub(super) fn connect(&mut self, at @ (place, index): NodePlace) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        self.epochs = self.epochs.wrapping_add(1);
        node.epoch = self.epochs;
        node.link = Link::Connecting { answered: false };
        self.io.push_back(Io::Connect(id_of(at, node)));
    }

    /// Others log in from now on: nodes that have refused the former ones are tried at once.
    pub(crate) fn retry_refused(&mut self, now: Nanos, place: usize) {
        self.now = now;
        let count = self.sets[place].as_ref().map_or(0, |set| set.nodes.len());
        for index in 0..count {
            if let Some(node) = self.node((place, index))
                && matches!(node.link, Link::Down)
                && node.trouble.0 == Status::Server
            {
                node.backoff.reset();
                self.connect((place, index));
            }
        }
    }

    /// Somebody answers at the node's address, but there is no connection for the protocol yet.
    pub(crate) fn reached(&mut self, id: ConnectionId) {
        if let Some(Link::Connecting { answered }) = self.current(id).map(|node| &mut node.link) {
            *answered = true;
        }
    }

    /// There is a connection, just now: bytes can be sent and received.
    pub(crate) fn connected(&mut self, now: Nanos, id: ConnectionId, connected: Connected) {
        self.now = now;
        let (place, index) = (id.place, id.node);
        let nonce = self.entropy.random();
        if self.current(id).is_none() {
            return;
        }
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        let terms = set.settings.terms(&self.channels, place);
        let superseded = node.superseded.clone();
        node.link = Link::SettingUp(Box::new(SettingUp {
            setup: Setup::new(
                Arc::clone(&node.config),
                connected.login,
                terms,
                superseded,
                now,
                nonce,
            ),
            deadline: now,
            peer: connected.peer,
            wall_offset_us: connected.wall_offset_us,
        }));
        self.send_flight(id);
    }

    /// There is no connection to be had.
    pub(crate) fn connect_failed(&mut self, now: Nanos, id: ConnectionId, error: SetupError) {
        self.now = now;
        if self.current(id).is_some() {
            self.attempt_failed((id.place, id.node), error);
        }
    }

    pub(crate) fn connect_timeout(&self, place: usize) -> Nanos {
        let set = self.sets[place].as_ref();
        set.map_or(0, |set| set.settings.connect_timeout())
    }

    /// An attempt to connect has come to its end without a connection.
    pub(super) fn attempt_failed(&mut self, at @ (place, _): NodePlace, failure: SetupError) {
        self.connect_failed_for(at, failure);
        self.attempt_ended(place);
    }

    /// A connection is set up.
    pub(super) fn set_up(&mut self, at @ (place, index): NodePlace, mut ready: Ready) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let Link::SettingUp(setting_up) = std::mem::replace(&mut set.nodes[index].link, Link::Down)
        else {
            return;
        };
        ready.server.peer = setting_up.peer;
        match self.twin(at, &ready.server) {
            None => self.up(at, ready, setting_up.wall_offset_us),
            Some(twin) => {
                let message = format!("is the same server as {twin}, and would vote twice");
                let failure = SetupError::new(Status::NotAdmitted, message);
                self.end_connection(at);
                self.connect_failed_for(at, failure);
            }
        }
        self.attempt_ended(place);
    }

    fn attempt_ended(&mut self, place: usize) {
        self.resume_waiting(place);
        self.vouch_if_contacted(place);
    }

    /// The host is to end the node's present connection, or attempt at one.
    fn end_connection(&mut self, at: NodePlace) {
        if let Some(node) = self.node(at) {
            let id = id_of(at, node);
            self.io.push_back(Io::Disconnect(id));
        }
    }

    /// The address of another node of the set that turned out to be the same database of the same server. Several databases
    /// of one server are several nodes, which do not fail independently: that is told, and left to the user.
    fn twin(&mut self, (place, index): NodePlace, found: &ServerInfo) -> Option<String> {
        let nodes = &self.sets[place].as_ref()?.nodes;
        let here = &nodes[index].config;
        let is_same_server = |(other, node): &(usize, &Node)| match &node.link {
            Link::Up(connection) if *other != index => {
                let known = &connection.server;
                // A server that does not tell its run id is still found at one address.
                known.peer == found.peer || (known.run_id.is_some() && known.run_id == found.run_id)
            }
            _ => false,
        };
        let same_server: Vec<_> = nodes.iter().enumerate().filter(is_same_server).collect();
        let is_twin = |(_, node): &&(usize, &Node)| node.config.database == here.database;
        if let Some((_, twin)) = same_server.iter().find(is_twin) {
            return Some(twin.config.display().to_owned());
        }
        if let Some((_, other)) = same_server.first() {
            let message = format!(
                "{here}: is the same server as {}; they fail together, so the locks survive the loss of fewer servers",
                other.config
            );
            self.log(Level::Warn, message);
        }
        None
    }

    /// A node can't be reached; it is tried again after a rest.
    fn connect_failed_for(&mut self, at: NodePlace, failure: SetupError) {
        let Some(node) = self.node(at) else {
            return;
        };
        let is_news = *node.trouble.1 != *failure.message;
        let message = format!("{}: {}", node.config, failure.message);
        let was_connected = matches!(node.link, Link::SettingUp(_));
        let id = id_of(at, node);
        let is_refused = failure.kind == Status::Server;
        node.link = Link::Down;
        node.contacted = true;
        node.hope_until = 0;
        node.trouble = (failure.kind, failure.message.into());
        if is_news {
            self.log(Level::Warn, message);
        }
        if is_refused {
            self.io.push_back(Io::Refused(id));
        }
        if was_connected {
            self.end_connection(at);
        }
        self.reconnect_later(at);
    }

    fn reconnect_later(&mut self, at @ (place, index): NodePlace) {
        let (now, random) = (self.now, self.entropy.random());
        let Some(node) = self.node(at) else {
            return;
        };
        let timer = Timer::Reconnect {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        let rest = node.backoff.next(random);
        self.timers.set(now + rest, timer);
    }

    /// A node is there. What could not be delivered to it before goes first.
    fn up(&mut self, at @ (place, index): NodePlace, ready: Ready, wall_offset_us: i64) {
        let Ready {
            wire,
            server,
            scripts,
            password,
        } = ready;
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let is_old = |(other, node): (usize, &Node)| other != index && node.is_old(now);
        let late = set.nodes.iter().enumerate().any(is_old);
        let node = &mut set.nodes[index];
        let mut news = vec![(Level::Info, format!("{}: connected", node.config))];
        admit(node, &server, late, &set.settings, now, &mut news);
        let timer = Timer::Witness {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        let proven = time::from_ms(admission::probation_ms(set.settings.max_ttl_ms));
        self.timers.set(now + proven, timer);
        let connection = Connection::new(wire, server, scripts, password, now);
        node.link = Link::Up(Box::new(connection));
        node.up_since = now;
        node.contacted = true;
        node.silent_since = None;
        node.superseded = None;
        node.survey = None;
        node.hope_until = 0;
        let id = id_of(at, node);
        set.all_new = set.nodes.iter().all(|node| node.first_new != Some(false));
        set.set_ballot_clock(wall_offset_us);
        for (level, message) in news {
            self.log(level, message);
        }
        // More may have arrived with the last answer of the set-up. It is taken before anything is asked, to which it could be
        // no answer.
        self.take_answers(id, 0);
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let node = &mut set.nodes[index];
        if !matches!(node.link, Link::Up(_)) {
            return;
        }
        node.forgets_releases = false;
        self.deliver_orphans(at);
    }

    /// Asks a node for the releases that it missed while it was away, as many as it is to be sent at once. The rest follows
    /// when it has taken these.
    pub(super) fn deliver_orphans(&mut self, at @ (_, index): NodePlace) {
        while let Some((set, orphan)) = self.next_orphan(at) {
            let Orphan {
                target,
                token,
                ttl_ms,
                ..
            } = orphan;
            let here = NodeMask(1 << index);
            let release = Operation::give_back(set, target, token, ttl_ms, here);
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
        Some((Arc::clone(&set.set), orphan))
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
        self.io
            .push_back(Io::Disconnect(id_of((place, index), node)));
        let lasted = now.saturating_sub(node.up_since) >= LASTING;
        let message: Arc<str> = format!("connection lost: {reason}").into();
        let news = format!("{}: {message}", node.config);
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
        }
        self.log(Level::Warn, news);
        if lasted {
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
            let now = self.now;
            let news = self
                .node((place, index))
                .and_then(|node| node.remember(target, token, ttl_ms, now));
            if let Some(news) = news {
                self.log(Level::Warn, news);
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
        let news = format!("{}: does not answer", node.config);
        node.silent_since = since;
        node.trouble = (Status::Timeout, "does not answer".into());
        let timer = Timer::GiveUp {
            set: place,
            node: index,
            epoch: node.epoch,
        };
        self.timers.set(self.now + GIVE_UP_AFTER, timer);
        self.log(Level::Warn, news);
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
fn admit(
    node: &mut Node,
    server: &ServerInfo,
    late: bool,
    settings: &Settings,
    now: Nanos,
    news: &mut Vec<(Level, String)>,
) {
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
    let name = node.config.display();
    let mut warn = |message: String| news.push((Level::Warn, message));
    if let Some(error) = &server.info_error {
        warn(format!(
            "{name}: a restart can't be told, because INFO is refused: {error}"
        ));
    }
    if let Some(error) = &server.kill_refused
        && !std::mem::replace(&mut node.kill_was_refused, true)
    {
        warn(format!(
            "{name}: a connection that is given up can't be ended on the server, so what it still holds may be carried out \
                 late: permit client|kill to this user ({error})"
        ));
    }
    if settings.nodes_persist && server.may_forget() {
        let persistence = server.persistence();
        warn(format!(
            "{name}: nodes_persist=on does not count for this node: {persistence}"
        ));
    }
    if let Some(policy) = server
        .maxmemory_policy
        .as_deref()
        .filter(|it| *it != "noeviction")
    {
        warn(format!(
            "{name}: maxmemory-policy {policy} can drop locks; set it to noeviction"
        ));
    }
}
