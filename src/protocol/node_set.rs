//! A factory's set of nodes, as all of its locks and operations know it.

use std::sync::Arc;

use super::node::config::NodeConfig;
use super::settings::Settings;

/// A set of nodes. It does not change.
pub(crate) struct NodeSet {
    /// The set's place in the machine, which no other set has at the same time.
    pub(crate) place: usize,
    pub(crate) nodes: Arc<[Arc<NodeConfig>]>,
    pub(crate) settings: Arc<Settings>,
}
