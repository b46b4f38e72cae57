//! A user of a node and what it may do.

use std::collections::BTreeSet;

use super::glob;

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password; `None` if every one is right.
    pub password: Option<String>,
    /// What it may not do: commands, or subcommands such as `client|kill`, in lower case.
    pub denied: BTreeSet<&'static str>,
    /// Patterns of the keys that it may use.
    pub keys: Vec<String>,
    /// Patterns of the channels that it may use.
    pub channels: Vec<String>,
}

impl Default for User {
    /// The user as whom a connection begins, who may do everything without a password.
    fn default() -> User {
        User {
            name: "default".to_owned(),
            password: None,
            denied: BTreeSet::new(),
            keys: vec!["*".to_owned()],
            channels: vec!["*".to_owned()],
        }
    }
}

impl User {
    /// Whether it may use this command.
    pub fn may(&self, command: &str) -> bool {
        !self.denied.contains(command)
    }

    /// Whether it may use this key.
    pub fn may_use_key(&self, key: &[u8]) -> bool {
        matches_any(&self.keys, key)
    }

    /// Whether it may use this channel.
    pub fn may_use_channel(&self, channel: &[u8]) -> bool {
        matches_any(&self.channels, channel)
    }
}

fn matches_any(patterns: &[String], name: &[u8]) -> bool {
    let is_of = |pattern: &String| pattern == "*" || glob::matches(pattern.as_bytes(), name);
    patterns.iter().any(is_of)
}
