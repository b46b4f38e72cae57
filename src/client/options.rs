//! A factory's options: one table of names, from which the documentation is generated and every binding sets them.

use std::path::PathBuf;

use once_cell::sync::Lazy;

use crate::driver::tls::{self, TlsOptions, Verify};
use crate::error::{Error, Result};
use crate::protocol::node::config::Protocol;
use crate::protocol::node::target::RESERVED;
use crate::protocol::node::text::quoted;
use crate::protocol::rules::admission::RestartGuard;
use crate::protocol::settings::Settings;

/// One option, as the documentation shows it.
#[derive(Clone, Copy, Debug)]
pub struct OptionInfo {
    /// The name to set it by.
    pub name: &'static str,
    /// The value that it has when it is not set.
    pub default: &'static str,
    /// The values that are allowed.
    pub values: &'static str,
    /// What it does.
    pub description: &'static str,
}

/// A row of the table: what is documented, and how a value is taken.
struct Row {
    info: OptionInfo,
    set: fn(&mut Options, &str) -> std::result::Result<(), NotAllowed>,
}

/// Settings of a factory. All have defaults that fit masters in one data centre.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) settings: Settings,
    pub(crate) tls: TlsOptions,
    pub(crate) protocol: Protocol,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ask_credentials: bool,
}

/// The longest time that an option may be set to: a day, in ms.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The least time for which nodes remember ballots: well above the window that a node's clock gives them.
const LEAST_RETENTION_MS: u64 = 5_000;
/// The longest TTL that a lock can have, in ms: 30 days.
pub(crate) const LONGEST_TTL_MS: u64 = 30 * DAY_MS;
/// The value is not one of those that the table allows.
struct NotAllowed;

const TABLE: &[Row] = &[
    Row {
        info: OptionInfo {
            name: "node_timeout_ms",
            default: "auto",
            values: "auto, or 1 to 86400000",
            description: "How long a node may take to answer, in ms. A node that takes longer counts as unavailable \
                          until it answers. `auto`: 5 % of the TTL, but at least 5 and at most 50 ms, and the \
                          time that this node usually takes besides (RFC 6298); 250 ms more where no quorum is left \
                          without it, for TCP needs as long to send a lost segment again; at most a third of the \
                          TTL, or 1 s for a release.",
        },
        set: |options, value| {
            options.settings.node_timeout_ms = match value {
                "auto" => None,
                _ => Some(milliseconds(value)?),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "connect_timeout_ms",
            default: "1000",
            values: "1 to 86400000",
            description: "How long each stage of connecting to a node may take, in ms: name look-up, TCP, TLS handshake, \
                          and each of the two round trips of the set-up. Nodes are connected in the background; only the first acquire of a factory may wait for it.",
        },
        set: |options, value| {
            options.settings.connect_timeout_ms = milliseconds(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "busy_poll_us",
            default: "80",
            values: "0 to 10000",
            description: "For how long a thread that waits for nodes' answers looks for them again and again before it \
                          sleeps, in us; being woken costs more than a node close by takes to answer. Only while one \
                          operation alone is under way, and seldom where answers have not come in that time. `0`: it \
                          sleeps at once.",
        },
        set: |options, value| {
            options.settings.busy_poll_us = match value.parse() {
                Ok(us @ 0..=10_000) => us,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "retry_min_ms",
            default: "2",
            values: "1 to 86400000",
            description: "The first rest between two attempts at a lock that another holds, in ms. Each further rest is \
                          twice as long, up to retry_max_ms, with jitter.",
        },
        set: |options, value| {
            options.settings.retry_min_ms = milliseconds(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "retry_max_ms",
            default: "50",
            values: "1 to 86400000",
            description: "The longest rest between two attempts at a lock that another holds, in ms.",
        },
        set: |options, value| {
            options.settings.retry_max_ms = milliseconds(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "max_ttl_ms",
            default: "120000",
            values: "1 to 2592000000",
            description: "The longest TTL that locks are acquired or extended with, in ms. The same for all users of a set \
                          of nodes: a node that lost its data is kept out for as long. Under `restart_guard=strict` a \
                          longer TTL is refused. Otherwise it is granted, up to 30 days, with one warning in the log: \
                          the guard then covers no more than max_ttl_ms of it.",
        },
        set: |options, value| {
            options.settings.max_ttl_ms = match value.parse() {
                Ok(ms) if (1..=LONGEST_TTL_MS).contains(&ms) => ms,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "key_prefix",
            default: "",
            values: "up to 128 bytes of text, without libredlock:",
            description: "What is put before a resource's name to make its Redis key. Without one the key is the name \
                          itself, as with most other Redlock libraries, so that their locks and ours exclude each other. \
                          The library's own keys stand behind the prefix too and begin with `libredlock:`; a name whose \
                          key contains that word is refused. So a Redis user with the keys `~PREFIX*` has all that a \
                          service needs. All who lock a resource must set the same prefix for it: \
                          `app:` with the name `r` and no prefix with the name `app:r` exclude each other, but do \
                          not share fences or the queue of waiters.",
        },
        set: |options, value| {
            if value.len() > 128 || value.contains(RESERVED) {
                return Err(NotAllowed);
            }
            options.settings.key_prefix = value.into();
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "fencing",
            default: "on",
            values: "on, off",
            description: "Whether each lock gets a fence, a number that rises with every acquire of a resource. Without \
                          fences an acquire is a plain SET NX PX.",
        },
        set: |options, value| {
            options.settings.fencing = match value {
                "on" => true,
                "off" => false,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "fair",
            default: "on",
            values: "on, off",
            description: "Whether those who wait for a lock are served in the order of their arrival, and called when it \
                          is free. `off`: they look for it now and then, and whoever comes first gets it; beside those \
                          who queue they get turns because a lock that is handed on is left free for 5 ms now and \
                          then. Nodes call \
                          by PUBLISH, over RESP3; where that is not to be had, and for several resources at once, \
                          waiters look for themselves.",
        },
        set: |options, value| {
            options.settings.fair = match value {
                "on" => true,
                "off" => false,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "fair_grace_ms",
            default: "50",
            values: "1 to 60000",
            description: "For how long a lock that was given back is reserved for the waiter whose turn it is, in ms. It \
                          must answer its call in that time: a round trip, and until its thread runs. A process that \
                          hangs keeps the others waiting for so long, once, however many waiters it has; one that is \
                          dead does not.",
        },
        set: |options, value| {
            options.settings.fair_grace_ms = match milliseconds(value)? {
                ms @ 1..=60_000 => ms,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "restart_guard",
            default: "auto",
            values: "auto, strict, off",
            description: "What happens to a node that has restarted, and may have forgotten locks. `auto`: it does not \
                          vote until max_ttl_ms has passed, unless nodes_persist=on, or all nodes are that new. \
                          `strict`: the same without the last exception, and a node that does not tell its uptime is \
                          refused. `off`: it votes at once, as with other libraries.",
        },
        set: |options, value| {
            options.settings.restart_guard = match value {
                "auto" => RestartGuard::Auto,
                "strict" => RestartGuard::Strict,
                "off" => RestartGuard::Off,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "nodes_persist",
            default: "off",
            values: "off, on",
            description: "Your word that every node has each write on disk before it answers it (`appendonly yes`, \
                          `appendfsync always`), has had so at every start, and comes back with the same disk. `on`: a \
                          node that restarted votes at once, unless its present settings say that it does not persist \
                          every write. The library can't know this: a node tells how it persists now, not how it did \
                          when it granted what it may have forgotten. Turn persistence on at all nodes, wait for \
                          max_ttl_ms after the last restart, and set this then.",
        },
        set: |options, value| {
            options.settings.nodes_persist = match value {
                "on" => true,
                "off" => false,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "ballot_clock_offset_ms",
            default: "0",
            values: "-86400000 to 86400000",
            description: "For tests: by how much the clock is wrong that ballots are proposed by, in ms. Costs a round \
                          trip now and then, and nothing else.",
        },
        set: |options, value| {
            let day = DAY_MS as i64;
            options.settings.ballot_clock_offset_ms = match value.parse() {
                Ok(ms) if (-day..=day).contains(&ms) => ms,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "ballot_retention_ms",
            default: "86400000",
            values: "5000 to 86400000",
            description: "For tests: how long a node remembers a resource's last fence after its last grant, in ms. The \
                          default of a day bears nodes' clocks that are set back by as much.",
        },
        set: |options, value| {
            options.settings.ballot_retention_ms = match milliseconds(value)? {
                ms if ms >= LEAST_RETENTION_MS => ms,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "protocol",
            default: "auto",
            values: "auto, resp2, resp3",
            description: "The version of the Redis protocol. `auto`: RESP3 where the server has it. A URL's \
                          `?protocol=` comes first.",
        },
        set: |options, value| {
            options.protocol = match value {
                "auto" => Protocol::Auto,
                "resp2" => Protocol::Resp2,
                "resp3" => Protocol::Resp3,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "password_file",
            default: "",
            values: "a path, or nothing",
            description: "A file with the password of all nodes, in place of those in their URLs; a line break at its end is not \
                          part of it. It is read at each connect, so that a renewed one counts for the next connection; it \
                          must stay readable.",
        },
        set: |options, value| {
            options.password_file = path(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "ask_credentials",
            default: "off",
            values: "on, off",
            description: "`on`: each connection waits, for connect_timeout_ms at most, until the program has given \
                          credentials. It is asked by an event of a queue, once for all nodes that wait at that time. \
                          `off`: what was given last, password_file or the URL counts.",
        },
        set: |options, value| {
            options.ask_credentials = match value {
                "on" => true,
                "off" => false,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "tls_ca_file",
            default: "",
            values: "a path, or nothing",
            description: "For rediss://: a PEM file with the certificates that a server's must be signed by, or with that of \
                          the server itself. Without it the system's roots count. The files of TLS are read at each \
                          connect, so that renewed ones count for the next connection; they must stay readable.",
        },
        set: |options, value| {
            options.tls.ca = path(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "tls_cert_file",
            default: "",
            values: "a path, or nothing",
            description: "For rediss://: a PEM file with the certificate (chain) that this client shows. Goes with \
                          tls_key_file.",
        },
        set: |options, value| {
            options.tls.certificate = path(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "tls_key_file",
            default: "",
            values: "a path, or nothing",
            description: "For rediss://: a PEM file with the private key of tls_cert_file.",
        },
        set: |options, value| {
            options.tls.key = path(value)?;
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "tls_server_name",
            default: "",
            values: "a host name, an IP address, or nothing",
            description: "For rediss://: the name that servers are asked for (SNI) and that their certificates must bear. \
                          Without it that is the host of each URL. For nodes that are reached through a tunnel, or by \
                          addresses that are not in their certificates.",
        },
        set: |options, value| {
            options.tls.server_name = match value {
                "" => None,
                name => Some(tls::server_name(name).ok_or(NotAllowed)?),
            };
            Ok(())
        },
    },
    Row {
        info: OptionInfo {
            name: "tls_verify",
            default: "full",
            values: "full, ca, none",
            description: "For rediss://: what of a server's certificate is verified. `full`: who issued it, when it is \
                          valid, and its name. `ca`: all but the name; with the system's roots that is anybody's. `none`: \
                          nothing, so that whoever is in between can read passwords and forge answers; a warning is \
                          logged.",
        },
        set: |options, value| {
            options.tls.verify = match value {
                "full" => Verify::Full,
                "ca" => Verify::Ca,
                "none" => Verify::None,
                _ => return Err(NotAllowed),
            };
            Ok(())
        },
    },
];

fn milliseconds(value: &str) -> std::result::Result<u64, NotAllowed> {
    match value.parse() {
        Ok(ms) if (1..=DAY_MS).contains(&ms) => Ok(ms),
        _ => Err(NotAllowed),
    }
}

fn path(value: &str) -> std::result::Result<Option<PathBuf>, NotAllowed> {
    Ok((!value.is_empty()).then(|| PathBuf::from(value)))
}

impl Default for Options {
    fn default() -> Options {
        Options {
            settings: Settings {
                node_timeout_ms: None,
                connect_timeout_ms: 1_000,
                busy_poll_us: 80,
                retry_min_ms: 2,
                retry_max_ms: 50,
                max_ttl_ms: 120_000,
                key_prefix: "".into(),
                fencing: true,
                fair: true,
                fair_grace_ms: 50,
                restart_guard: RestartGuard::Auto,
                nodes_persist: false,
                ballot_clock_offset_ms: 0,
                ballot_retention_ms: DAY_MS,
            },
            tls: TlsOptions::default(),
            protocol: Protocol::Auto,
            password_file: None,
            ask_credentials: false,
        }
    }
}

impl Options {
    /// Every option at its default.
    pub fn new() -> Options {
        Options::default()
    }

    /// Sets one option by its name. An unknown name, or a value that is not allowed, is an
    /// [`InvalidArgument`](crate::Status::InvalidArgument) that says what is allowed; nothing is changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(row) = TABLE.iter().find(|row| row.info.name == name) else {
            let names: Vec<_> = TABLE.iter().map(|row| row.info.name).collect();
            return Err(Error::invalid(format!(
                "there is no option {}; the options are {}",
                quoted(name),
                names.join(", ")
            )));
        };
        (row.set)(self, value).map_err(|_| {
            Error::invalid(format!(
                "option {name} can't be {}; allowed is: {}",
                quoted(value),
                row.info.values
            ))
        })
    }

    /// All options, for documentation and for bindings.
    pub fn table() -> &'static [OptionInfo] {
        static INFOS: Lazy<Vec<OptionInfo>> =
            Lazy::new(|| TABLE.iter().map(|row| row.info).collect());
        &INFOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_set_and_is_the_default() {
        for row in TABLE {
            let mut options = Options::new();
            options.set(row.info.name, row.info.default).unwrap();
            assert_eq!(format!("{options:?}"), format!("{:?}", Options::new()));
        }
    }

    #[test]
    fn what_is_not_allowed_is_named_and_changes_nothing() {
        let mut options = Options::new();
        for (name, value) in [
            ("node_timeout_ms", "0"),
            ("node_timeout_ms", "-1"),
            ("node_timeout_ms", "soon"),
            ("connect_timeout_ms", "99999999999999999999"),
            ("protocol", "RESP3"),
        ] {
            let error = options.set(name, value).unwrap_err();
            assert!(error.message().contains(name), "{error}");
            assert!(error.message().contains("allowed"), "{error}");
        }
        let error = options.set("node_timeout", "5").unwrap_err();
        assert!(error.message().contains("node_timeout_ms"), "{error}");
        assert_eq!(format!("{options:?}"), format!("{:?}", Options::new()));
    }
}
