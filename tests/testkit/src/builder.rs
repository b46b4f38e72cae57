//! How a server is to be: its addresses, users, certificates and persistence, written down as a redis.conf.

use std::path::{Path, PathBuf};

use crate::binary::ServerBinary;
use crate::certificates::Certificates;
use crate::server::Server;
use crate::user;

/// The user by which the testkit itself talks to a server, whatever users and passwords the test sets up.
pub(crate) const CONTROL_USER: &str = "testkit";
/// That user's password.
pub(crate) const CONTROL_PASSWORD: &str = "testkit-control";

/// Whether a TLS server wants to see a certificate of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A client without one is turned away.
    Required,
    /// A client may show one; a wrong one is turned away.
    Optional,
    /// None is asked for.
    Ignored,
}

/// A server that is not started yet. Made by [`Server::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) binary: ServerBinary,
    pub(crate) addresses: Vec<String>,
    pub(crate) password: Option<String>,
    pub(crate) persistent: bool,
    pub(crate) tls: Option<(Certificates, ClientCertificates)>,
    environment: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            binary: ServerBinary::chosen().clone(),
            addresses: vec!["127.0.0.1".to_owned()],
            password: None,
            persistent: false,
            tls: None,
            environment: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Runs this server instead of the one that the tests were started for.
    #[must_use]
    pub fn binary(mut self, binary: ServerBinary) -> Builder {
        self.binary = binary;
        self
    }

    /// Sets an environment variable of the server's process.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listens on these addresses instead of 127.0.0.1; the first is the one that [`Server::url`] shows.
    #[must_use]
    pub fn bind(mut self, addresses: &[&str]) -> Builder {
        assert!(
            !addresses.is_empty(),
            "a server needs an address to listen on"
        );
        self.addresses = addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect();
        self
    }

    /// Writes every command to disk before it is answered, so that [`Server::restart`] finds all data again.
    #[must_use]
    pub fn persistent(mut self) -> Builder {
        self.persistent = true;
        self.config("appendonly yes").config("appendfsync always")
    }

    /// Sets the default user's password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Builder {
        self.password = Some(password.to_owned());
        let line = format!("requirepass {}", quoted(password));
        self.config(&line)
    }

    /// Adds a user, or changes the one named `default`: `acl_user("alice on >secret ~app:* +set +get")`.
    #[must_use]
    pub fn acl_user(self, rules: &str) -> Builder {
        self.config(&format!("user {rules}"))
    }

    /// Limits the memory to so many bytes, with an eviction policy such as `noeviction`.
    #[must_use]
    pub fn max_memory(self, bytes: u64, policy: &str) -> Builder {
        self.config(&format!("maxmemory {bytes}"))
            .config(&format!("maxmemory-policy {policy}"))
    }

    /// Speaks TLS on its port, and nothing but TLS.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates, clients: ClientCertificates) -> Builder {
        assert!(
            self.binary.supports_tls(),
            "{} was built without TLS",
            self.binary.path().display()
        );
        self.tls = Some((certificates.clone(), clients));
        self
    }

    /// Makes it a replica of another server of the testkit.
    #[must_use]
    pub fn replica_of(self, master: &Server) -> Builder {
        self.config(&format!("replicaof {} {}", master.host(), master.port()))
            .config(&format!("masteruser {CONTROL_USER}"))
            .config(&format!("masterauth {CONTROL_PASSWORD}"))
    }

    /// Adds any line of redis.conf. A later line wins over an earlier one.
    #[must_use]
    pub fn config(mut self, line: &str) -> Builder {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer within 10 seconds; the message ends with the last lines of its log.
    pub fn start(self) -> Server {
        Server::start(self)
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The redis.conf for a server in `dir` that listens on `port`.
    pub(crate) fn redis_conf(&self, dir: &Path, port: u16) -> String {
        let mut lines = vec![
            format!("bind {}", self.addresses.join(" ")),
            "protected-mode no".to_owned(),
            format!("dir {}", quoted_path(dir)),
            format!("logfile {}", quoted_path(&log_file(dir))),
            format!("unixsocket {}", quoted_path(&socket(dir))),
            "unixsocketperm 700".to_owned(),
            "save \"\"".to_owned(),
            // A replica is to be served at once.
            "repl-diskless-sync-delay 0".to_owned(),
            format!("user {CONTROL_USER} on >{CONTROL_PASSWORD} ~* &* +@all"),
        ];
        if self.binary.major() >= 7 {
            lines.push("enable-debug-command local".to_owned());
        }
        lines.extend(user::line(&self.binary));
        lines.extend(self.port_lines(port));
        lines.extend(self.lines.iter().cloned());
        lines.join("\n") + "\n"
    }

    fn port_lines(&self, port: u16) -> Vec<String> {
        let Some((certificates, clients)) = &self.tls else {
            return vec![format!("port {port}")];
        };
        let clients = match clients {
            ClientCertificates::Required => "yes",
            ClientCertificates::Optional => "optional",
            ClientCertificates::Ignored => "no",
        };
        vec![
            "port 0".to_owned(),
            format!("tls-port {port}"),
            format!("tls-ca-cert-file {}", quoted_path(&certificates.ca)),
            format!(
                "tls-cert-file {}",
                quoted_path(&certificates.server_certificate)
            ),
            format!("tls-key-file {}", quoted_path(&certificates.server_key)),
            format!("tls-auth-clients {clients}"),
        ]
    }
}

/// Where a server in `dir` writes its log.
pub(crate) fn log_file(dir: &Path) -> PathBuf {
    dir.join("redis.log")
}

/// The Unix socket of a server in `dir`.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("redis.sock")
}

fn quoted_path(path: &Path) -> String {
    quoted(
        path.to_str()
            .expect("temporary directories have names in UTF-8"),
    )
}

/// A word in redis.conf's double quotes.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
