//! Several independent servers, as Redlock wants them.

use std::ops::{Deref, DerefMut};

use crate::server::{Builder, Server};

/// N independent masters. It is also a slice of its servers: `cluster[2].stop()`, `cluster.iter()`.
pub struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// Starts `n` plain servers.
    pub fn start(n: usize) -> Cluster {
        Cluster::start_with(n, |builder| builder)
    }

    /// Starts `n` servers, each set up by `configure`.
    pub fn start_with(n: usize, configure: impl Fn(Builder) -> Builder + Sync) -> Cluster {
        let start = || configure(Server::builder()).start();
        let servers = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..n).map(|_| scope.spawn(start)).collect();
            starting
                .into_iter()
                .map(|thread| thread.join().expect("each server starts"))
                .collect()
        });
        Cluster { servers }
    }

    /// The servers' addresses, each as [`Server::url`] gives it.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    /// How many servers hold `key` now. One that is stopped or dead counts as not holding it.
    pub fn keys_holding(&self, key: &str) -> usize {
        self.servers
            .iter()
            .filter(|server| server.is_answering() && server.holds(key))
            .count()
    }

    /// Sends one command to every server that is neither stopped nor dead.
    ///
    /// # Panics
    /// When one answers with an error.
    pub fn command_all(&self, words: &[&str]) {
        for server in self.servers.iter().filter(|server| server.is_answering()) {
            server.command(words).ok();
        }
    }
}

impl Deref for Cluster {
    type Target = Vec<Server>;

    fn deref(&self) -> &Vec<Server> {
        &self.servers
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Vec<Server> {
        &mut self.servers
    }
}
