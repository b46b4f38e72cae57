//! What a factory was told, beyond the addresses, and the times that follow from it.

use std::sync::Arc;

use super::node::command::Terms;
use super::rules::admission::RestartGuard;
use super::rules::round_trip::RoundTrip;
use crate::time::{self, MICROSECOND, MILLISECOND, Nanos};

/// The bounds of a node timeout that follows from the TTL: 5 % of it, but at least 5 and at most 50 ms.
const NODE_TIMEOUT_MIN: Nanos = 5 * MILLISECOND;
const NODE_TIMEOUT_MAX: Nanos = 50 * MILLISECOND;
/// The bound of a node timeout that follows from the network, when no lock's TTL is at stake.
pub(crate) const NETWORK_TIMEOUT_MAX: Nanos = 1_000 * MILLISECOND;
/// The least retransmission time-out of TCP, and a little more.
const RETRANSMISSION: Nanos = 250 * MILLISECOND;
/// How many round trips a connection that was lost may take to be there again.
const TRIPS_TO_RECONNECT: u64 = 6;

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
            (Some(ms), _) => time::from_ms(ms),
            (None, Some(ttl_ms)) => {
                (time::from_ms(ttl_ms) / 20).clamp(NODE_TIMEOUT_MIN, NODE_TIMEOUT_MAX)
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
        let most = ttl_ms.map_or(NETWORK_TIMEOUT_MAX, |ttl_ms| time::from_ms(ttl_ms) / 3);
        least.saturating_add(usual.timeout()).min(most).max(least)
    }

    /// How long a node may take whose answer decides between a quorum and none: TCP needs so much to notice that a segment was
    /// lost, and to send it again.
    pub(crate) fn patience_with(&self, ttl_ms: Option<u64>, usual: RoundTrip) -> Nanos {
        let timeout = self.timeout_of(ttl_ms, usual);
        if self.node_timeout_ms.is_some() {
            return timeout;
        }
        let most = ttl_ms.map_or(NETWORK_TIMEOUT_MAX, |ttl_ms| time::from_ms(ttl_ms) / 3);
        timeout
            .saturating_add(RETRANSMISSION)
            .min(most)
            .max(timeout)
    }

    /// For how long a connection that was lost is likely to be missing.
    pub(crate) fn time_to_reconnect(&self, usual: RoundTrip) -> Nanos {
        let trips = usual.usual().saturating_mul(TRIPS_TO_RECONNECT);
        self.node_timeout(None).max(trips.min(NETWORK_TIMEOUT_MAX))
    }

    pub(crate) fn connect_timeout(&self) -> Nanos {
        time::from_ms(self.connect_timeout_ms)
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
