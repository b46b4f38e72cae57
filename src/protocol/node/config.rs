//! What the protocol needs to know of a node beforehand: how it is shown to people, which database it is, and who logs in.

use std::fmt;

use super::secret::Secret;

/// Which version of the protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP3 where the server has it, RESP2 otherwise.
    #[default]
    Auto,
    /// RESP2, without asking: HELLO is never sent.
    Resp2,
    /// RESP3, or no connection.
    Resp3,
}

/// A user and a password, as one connection uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// A node, but for the way to it.
#[derive(Clone)]
pub(crate) struct NodeConfig {
    /// The canonical URL without credentials, for errors, logs and reports.
    pub(crate) display: String,
    pub(crate) database: i64,
    pub(crate) protocol: Protocol,
}

impl NodeConfig {
    /// The canonical URL without credentials, for errors, logs and reports.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeConfig({})", self.display)
    }
}

impl fmt::Display for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}
