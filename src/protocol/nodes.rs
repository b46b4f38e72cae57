//! The nodes of a set as the machine sees them: the connection to each, whether it may vote, and what is wrong with it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::hints::{Declines, Times};
use super::host::Host;
use super::node::command::Survey;
use super::node::config::NodeConfig;
use super::node::connection::{Asked, Connection};
use super::node::setup::{Setup, Superseded};
use super::node::target::Target;
use super::node::text::ServerText;
use super::node_set::NodeSet;
use super::orphans::Orphans;
use super::rules::admission::Admission;
use super::rules::backoff::Backoff;
use super::rules::ballot::{Ballots, ClockOffset, WINDOW};
use super::rules::quorum::NodeMask;
use super::settings::Settings;
use super::slab::Key;
use super::token::Token;
use crate::error::{NodeReport, Status};
use crate::time::{MICROSECOND, MILLISECOND, Nanos};

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
    /// Resting until the next attempt.
    Down,
    /// The host connects to it; `answered` if somebody is there.
    Connecting {
        answered: bool,
    },
    /// Connected, and learning whether it may vote.
    SettingUp(Box<SettingUp>),
    Up(Box<Connection<Mark>>),
}

/// A connection that is being set up.
pub(crate) struct SettingUp {
    pub(crate) setup: Setup,
    /// When the present flight must have been answered.
    pub(crate) deadline: Nanos,
    /// The socket address or path that was reached.
    pub(crate) peer: String,
    /// What the wall clock shows more than the machine's, in us.
    pub(crate) wall_offset_us: i64,
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

/// One node.
pub(crate) struct Node {
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) link: Link,
    /// Since when the connection is up.
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
    /// Is there something to send? Mirrors the machine's list.
    pub(crate) dirty: bool,
}

/// A check of the nodes that waits for what they tell of their ballots.
pub(crate) struct Check<H: Host> {
    pub(crate) caller: H::Caller,
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
    fn new(config: Arc<NodeConfig>, hope_until: Nanos) -> Node {
        Node {
            config,
            link: Link::Down,
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

    /// Keeps a release for when the node is back, or drops the oldest if that are too many; gives what is to be said of that.
    pub(crate) fn remember(
        &mut self,
        target: Arc<Target>,
        token: Token,
        ttl_ms: u64,
        now: Nanos,
    ) -> Option<String> {
        let is_full = self.orphans.add(target, token, ttl_ms, now);
        let is_news = is_full && !std::mem::replace(&mut self.forgets_releases, true);
        is_news.then(|| {
            format!(
                "{}: more releases wait for it than are kept; the oldest are dropped, and their locks last until their TTLs end there",
                self.config
            )
        })
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
                address: self.config.display().to_owned(),
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

/// A set's nodes, with what is under way on them.
pub(crate) struct Nodes<H: Host> {
    pub(crate) set: Arc<NodeSet>,
    /// No more acquires; and when the last operation has ended, the set is gone.
    pub(crate) is_shut: bool,
    pub(crate) is_closing: bool,
    /// Operations that are in the machine.
    pub(crate) operations: usize,
    pub(crate) nodes: Vec<Node>,
    pub(crate) settings: Arc<Settings>,
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
    pub(crate) vouching: Vec<H::Caller>,
    /// When the nodes were last asked about their ballots.
    pub(crate) surveyed_at: Nanos,
    /// Checks that wait for nodes' answers.
    pub(crate) checks: Vec<Check<H>>,
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

impl<H: Host> Nodes<H> {
    pub(crate) fn new(set: Arc<NodeSet>, now: Nanos) -> Nodes<H> {
        // A little longer than the connector tries, so that its reason is known when hope ends.
        let hope_until = now + set.settings.connect_timeout() + FIRST_CONTACT_GRACE;
        let node = |config| Node::new(Arc::clone(config), hope_until);
        Nodes {
            is_shut: false,
            is_closing: false,
            operations: 0,
            nodes: set.nodes.iter().map(node).collect(),
            settings: Arc::clone(&set.settings),
            set,
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
        let is_answered = |node: &Node| {
            matches!(
                node.link,
                Link::Connecting { answered: true } | Link::SettingUp(_)
            )
        };
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

    /// Sets the ballots' clock by what the nodes' clocks show; by the computer's own if no node may be asked.
    pub(crate) fn set_ballot_clock(&mut self, own: i64) {
        let mut offsets: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|node| node.clock_offset)
            .collect();
        if offsets.is_empty() {
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
