//! A factory's nodes as its handles, locks and operations share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::address::Address;
use super::credentials::Credentials;
use crate::fork;
use crate::log::{self, Level};
use crate::protocol::grant::Grant;
use crate::protocol::node_set::NodeSet;
use crate::protocol::settings::{NETWORK_TIMEOUT_MAX, Settings};
use crate::sync::Pending;

/// What a set of nodes needs of the engine.
pub(crate) trait Engine: Sync {
    /// A number for a new set.
    fn reserve_place(&self) -> usize;

    /// A new set of nodes, to be contacted.
    fn open(
        &'static self,
        nodes: Arc<NodeSet>,
        addresses: Arc<[Arc<Address>]>,
        credentials: Arc<Credentials>,
    );

    /// The set's factory is closed: acquires under way end.
    fn shut(&'static self, place: usize);

    /// Nobody uses the set any more.
    fn close(&'static self, place: usize);

    /// A lock is to be given back, for which nobody waits.
    fn give_back(&'static self, set: Arc<OpenSet>, grant: &Arc<Grant>);
}

/// A set of nodes with its connections. When the last of those who use it is gone, and the last operation has ended, so are the
/// connections.
pub(crate) struct OpenSet {
    engine: &'static dyn Engine,
    pub(crate) nodes: Arc<NodeSet>,
    /// Releases that nobody waits for, until the factory is closed.
    pub(super) background: Pending,
    closed: AtomicBool,
    /// Whether it was told that a TTL was longer than the guard covers.
    warned_of_ttl: AtomicBool,
    generation: u64,
}

impl OpenSet {
    /// Has the engine contact the nodes.
    pub(crate) fn new(
        engine: &'static dyn Engine,
        addresses: &Arc<[Arc<Address>]>,
        credentials: &Arc<Credentials>,
        settings: Arc<Settings>,
    ) -> Arc<OpenSet> {
        let configs = addresses.iter().map(|address| Arc::clone(&address.node));
        let nodes = Arc::new(NodeSet {
            place: engine.reserve_place(),
            nodes: configs.collect(),
            settings,
        });
        let set = Arc::new(OpenSet {
            engine,
            nodes: Arc::clone(&nodes),
            background: Pending::default(),
            closed: AtomicBool::new(false),
            warned_of_ttl: AtomicBool::new(false),
            generation: fork::generation(),
        });
        engine.open(nodes, Arc::clone(addresses), Arc::clone(credentials));
        set
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.nodes.settings
    }

    /// Whether the set was opened by the parent of this process, with whose connections nothing may be done here.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Says, once, that the restart guard does not cover so long a TTL.
    pub(crate) fn warn_of_ttl(&self, ttl_ms: u64) {
        if !self.warned_of_ttl.swap(true, Ordering::Relaxed) {
            let max = self.settings().max_ttl_ms;
            log::write(Level::Warn, || {
                format!(
                    "a TTL of {ttl_ms} ms is longer than the option max_ttl_ms ({max} ms): a node that restarts without its data may vote before such a lock has run out; set max_ttl_ms to the longest TTL, for all users of these nodes"
                )
            });
        }
    }

    /// Gives a lock back in the background.
    pub(super) fn give_back(self: &Arc<Self>, grant: &Arc<Grant>) {
        self.background.begin();
        self.engine.give_back(Arc::clone(self), grant);
    }

    /// No more acquires: those under way end. Locks that are held stay so.
    pub(crate) fn close(&self) {
        if !self.is_inherited() && !self.closed.swap(true, Ordering::AcqRel) {
            self.engine.shut(self.nodes.place);
        }
    }

    /// Waits for the releases in the background, each of which ends with its nodes' timeouts.
    pub(crate) fn settle(&self) {
        if !self.is_inherited() {
            let timeout = match self.settings().node_timeout_ms {
                Some(_) => self.settings().node_timeout(None),
                // Each release ends by itself, as soon as its nodes are late.
                None => NETWORK_TIMEOUT_MAX,
            };
            self.background.wait(Duration::from_nanos(timeout));
        }
    }
}

impl Drop for OpenSet {
    fn drop(&mut self) {
        if !self.is_inherited() {
            self.engine.close(self.nodes.place);
        }
    }
}
