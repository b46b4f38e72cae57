//! A factory's set of nodes: the part that its handles share, and each node's state, which only the driver touches.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::Request;
use super::hints::{Declines, Times};
use super::orphans::Orphans;
use super::queue::QueueState;
use super::runtime::Runtime;
use super::slab::Key;
use super::sync::Pending;
use super::ticket::Ticket;
use crate::clock::{self, MICROSECOND, MILLISECOND, Nanos};
use crate::error::{NodeReport, Status};
use crate::fork;
use crate::log::{self, Level};
use crate::logic::admission::{Admission, RestartGuard};
use crate::logic::backoff::Backoff;
use crate::logic::ballot::{Ballots, ClockOffset, WINDOW};
use crate::logic::quorum::NodeMask;
use crate::logic::round_trip::RoundTrip;
use crate::node::address::Address;
use crate::node::command::{Survey, Terms};
use crate::node::connection::{Asked, Connection};
use crate::node::credentials::Credentials;
use crate::node::dial::Dial;
use crate::node::setup::Superseded;
use crate::node::stream::Stream;
use crate::node::target::Target;
use crate::node::text::ServerText;
use crate::token::Token;

/// The bounds of a node timeout that follows from the TTL: 5 % of it, but at least 5 and at most 50 ms.
const NODE_TIMEOUT_MIN: Nanos = 5 * MILLISECOND;
const NODE_TIMEOUT_MAX: Nanos = 50 * MILLISECOND;
/// The bound of a node timeout that follows from the network, when no lock's TTL is at stake.
const NETWORK_TIMEOUT_MAX: Nanos = 1_000 * MILLISECOND;
/// How many round trips a connection that was lost may take to be there again.
const TRIPS_TO_RECONNECT: u64 = 6;
/// The least time that a new set's first acquire waits for nodes that a quorum can do without, once there is one.
const FIRST_CONTACT_LEAST: Nanos = 5 * MILLISECOND;
/// For how long a new set's first acquire waits for the nodes that a quorum could do without.
pub(crate) const FIRST_CONTACT_GRACE: Nanos = 200 * MILLISECOND;
/// A node that has not answered anything for this long is disconnected, and contacted anew.
pub(crate) const GIVE_UP_AFTER: Nanos = 3_000 * MILLISECOND;
/// How many operations of a set may be asking at a time. More would not be carried out any faster, but wait in the
/// sockets' buffers, and the last of them would be overdue before the nodes had come to them.
pub(crate) const MAX_ASKING: usize = 512;
/// The delays between attempts to reach a node.
const RECONNECT_MIN: Nanos = 10 * MILLISECOND;
const RECONNECT_MAX: Nanos = 1_000 * MILLISECOND;

/// What a factory was told, beyond the addresses.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a node may take to answer, in ms; `None`: it follows from the TTL.
    pub(crate) node_timeout_ms: Option<u64>,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) busy_poll_us: u64,
    pub(crate) retry_min_ms: u64,
    pub(crate) retry_max_ms: u64,
    pub(crate) max_ttl_ms: u64,
    pub(crate) key_prefix: Arc<str>,
    pub(crate) fencing: bool,
    pub(crate) fair: bool,
    pub(crate) fair_grace_ms: u64,
    pub(crate) restart_guard: RestartGuard,
    /// The operator's word that every node persists every write, also across restarts.
    pub(crate) nodes_persist: bool,
    /// For tests: what the ballots' clock is off by.
    pub(crate) ballot_clock_offset_ms: i64,
    pub(crate) ballot_retention_ms: u64,
}

impl Settings {
    /// How long any node may take to answer, when a lock of `ttl_ms` is at stake (or none).
    pub(crate) fn node_timeout(&self, ttl_ms: Option<u64>) -> Nanos {
        match (self.node_timeout_ms, ttl_ms) {
            (Some(ms), _) => clock::from_ms(ms),
            (None, Some(ttl_ms)) => {
                (clock::from_ms(ttl_ms) / 20).clamp(NODE_TIMEOUT_MIN, NODE_TIMEOUT_MAX)
            }
            (None, None) => NODE_TIMEOUT_MAX,
        }
    }

    /// How long a node may take to answer that usually takes so long: longer by that where the network is slow, but never
    /// longer than a third of the TTL, for the rest is the owner's.
    pub(crate) fn timeout_of(&self, ttl_ms: Option<u64>, usual: RoundTrip) -> Nanos {
        let least = self.node_timeout(ttl_ms);
        if self.node_timeout_ms.is_some() {
            return least;
        }
        let most = ttl_ms.map_or(NETWORK_TIMEOUT_MAX, |ttl_ms| clock::from_ms(ttl_ms) / 3);
        least.saturating_add(usual.timeout()).min(most).max(least)
    }

    /// For how long a connection that was lost is likely to be missing.
    pub(crate) fn time_to_reconnect(&self, usual: RoundTrip) -> Nanos {
        let trips = usual.usual().saturating_mul(TRIPS_TO_RECONNECT);
        self.node_timeout(None).max(trips.min(NETWORK_TIMEOUT_MAX))
    }

    pub(crate) fn connect_timeout(&self) -> Nanos {
        clock::from_ms(self.connect_timeout_ms)
    }

    /// For how long the driver may look for answers again and again before it sleeps.
    pub(crate) fn busy_poll(&self) -> Nanos {
        self.busy_poll_us * MICROSECOND
    }

    /// What a new connection's scripts are told.
    pub(crate) fn terms(&self, process: &str, place: usize) -> Terms {
        Terms {
            key_prefix: Arc::clone(&self.key_prefix),
            max_ttl_ms: self.max_ttl_ms,
            fencing: self.fencing,
            ballot_retention_ms: self.ballot_retention_ms,
            fair_grace_ms: self.fair_grace_ms,
            // Nobody is called where nobody waits in a queue. Each set of nodes has a channel of its own, for a message goes
            // to all connections that listen to a channel, and a set knows its own waiters only.
            channel: match self.fair {
                true => format!("{process}:{place}").into(),
                false => "".into(),
            },
        }
    }
}

/// A factory's nodes as its handles, locks and operations share them. When the last of these is gone, so are the
/// connections.
pub(crate) struct NodeSet {
    pub(crate) runtime: &'static Runtime,
    /// The set's place in the engine.
    pub(crate) place: usize,
    pub(crate) addresses: Arc<[Arc<Address>]>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) credentials: Arc<Credentials>,
    /// Releases that nobody waits for, until the factory is closed.
    pub(crate) background: Pending,
    closed: AtomicBool,
    /// Whether it was told that a TTL was longer than the guard covers.
    warned_of_ttl: AtomicBool,
    generation: u64,
}

impl NodeSet {
    /// Has the engine contact the nodes.
    pub(crate) fn open(
        runtime: &'static Runtime,
        addresses: Arc<[Arc<Address>]>,
        settings: Arc<Settings>,
        credentials: Arc<Credentials>,
    ) -> Arc<NodeSet> {
        let set = Arc::new(NodeSet {
            runtime,
            place: runtime.reserve_place(),
            addresses,
            settings,
            credentials,
            background: Pending::default(),
            closed: AtomicBool::new(false),
            warned_of_ttl: AtomicBool::new(false),
            generation: fork::generation(),
        });
        runtime.send(Request::Open(Arc::clone(&set)));
        set
    }

    /// Whether the set was opened by the parent of this process, with whose connections nothing may be done here.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Says, once, that the restart guard does not cover so long a TTL.
    pub(crate) fn warn_of_ttl(&self, ttl_ms: u64) {
        if !self.warned_of_ttl.swap(true, Ordering::Relaxed) {
            let max = self.settings.max_ttl_ms;
            log::write(Level::Warn, || {
                format!(
                    "a TTL of {ttl_ms} ms is longer than the option max_ttl_ms ({max} ms): a node that restarts without its data may vote before such a lock has run out; set max_ttl_ms to the longest TTL, for all users of these nodes"
                )
            });
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No more acquires: those under way end. Locks that are held stay so.
    pub(crate) fn close(&self) {
        if !self.is_inherited() && !self.closed.swap(true, Ordering::AcqRel) {
            self.runtime.send(Request::Shut { place: self.place });
        }
    }

    /// Waits for the releases in the background, each of which ends with its nodes' timeouts.
    pub(crate) fn settle(&self) {
        if !self.is_inherited() {
            let timeout = match self.settings.node_timeout_ms {
                Some(_) => self.settings.node_timeout(None),
                // Each release ends by itself, as soon as its nodes are late.
                None => NETWORK_TIMEOUT_MAX,
            };
            self.background.wait(Duration::from_nanos(timeout));
        }
    }
}

impl Drop for NodeSet {
    fn drop(&mut self) {
        if !self.is_inherited() {
            self.runtime.send(Request::Close { place: self.place });
        }
    }
}

/// Which attempt of which operation a question belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) operation: Key,
    pub(crate) attempt: u32,
}

impl Mark {
    /// Of a question about the server, which no operation asked.
    pub(crate) const NONE: Mark = Mark {
        operation: Key::NONE,
        attempt: 0,
    };

    /// Of a call that is declined, by the script's digest; and of one whose script the node turned out not to have.
    pub(crate) const DECLINED: Mark = Mark {
        operation: Key::NONE,
        attempt: 1,
    };
    pub(crate) const DECLINED_AGAIN: Mark = Mark {
        operation: Key::NONE,
        attempt: 2,
    };
}

/// The state of the way to a node.
pub(crate) enum Link {
    /// On its way to a connection.
    Connecting(Box<Dial>),
    Up(Box<Connection<Mark>>),
    /// Resting until the next attempt.
    Down,
}

/// One start of a server.
pub(crate) struct SeenBoot {
    /// Empty if the server does not tell.
    pub(crate) run_id: Box<str>,
    /// When this client first saw it.
    pub(crate) at: Nanos,
    /// The client had known the node under another one.
    pub(crate) replaced_another: bool,
    /// The set's other nodes were known to be old then.
    pub(crate) came_late: bool,
}

/// One node, as the driver sees it.
pub(crate) struct Node {
    pub(crate) address: Arc<Address>,
    pub(crate) link: Link,
    /// The socket of a connection that is up, and since when it is.
    pub(crate) stream: Option<Stream>,
    pub(crate) up_since: Nanos,
    /// Counts connections and attempts at them; what comes in for an older one is void.
    pub(crate) epoch: u32,
    /// Since when the node owes an answer beyond its timeout. It counts as unavailable till it answers.
    pub(crate) silent_since: Option<Nanos>,
    /// Until when an operation may wait for the node, because it is likely to be there in a moment.
    pub(crate) hope_until: Nanos,
    /// Has the first attempt to reach the node come to an end, either way?
    pub(crate) contacted: bool,
    pub(crate) backoff: Backoff,
    /// What is wrong with the way to the node, while something is.
    pub(crate) trouble: (Status, Arc<str>),
    /// A connection that was given up while the server may still have had commands of ours to read.
    pub(crate) superseded: Option<Superseded>,
    /// Releases that could not be delivered, because it was away.
    pub(crate) orphans: Orphans,
    /// Some were too many, and that has been logged since it went away.
    pub(crate) forgets_releases: bool,
    /// From when on it may vote, as of the present or the last connection.
    pub(crate) admission: Admission,
    /// The boot that was last seen.
    pub(crate) boot: Option<SeenBoot>,
    /// Whether the node was new when it was first seen.
    pub(crate) first_new: Option<bool>,
    /// Whether CLIENT KILL was refused, and that has been logged.
    pub(crate) kill_was_refused: bool,
    /// What the node's clock shows more than ours.
    pub(crate) clock_offset: Option<ClockOffset>,
    /// Questions that met a script cache without our scripts, until it is known why.
    pub(crate) held: Vec<Asked<Mark>>,
    /// Calls for waiters that are gone.
    pub(crate) declines: Declines,
    /// What it told of its ballots last over this connection, and when.
    pub(crate) survey: Option<(Survey, Nanos)>,
    /// Is there output to flush? Mirrors the engine's list.
    pub(crate) dirty: bool,
}

/// A check of the nodes that waits for what they tell of their ballots.
pub(crate) struct Check {
    pub(crate) ticket: Arc<Ticket>,
    /// The nodes that have not answered.
    pub(crate) open: NodeMask,
    /// When it ends at the latest.
    pub(crate) due: Nanos,
}

/// How a node can be used at the moment.
pub(crate) enum Availability {
    Ready,
    /// Not now, but likely before the given time.
    Hoped(Nanos),
    /// Not now: see [`Node::trouble`].
    Away,
}

impl Node {
    fn new(address: Arc<Address>, hope_until: Nanos) -> Node {
        Node {
            address,
            link: Link::Down,
            stream: None,
            up_since: 0,
            epoch: 0,
            silent_since: None,
            hope_until,
            contacted: false,
            backoff: Backoff::new(RECONNECT_MIN, RECONNECT_MAX),
            trouble: (Status::Unreachable, "not connected yet".into()),
            superseded: None,
            orphans: Orphans::default(),
            forgets_releases: false,
            admission: Admission::Unknown,
            boot: None,
            first_new: None,
            kill_was_refused: false,
            clock_offset: None,
            held: Vec::new(),
            declines: Declines::default(),
            survey: None,
            dirty: false,
        }
    }

    /// Takes note of the boot that a new connection met; `late` if other nodes of the set are known to be old.
    pub(crate) fn meet_boot(&mut self, run_id: &str, late: bool, now: Nanos) -> &SeenBoot {
        let replaced_another = match &self.boot {
            Some(boot) if *boot.run_id == *run_id => return self.boot.as_ref().expect("just seen"),
            Some(_) => true,
            None => false,
        };
        self.boot.insert(SeenBoot {
            run_id: run_id.into(),
            at: now,
            replaced_another,
            came_late: late,
        })
    }

    /// Whether it is known to have been up for so long, or is so trusted to persist, that it may vote whatever the others are.
    pub(crate) fn is_old(&self, now: Nanos) -> bool {
        self.boot.is_some() && self.admission.votes(now, false)
    }

    pub(crate) fn connection(&mut self) -> Option<&mut Connection<Mark>> {
        match &mut self.link {
            Link::Up(connection) => Some(connection),
            _ => None,
        }
    }

    /// The connection with its socket.
    pub(crate) fn session(&mut self) -> Option<(&mut Connection<Mark>, &mut Stream)> {
        match (&mut self.link, &mut self.stream) {
            (Link::Up(connection), Some(stream)) => Some((connection, stream)),
            _ => None,
        }
    }

    /// The socket, of a connection or of one that is being made.
    pub(crate) fn present_stream(&self) -> Option<&Stream> {
        match &self.link {
            Link::Connecting(dial) => dial.stream(),
            _ => self.stream.as_ref(),
        }
    }

    pub(crate) fn availability(&self, now: Nanos, all_new: bool) -> Availability {
        match (&self.link, self.silent_since) {
            (Link::Up(_), None) if self.admission.votes(now, all_new) => Availability::Ready,
            (Link::Up(_), _) => Availability::Away,
            _ if self.hope_until > now => Availability::Hoped(self.hope_until),
            _ => Availability::Away,
        }
    }

    /// Why it does not vote, at a time when it does not.
    pub(crate) fn why_not(&self, now: Nanos) -> (Status, Arc<str>) {
        let (Link::Up(connection), None) = (&self.link, self.silent_since) else {
            return self.trouble.clone();
        };
        let message = match self.admission.wait_ms(now) {
            Some(ms) => format!(
                "has restarted and may have forgotten locks; it votes in {} s, when max_ttl_ms has passed",
                ms.div_ceil(1_000)
            ),
            None => format!(
                "does not tell since when it has been up ({}), which restart_guard=strict demands",
                connection.server.no_uptime()
            ),
        };
        (Status::NotAdmitted, message.into())
    }

    /// By how many us its highest ballot lies ahead of its own clock, by what it told in a check, or for one cell by the `least`
    /// ballot that it wanted just now; `None` unless that is more than it would accept by its clock.
    pub(crate) fn ballot_ahead_us(&self, least: Option<u64>, now: Nanos) -> Option<u64> {
        let ahead = match least {
            Some(least) => least.checked_sub(self.time_us(now)?),
            None => u64::try_from(self.survey.as_ref()?.0.ahead_us?).ok(),
        };
        ahead.filter(|us| *us > 2 * WINDOW)
    }

    /// What its clock shows, in us since 1970, as far as is known: by what it told in a check, or else when the connection was
    /// made; but its clock may have been set forward since.
    fn time_us(&self, now: Nanos) -> Option<u64> {
        let surveyed = self.survey.as_ref().and_then(|(survey, at)| {
            let passed = (now - at) / MICROSECOND;
            survey.time_us.map(|time| time.saturating_add(passed))
        });
        let by_offset = self.clock_offset.map(|offset| {
            let time = (now / MICROSECOND) as i64 + offset.likely;
            u64::try_from(time).unwrap_or(0)
        });
        let told = match &self.link {
            Link::Up(connection) => connection.node_time(),
            _ => 0,
        };
        surveyed.or(by_offset).map(|time| time.max(told))
    }

    /// The keys of ballots that it keeps for other prefixes.
    fn other_ballots(&self, prefix: &str) -> Vec<String> {
        let own = Target::one(prefix.into(), "").ballots().concat();
        // As it was shown: the two are compared as people see them.
        let own = match &self.link {
            Link::Up(connection) => connection.shown(&own),
            _ => return Vec::new(),
        };
        let keys = self.survey.iter().flat_map(|(survey, _)| &survey.keys);
        keys.filter(|key| **key != own)
            .map(|key| key.to_string())
            .collect()
    }

    /// Keeps a release for when the node is back, or drops the oldest if that are too many.
    pub(crate) fn remember(&mut self, target: Arc<Target>, token: Token, ttl_ms: u64, now: Nanos) {
        let is_full = self.orphans.add(target, token, ttl_ms, now);
        if is_full && !std::mem::replace(&mut self.forgets_releases, true) {
            log::write(Level::Warn, || {
                format!(
                    "{}: more releases wait for it than are kept; the oldest are dropped, and their locks last until their TTLs end there",
                    self.address.display()
                )
            });
        }
    }

    /// That it votes, and what an operator had better know about that.
    fn votes(&self) -> String {
        match &self.link {
            Link::Up(connection) if connection.server.kill_refused.is_some() => {
                "votes, but does not let this user end old connections (permit client|kill)"
                    .to_owned()
            }
            _ => "votes".to_owned(),
        }
    }

    pub(crate) fn health(&self, now: Nanos, all_new: bool, prefix: &str) -> NodeHealth {
        let (status, message) = match self.availability(now, all_new) {
            Availability::Ready => (Status::Ok, self.votes()),
            Availability::Hoped(_) => (Status::Unreachable, "being contacted".to_owned()),
            Availability::Away => {
                let (status, message) = self.why_not(now);
                (status, message.to_string())
            }
        };
        let server = match &self.link {
            Link::Up(connection) => Some(&connection.server),
            _ => None,
        };
        let text = |text: &Option<ServerText>| text.as_deref().map(str::to_owned);
        NodeHealth {
            report: NodeReport {
                address: self.address.display().to_owned(),
                status,
                message,
            },
            version: server.map(|server| format!("{} {}", server.product, server.version)),
            role: server.and_then(|server| text(&server.role)),
            uptime: server
                .and_then(|server| server.uptime_s)
                .map(Duration::from_secs),
            votes_in: server
                .filter(|_| status == Status::NotAdmitted)
                .and_then(|_| self.admission.wait_ms(now))
                .map(Duration::from_millis),
            persistence: server.map(|server| server.persistence()),
            ballot_ahead: server
                .and_then(|_| self.ballot_ahead_us(None, now))
                .map(Duration::from_micros),
            other_ballots: server.map_or_else(Vec::new, |_| self.other_ballots(prefix)),
            eviction_policy: server.and_then(|server| text(&server.maxmemory_policy)),
            round_trip: server.map(|server| server.round_trip),
        }
    }
}

/// A set's nodes, as the driver sees them.
pub(crate) struct Nodes {
    /// What the set's handles share; gone when nobody uses the set any more.
    pub(crate) shared: Weak<NodeSet>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) credentials: Arc<Credentials>,
    /// The queue and the number by which the program is asked for credentials, and since when it owes an answer.
    pub(crate) asker: Option<(Arc<QueueState>, u64)>,
    pub(crate) asked_since: Option<Nanos>,
    pub(crate) ballots: Ballots,
    /// When a waiter last looked without a reason, only to be sure.
    pub(crate) last_look: Nanos,
    /// When waiters last looked for which lock.
    pub(crate) looks: Times,
    /// Until when locks are left to those who do not queue.
    pub(crate) windows: Times,
    /// Whether no node is known to be older than the longest TTL: a set that was just started.
    pub(crate) all_new: bool,
    /// Operators that vouch for the nodes, when the last has been contacted.
    pub(crate) vouching: Vec<Arc<Ticket>>,
    /// When the nodes were last asked about their ballots.
    pub(crate) surveyed_at: Nanos,
    /// Checks that wait for nodes' answers.
    pub(crate) checks: Vec<Check>,
    /// Operations that wait for a node to come up.
    pub(crate) waiting: Vec<Key>,
    /// Operations that are asking and not yet decided, of those that take turns; at most [`MAX_ASKING`].
    pub(crate) asking: usize,
    /// Those whose turn has not come yet.
    pub(crate) queued: VecDeque<Key>,
    /// Until when the first operations wait for the last nodes, at most; and since when a quorum is there.
    pub(crate) grace_until: Nanos,
    pub(crate) quorum_since: Option<Nanos>,
}

impl Nodes {
    pub(crate) fn new(set: &Arc<NodeSet>, now: Nanos) -> Nodes {
        // A little longer than the connector tries, so that its reason is known when hope ends.
        let hope_until = now + set.settings.connect_timeout() + FIRST_CONTACT_GRACE;
        let node = |address| Node::new(Arc::clone(address), hope_until);
        Nodes {
            shared: Arc::downgrade(set),
            nodes: set.addresses.iter().map(node).collect(),
            settings: Arc::clone(&set.settings),
            credentials: Arc::clone(&set.credentials),
            asker: None,
            asked_since: None,
            ballots: Ballots::default(),
            last_look: 0,
            looks: Times::default(),
            windows: Times::default(),
            all_new: false,
            vouching: Vec::new(),
            surveyed_at: 0,
            checks: Vec::new(),
            waiting: Vec::new(),
            asking: 0,
            queued: VecDeque::new(),
            grace_until: now + FIRST_CONTACT_GRACE,
            quorum_since: None,
        }
    }

    /// Until when the first operations wait for nodes that a quorum, which is there, can do without. A node where nobody has
    /// answered is waited for as long as one round trip to those that are there, so that a dead one costs no more.
    pub(crate) fn first_contact_until(&self, now: Nanos) -> Nanos {
        let is_answered =
            |node: &Node| matches!(&node.link, Link::Connecting(dial) if dial.is_answered());
        if self.nodes.iter().any(is_answered) {
            return self.grace_until;
        }
        let round_trip = |node: &Node| match &node.link {
            Link::Up(connection) => connection.round_trip().usual(),
            _ => 0,
        };
        let longest = self.nodes.iter().map(round_trip).max().unwrap_or(0);
        let since = self.quorum_since.unwrap_or(now);
        let until = since.saturating_add(longest.max(FIRST_CONTACT_LEAST));
        until.min(self.grace_until)
    }
}

impl Nodes {
    /// Sets the ballots' clock by what the nodes' clocks show; by this machine's own if no node may be asked.
    pub(crate) fn set_ballot_clock(&mut self) {
        let mut offsets: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|node| node.clock_offset)
            .collect();
        if offsets.is_empty() {
            let own = clock::wall_offset_us();
            offsets.push(ClockOffset {
                least: own,
                likely: own,
            });
        }
        for offset in &mut offsets {
            offset.least += self.settings.ballot_clock_offset_ms * 1_000;
            offset.likely += self.settings.ballot_clock_offset_ms * 1_000;
        }
        self.ballots.set_offset(&offsets);
    }
}

/// One node's state, for people.
#[derive(Clone, Debug)]
pub struct NodeHealth {
    /// Address, whether it votes, and if not why.
    pub report: NodeReport,
    /// Product and version, when connected.
    pub version: Option<String>,
    /// `master`, when connected and allowed to ask.
    pub role: Option<String>,
    /// Since the server's start, as of the time of the connection, when allowed to ask.
    pub uptime: Option<Duration>,
    /// How long the restart guard still keeps it from voting, if it does.
    pub votes_in: Option<Duration>,
    /// What survives a restart, when connected.
    pub persistence: Option<&'static str>,
    /// By how much the highest fence that the node ever accepted lies ahead of its own clock, if that is more than it should:
    /// its clock was ahead, and was set back. It accepts no fence that the others would then.
    pub ballot_ahead: Option<Duration>,
    /// Keys in which the node keeps fences of other key prefixes: locks with the same key exclude each other, but their
    /// fences do not compare. Only found where the user may SCAN, and not among very many keys.
    pub other_ballots: Vec<String>,
    /// What the server throws away when its memory is full, when allowed to ask. Any other than `noeviction` can lose
    /// locks.
    pub eviction_policy: Option<String>,
    /// How long a round trip took when the connection was made.
    pub round_trip: Option<Duration>,
}

/// What is wrong with a node whose highest ballot lies so far ahead of its clock, and what to do.
pub(crate) fn ballot_advice(ahead: Duration) -> String {
    format!(
        "its highest fence lies {} s ahead of its own clock, which was ahead once; restart it without its data, and let restart_guard keep it out until that is safe",
        ahead.as_secs()
    )
}

impl fmt::Display for NodeHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.report.address, self.report.message)?;
        for word in [&self.version, &self.role].into_iter().flatten() {
            write!(f, ", {word}")?;
        }
        if let Some(uptime) = self.uptime {
            write!(f, ", up {} s", uptime.as_secs())?;
        }
        if let Some(persistence) = self.persistence {
            write!(f, ", {persistence}")?;
        }
        if let Some(policy) = &self.eviction_policy {
            write!(f, ", {policy}")?;
            if policy != "noeviction" {
                f.write_str(" (can lose locks)")?;
            }
        }
        if let Some(ahead) = self.ballot_ahead {
            write!(f, ", {}", ballot_advice(ahead))?;
        }
        if !self.other_ballots.is_empty() {
            let keys = &self.other_ballots;
            write!(
                f,
                ", also keeps the fences of other values of key_prefix ({keys:?}), which do not compare with these"
            )?;
        }
        if let Some(round_trip) = self.round_trip {
            write!(f, ", round trip {} us", round_trip.as_micros())?;
        }
        Ok(())
    }
}
