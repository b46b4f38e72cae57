//! The set-up of a connection as a state machine: from HELLO to a server that is examined and has the scripts.
//!
//! It performs no I/O and has no clock: whoever has the socket passes bytes and time in and takes bytes out. The commands
//! leave in two flights, each of which is answered before the next one leaves:
//!
//! 1. *Greeting*: HELLO, the server's time, INFO, and what else tells who it is. Where HELLO is refused, the same follows
//!    once more behind AUTH, over RESP2.
//! 2. *Preparing*: the subscription, the witness, the scripts, and the end of the connection that this one replaces. It
//!    needs the greeting, for the scripts carry the server's run id.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, InfoDict, cmd};

use super::command::{Scripts, Terms};
use super::config::{Login, NodeConfig, Protocol};
use super::resp::{self, Reply};
use super::secret::Secret;
use super::text::{RunId, ServerText};
use super::wire::{Wire, WireError};
use crate::error::Status;
use crate::protocol::rules::ballot::ClockOffset;
use crate::time::{MILLISECOND, Nanos};

/// The most that a server may send during the set-up, in bytes: INFO has some ten thousand.
pub(crate) const MAX_RECEIVED: usize = 1024 * 1024;

/// The key that permissions are tried on, behind the key prefix. Nobody has it.
const PROBE_KEY: &str = "libredlock:probe";

/// The first byte of a TLS alert.
const TLS_ALERT: u8 = 0x15;

/// What servers call their roles, how an append-only file is synced, and what is evicted: the words of Redis, which are no
/// quotations of anything.
const ROLES: [&str; 4] = ["master", "slave", "replica", "active-replica"];
const SYNCS: [&str; 3] = ["always", "everysec", "no"];
const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// What a server said about itself. `None` is what it would not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServerInfo {
    /// "Redis" or "Valkey".
    pub(crate) product: &'static str,
    /// The version of that product, empty if unknown.
    pub(crate) version: ServerText,
    /// Names this start of the server: another after every restart.
    pub(crate) run_id: Option<RunId>,
    /// "master"; a replica is never set up.
    pub(crate) role: Option<ServerText>,
    /// Seconds since the start, by the server's wall clock.
    pub(crate) uptime_s: Option<u64>,
    /// Always false: a server that is still loading is never set up.
    pub(crate) loading: bool,
    /// Whether there is an append-only file (INFO does not tell how often it is synced).
    pub(crate) aof_enabled: bool,
    /// What the server evicts when its memory is full.
    pub(crate) maxmemory_policy: Option<ServerText>,
    /// The server's number for this connection; only together with the run id does it mean anything.
    pub(crate) client_id: Option<i64>,
    /// Whether the connection speaks RESP3.
    pub(crate) resp3: bool,
    /// Why INFO was refused.
    pub(crate) info_error: Option<ServerText>,
    /// Whether some client found this boot old enough to vote, or an operator vouched for it.
    pub(crate) witnessed: bool,
    /// How often the append-only file is synced, if the user may ask.
    pub(crate) appendfsync: Option<ServerText>,
    /// Why CLIENT KILL was refused, by which a connection that was given up is ended on the server.
    pub(crate) kill_refused: Option<ServerText>,
    /// The server's clock, in us since 1970, if the user may ask; and ours at that moment, which is half way between the
    /// question and its answer.
    pub(crate) time_us: Option<u64>,
    pub(crate) time_at: Nanos,
    /// When its answer arrived.
    pub(crate) time_told_at: Nanos,
    /// The socket address or path that was reached.
    pub(crate) peer: String,
    /// From the greeting to the server's time.
    pub(crate) round_trip: Duration,
}

impl ServerInfo {
    /// What the server's clock shows more than ours.
    pub(crate) fn clock_offset(&self) -> Option<ClockOffset> {
        let time = self.time_us? as i64;
        Some(ClockOffset {
            least: time - (self.time_told_at / 1000) as i64,
            likely: time - (self.time_at / 1000) as i64,
        })
    }

    /// Whether every write is on disk before it is answered, so that a restart forgets nothing.
    pub(crate) fn persists_every_write(&self) -> bool {
        self.aof_enabled && self.appendfsync.as_deref() == Some("always")
    }

    /// Whether it tells that it may lose a write that it has answered.
    pub(crate) fn may_forget(&self) -> bool {
        let syncs = self.appendfsync.as_deref();
        self.info_error.is_none() && (!self.aof_enabled || syncs.is_some_and(|it| it != "always"))
    }

    /// Why the uptime is not known, for people.
    pub(crate) fn no_uptime(&self) -> &str {
        self.info_error.as_deref().unwrap_or("no uptime in INFO")
    }

    /// What survives a restart, for people.
    pub(crate) fn persistence(&self) -> &'static str {
        match (self.persists_every_write(), self.aof_enabled) {
            (true, _) => "persists every write",
            (false, true) => "persists, but may lose the last writes",
            (false, false) => "no append-only file",
        }
    }
}

/// The connection that the new one replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superseded {
    /// The server's run id then.
    pub(crate) run_id: RunId,
    /// Its number for the connection.
    pub(crate) client_id: i64,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetupError {
    /// `Unreachable`: no connection, or it broke. `Timeout`: connected, but no answer. `Server`: it refused.
    /// `NotAdmitted`: it must not vote.
    pub(crate) kind: Status,
    /// The reason, without the node's address and without secrets.
    pub(crate) message: String,
}

impl SetupError {
    pub(crate) fn new(kind: Status, message: impl Into<String>) -> SetupError {
        SetupError {
            kind,
            message: message.into(),
        }
    }
}

/// How far the set-up has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The present flight is not answered yet.
    Waiting,
    /// It is, and the next one is to be sent.
    NextFlight,
    /// The connection is ready for locks.
    Done(Box<Ready>),
}

/// What a set-up leaves to the connection's further life.
#[derive(Debug)]
pub(crate) struct Ready {
    /// With whatever has arrived beyond the last answer of the set-up.
    pub(crate) wire: Wire,
    /// Who is at the other end.
    pub(crate) server: ServerInfo,
    /// The scripts as this boot of the server has them.
    pub(crate) scripts: Scripts,
    /// What the server knows and no text of it may show.
    pub(crate) password: Option<Secret>,
}

/// A command whose reply is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    SetName,
    Time,
    Info,
    ClientId,
    Ping,
    Select,
    Subscribe,
    Witness,
    AppendFsync,
    /// The n-th script.
    Load(usize),
    /// Has the server learn the probe; and probes.
    LearnProbe,
    Probe,
    Kill,
}

impl Step {
    /// Whether a reply is of a kind that this command can have. Otherwise the stream is not in step, and an answer could be
    /// taken for that of another command: the last of them for one about a lock.
    fn may_have(self, reply: Reply<'_>) -> bool {
        match (self, reply) {
            (_, Reply::Error(_)) => true,
            (Step::ClientId | Step::Kill, reply) => matches!(reply, Reply::Integer(_)),
            (Step::SetName, reply) => reply == Reply::Status(b"OK"),
            (Step::AppendFsync, reply) => matches!(reply, Reply::Map(_) | Reply::Array(_)),
            // The others look at theirs.
            _ => true,
        }
    }

    /// For people.
    fn name(self) -> &'static str {
        match self {
            Step::Hello => "HELLO",
            Step::Auth => "AUTH",
            Step::SetName => "CLIENT SETNAME",
            Step::Time => "TIME",
            Step::Info => "INFO",
            Step::ClientId => "CLIENT ID",
            Step::Ping => "PING",
            Step::Select => "SELECT",
            Step::Subscribe => "SUBSCRIBE",
            Step::Witness => "SCRIPT EXISTS",
            Step::AppendFsync => "CONFIG GET",
            Step::Load(_) => "SCRIPT LOAD",
            Step::LearnProbe => "EVAL",
            Step::Probe => "EVALSHA",
            Step::Kill => "CLIENT KILL",
        }
    }
}

/// Which flight is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    /// The greeting behind HELLO.
    Hello,
    /// HELLO was refused: what comes behind it is read over.
    Refused,
    /// The greeting behind AUTH.
    Auth,
    Preparing,
}

/// A set-up under way.
#[derive(Debug)]
pub(crate) struct Setup {
    wire: Wire,
    dialogue: Dialogue,
    /// How many bytes have arrived.
    received: usize,
}

/// All but the bytes, which replies borrow from.
#[derive(Debug)]
struct Dialogue {
    config: Arc<NodeConfig>,
    /// What it has said of a password counts for this connection, whatever is given meanwhile.
    login: Login,
    terms: Terms,
    superseded: Option<Superseded>,
    flight: Flight,
    due: VecDeque<Step>,
    /// When the present flight was packed.
    packed_at: Nanos,
    server: ServerInfo,
    mode: Option<&'static str>,
    scripts: Option<Scripts>,
    /// The last reply, if it was an error: a server that hangs up has said why.
    last_refusal: Option<SetupError>,
    /// By this number the last answers are known.
    nonce: u64,
}

impl Setup {
    /// Begins a set-up; its first flight is to be sent. `nonce` is a number that nobody can foresee.
    ///
    /// If `superseded` is a connection to the same start of the server, it is ended there: what it still had in the
    /// server's buffer must not be executed after what the new one sends.
    pub(crate) fn new(
        config: Arc<NodeConfig>,
        login: Login,
        terms: Terms,
        superseded: Option<Superseded>,
        now: Nanos,
        nonce: u64,
    ) -> Setup {
        let mut setup = Setup {
            wire: Wire::default(),
            dialogue: Dialogue {
                flight: match config.protocol {
                    Protocol::Resp2 => Flight::Auth,
                    _ => Flight::Hello,
                },
                config,
                login,
                terms,
                superseded,
                due: VecDeque::new(),
                packed_at: now,
                server: ServerInfo {
                    product: "Redis",
                    ..ServerInfo::default()
                },
                mode: None,
                scripts: None,
                last_refusal: None,
                nonce,
            },
            received: 0,
        };
        setup.dialogue.greet(setup.wire.output(), now);
        setup
    }

    /// What is to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.wire.unsent()
    }

    /// So many bytes of it were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.wire.sent(count);
    }

    /// Room for bytes from the server.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.wire.room()
    }

    /// So many bytes of it were filled at this time.
    pub(crate) fn received(&mut self, count: usize, now: Nanos) -> Result<Progress, SetupError> {
        self.received += count;
        self.wire.received(count);
        if self.received > MAX_RECEIVED {
            let message = "the server sends more than 1 MiB before the connection is set up";
            return Err(SetupError::new(Status::Unreachable, message));
        }
        let Setup { wire, dialogue, .. } = self;
        loop {
            let first = wire.first();
            match wire.next_reply() {
                Ok(Some(reply)) => dialogue.take(reply, now)?,
                Ok(None) => break,
                Err(error) => return Err(dialogue.garbage(error, first)),
            }
            if dialogue.due.is_empty() {
                // What is left is the next flight's, or the connection's.
                break;
            }
        }
        wire.compact();
        match dialogue.due.is_empty() {
            false => Ok(Progress::Waiting),
            true => self.advance(now),
        }
    }

    fn advance(&mut self, now: Nanos) -> Result<Progress, SetupError> {
        let dialogue = &mut self.dialogue;
        match dialogue.flight {
            Flight::Refused => {
                dialogue.flight = Flight::Auth;
                dialogue.greet(self.wire.output(), now);
            }
            Flight::Hello | Flight::Auth => {
                dialogue.flight = Flight::Preparing;
                dialogue.prepare(self.wire.output(), now);
            }
            Flight::Preparing => return Ok(self.done()),
        }
        Ok(Progress::NextFlight)
    }

    fn done(&mut self) -> Progress {
        let dialogue = &mut self.dialogue;
        let run_id = dialogue.server.run_id.as_deref().unwrap_or_default();
        let terms = &dialogue.terms;
        let made = dialogue.scripts.take();
        Progress::Done(Box::new(Ready {
            wire: std::mem::take(&mut self.wire),
            scripts: made.unwrap_or_else(|| Scripts::for_boot(run_id, terms.clone())),
            server: std::mem::take(&mut dialogue.server),
            password: dialogue.login.password.take(),
        }))
    }

    /// The command whose answer is awaited, for people.
    pub(crate) fn awaits(&self) -> &'static str {
        self.dialogue.awaits()
    }

    /// A flight was not answered within the time that it had.
    pub(crate) fn overdue(&self, timeout: Nanos) -> SetupError {
        SetupError::new(
            Status::Timeout,
            format!(
                "connected, but no answer to {} within {} ms (connect_timeout_ms)",
                self.awaits(),
                timeout / MILLISECOND
            ),
        )
    }

    /// The connection is broken, for the reason that the operating system gives.
    pub(crate) fn broken(&self, reason: &str) -> SetupError {
        let message = format!("{} failed: {reason}", self.awaits());
        SetupError::new(Status::Unreachable, message)
    }

    /// The server closed the connection.
    pub(crate) fn closed(&self, is_plain: bool) -> SetupError {
        if let Some(refusal) = &self.dialogue.last_refusal {
            return refusal.clone();
        }
        // What else a server may be that takes a connection and hangs up on the first command; or on another one.
        let what = self.awaits();
        let hint = match (self.received, what) {
            (0, "HELLO") if is_plain => {
                " (for a TLS port use rediss://; for a proxy that does not know HELLO, protocol=resp2)"
            }
            (0, _) if is_plain => " (for a TLS port use rediss://)",
            (0, _) => "",
            _ => " (a proxy may not pass that command on)",
        };
        SetupError::new(
            Status::Unreachable,
            format!("the server closed the connection instead of answering {what}{hint}"),
        )
    }
}

impl Dialogue {
    fn awaits(&self) -> &'static str {
        self.due
            .front()
            .map_or("the last command", |step| step.name())
    }

    fn send(&mut self, out: &mut Vec<u8>, step: Step, command: &Cmd) {
        out.extend(command.get_packed_command());
        self.due.push_back(step);
    }

    // ---- what is sent ----

    /// Agrees on the protocol, proves who we are, and asks who is there.
    fn greet(&mut self, out: &mut Vec<u8>, now: Nanos) {
        self.packed_at = now;
        match self.flight {
            Flight::Hello => self.send(out, Step::Hello, &hello(&self.login)),
            _ => {
                if let Some(auth) = auth(&self.login) {
                    self.send(out, Step::Auth, &auth);
                }
            }
        }
        self.send(out, Step::Time, &cmd("TIME"));
        self.send(out, Step::SetName, &set_name());
        self.send(out, Step::Info, &cmd("INFO"));
        self.send(out, Step::ClientId, &client_id());
        self.send(out, Step::Ping, &cmd("PING"));
        // Only where needed: a new connection is in database 0, and the user may not be allowed to say so.
        if self.config.database != 0 {
            self.send(out, Step::Select, &select(self.config.database));
        }
    }

    /// Subscribes, loads the scripts, and learns what needs more than INFO. A user who may not do some of this can still
    /// take locks.
    fn prepare(&mut self, out: &mut Vec<u8>, now: Nanos) {
        self.packed_at = now;
        if !self.server.resp3 {
            self.terms.channel = "".into();
        }
        if !self.terms.channel.is_empty() {
            let mut command = cmd("SUBSCRIBE");
            command.arg(&*self.terms.channel);
            self.send(out, Step::Subscribe, &command);
        }
        let run_id = self.server.run_id.as_deref().unwrap_or_default();
        let mut scripts = Scripts::for_boot(run_id, self.terms.clone());
        scripts.are_known = true;
        self.send(out, Step::Witness, &script_exists(&scripts.witness.digest));
        self.send(out, Step::AppendFsync, &appendfsync());
        for (index, script) in scripts.to_load().into_iter().enumerate() {
            self.send(out, Step::Load(index), &script_load(&script.text));
        }
        let key = format!("{}{PROBE_KEY}", self.terms.key_prefix);
        self.send(out, Step::Kill, &client_kill(self.to_be_killed()));
        // The last replies are texts that only these two questions have: a stream that is out of step, by a reply too many or
        // too few, is noticed here. Either EVAL or SCRIPT LOAD is enough to have scripts.
        for (step, script) in [
            (Step::LearnProbe, &scripts.probe.text),
            (Step::Probe, &scripts.probe.digest),
        ] {
            let probe = script_call(step.name(), script, &key, &self.mark(step));
            self.send(out, step, &probe);
        }
        self.scripts = Some(scripts);
    }

    /// What the answer to this step of the set-up begins with, and no other answer of this or any other connection.
    fn mark(&self, step: Step) -> String {
        format!("{:016x} {} ", self.nonce, step.name())
    }

    /// The rest of a text that begins with the step's mark.
    fn marked<'a>(&self, step: Step, reply: Reply<'a>) -> Result<&'a [u8], SetupError> {
        match reply {
            Reply::Bulk(text) => text.strip_prefix(self.mark(step).as_bytes()),
            _ => None,
        }
        .ok_or_else(|| unexpected(step.name()))
    }

    /// The connection that this one replaces; or one that there is not, to learn whether it would be allowed. Never one of
    /// before a restart, as the numbers begin anew then.
    fn to_be_killed(&self) -> i64 {
        let same_start = |old: &&Superseded| self.server.run_id.as_deref() == Some(&*old.run_id);
        let other = |old: &&Superseded| self.server.client_id != Some(old.client_id);
        let old = self.superseded.as_ref().filter(same_start).filter(other);
        old.map_or(i64::MAX, |old| old.client_id)
    }

    // ---- what comes back ----

    fn take(&mut self, reply: Reply<'_>, now: Nanos) -> Result<(), SetupError> {
        if let Reply::Push(elements) = reply {
            return self.take_push(elements);
        }
        let Some(step) = self.due.pop_front() else {
            return Err(self.garbage(WireError::Unrelated, None));
        };
        self.last_refusal = match reply {
            Reply::Error(text) => Some(self.server_error(text)),
            _ => None,
        };
        if self.flight == Flight::Refused {
            return Ok(());
        }
        if !step.may_have(reply) {
            return Err(unexpected(step.name()));
        }
        match step {
            Step::Hello => self.take_hello(reply),
            Step::Auth => self.expect_ok("AUTH", reply),
            Step::Time => self.take_time(reply, now),
            Step::Info => self.take_info(reply),
            Step::ClientId => {
                if let Reply::Integer(id) = reply {
                    self.server.client_id = self.server.client_id.or(Some(id));
                }
                Ok(())
            }
            Step::Ping => self.take_ping(reply),
            Step::Select => self.take_select(reply),
            // So that CLIENT LIST tells an operator whose connection it is; whether it succeeds does not matter.
            Step::SetName => Ok(()),
            Step::Subscribe => self.take_no_subscription(reply),
            Step::Witness => self.take_witness(reply),
            Step::AppendFsync => {
                if let Reply::Map(pair) | Reply::Array(pair) = reply {
                    let value = resp::elements(pair).nth(1).and_then(text_of);
                    self.server.appendfsync = value.map(|text| self.word(text, &SYNCS));
                }
                Ok(())
            }
            Step::Load(index) => self.take_loaded(index, reply),
            Step::LearnProbe => match reply {
                Reply::Error(_) => Ok(()),
                reply => self.marked(step, reply).map(|_| ()),
            },
            Step::Probe => self.take_probe(reply),
            Step::Kill => {
                // Some servers say of a connection that is gone already that there is none.
                if let Reply::Error(text) = reply
                    && !text.starts_with(b"ERR No such client")
                {
                    self.server.kill_refused = Some(self.words(text));
                }
                Ok(())
            }
        }
    }

    /// A subscription is confirmed by a push. Other pushes are calls, which are hints only: nobody misses them.
    fn take_push(&mut self, push: &[u8]) -> Result<(), SetupError> {
        if !self.server.resp3 {
            return Err(self.garbage(WireError::Unrelated, None));
        }
        let mut parts = resp::elements(push);
        let is_confirmation = parts.next() == Some(Reply::Bulk(b"subscribe"))
            && parts.next() == Some(Reply::Bulk(self.terms.channel.as_bytes()));
        if is_confirmation && self.due.front() == Some(&Step::Subscribe) {
            self.due.pop_front();
        }
        Ok(())
    }

    fn take_no_subscription(&mut self, reply: Reply<'_>) -> Result<(), SetupError> {
        let Reply::Error(_) = reply else {
            return Err(self.garbage(WireError::Unrelated, None));
        };
        if let Some(scripts) = &mut self.scripts {
            scripts.channel = "".into();
        }
        Ok(())
    }

    fn take_hello(&mut self, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Map(pairs) | Reply::Array(pairs) => {
                self.take_greeting(pairs);
                Ok(())
            }
            Reply::Error(text) if !self.may_do_without_hello(text) => Err(self.server_error(text)),
            Reply::Error(text) if self.config.protocol == Protocol::Resp3 => {
                let words = self.words(text);
                let message = format!("RESP3 was asked for, but HELLO is refused: {words}");
                Err(SetupError::new(Status::Server, message))
            }
            Reply::Error(_) => {
                self.flight = Flight::Refused;
                Ok(())
            }
            _ => Err(unexpected("HELLO")),
        }
    }

    /// Whether AUTH may do what HELLO was refused for. Servers, users and proxies that have no HELLO say so in many ways.
    fn may_do_without_hello(&self, text: &[u8]) -> bool {
        match code_of(text) {
            b"WRONGPASS" | b"LOADING" | b"MASTERDOWN" => false,
            // Said by a proxy that has no HELLO, too.
            b"NOAUTH" => self.login.password.is_some(),
            _ => true,
        }
    }

    fn take_greeting(&mut self, pairs: &[u8]) {
        let mut parts = resp::elements(pairs);
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            let Reply::Bulk(key) = key else { continue };
            match key {
                b"version" => {
                    let version = text_of(value).map(|text| self.version(text));
                    self.server.version = version.unwrap_or_default();
                }
                b"proto" => self.server.resp3 = value == Reply::Integer(3),
                b"id" => self.server.client_id = integer_of(value),
                b"mode" => self.mode = text_of(value).and_then(mode_of),
                b"role" => {
                    self.server.role = text_of(value).map(|text| self.word(text, &ROLES));
                }
                _ => {}
            }
        }
    }

    fn take_time(&mut self, reply: Reply<'_>, now: Nanos) -> Result<(), SetupError> {
        self.server.round_trip = Duration::from_nanos(now.saturating_sub(self.packed_at));
        match reply {
            Reply::Array(parts) => {
                let time = resp::time(parts).ok_or_else(|| unexpected("TIME"))?;
                self.server.time_us = Some(time);
                self.server.time_told_at = now;
                // The server looked at its clock some time between: on a link that is as fast in both directions, half way.
                self.server.time_at = self.packed_at + now.saturating_sub(self.packed_at) / 2;
                Ok(())
            }
            Reply::Error(_) => Ok(()),
            _ => Err(unexpected("TIME")),
        }
    }

    fn take_info(&mut self, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Error(text) => self.server.info_error = Some(self.words(text)),
            Reply::Bulk(text) => {
                let info = InfoDict::new(&String::from_utf8_lossy(text));
                self.read_info(&info);
                self.refuse_replica(&info)?;
            }
            _ => return Err(unexpected("INFO")),
        }
        self.refuse_unsuitable()
    }

    fn refuse_replica(&mut self, info: &InfoDict) -> Result<(), SetupError> {
        if self.server.role.as_deref() != Some("slave") {
            return Ok(());
        }
        let master = match (text_in(info, "master_host"), info.get::<u16>("master_port")) {
            (Some(host), Some(port)) => {
                let host = self.words(host.as_bytes());
                format!(" of {host}:{port}")
            }
            _ => String::new(),
        };
        Err(not_admitted(format!(
            "the server is a replica{master}: give the master's address"
        )))
    }

    /// Refuses what is no master that answers for its data.
    fn refuse_unsuitable(&self) -> Result<(), SetupError> {
        if self.mode == Some("sentinel") {
            return Err(not_admitted(
                "the server is a Sentinel: give the master's own address",
            ));
        }
        if self.mode == Some("cluster") {
            return Err(not_admitted(
                "the server is in cluster mode, where a lock and those who wait for it may be on different masters: give \
                 masters outside of a cluster",
            ));
        }
        if matches!(
            self.server.role.as_deref(),
            Some("slave" | "replica" | "active-replica")
        ) {
            return Err(not_admitted(
                "the server is a replica: give the address of a master that takes its data from no other server",
            ));
        }
        if self.terms.fencing && self.is_too_old_for_fences() {
            return Err(not_admitted(format!(
                "{} {} has no command to accept a fence by: use Redis 6.2 or later, or set fencing=off",
                self.server.product, self.server.version
            )));
        }
        if self.server.loading {
            return Err(not_admitted("the server is loading its data set"));
        }
        Ok(())
    }

    /// ZADD with GT came with 6.2. Valkey began later than that.
    fn is_too_old_for_fences(&self) -> bool {
        let mut parts = self.server.version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
            _ => false,
        }
    }

    /// A user without permission to PING is told so by a server that is alive.
    fn take_ping(&self, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Status(b"PONG") => Ok(()),
            Reply::Error(text) if code_of(text) == b"NOPERM" => Ok(()),
            Reply::Error(text) => Err(self.server_error(text)),
            _ => Err(unexpected("PING")),
        }
    }

    fn take_select(&self, reply: Reply<'_>) -> Result<(), SetupError> {
        self.expect_ok("SELECT", reply).map_err(|mut refusal| {
            if refusal.kind == Status::Server {
                let database = self.config.database;
                refusal.message = format!("cannot use database {database}: {}", refusal.message);
            }
            refusal
        })
    }

    fn expect_ok(&self, what: &str, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Status(b"OK") => Ok(()),
            Reply::Error(text) => Err(self.server_error(text)),
            _ => Err(unexpected(what)),
        }
    }

    fn take_witness(&mut self, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Array(parts) => {
                let is_there = resp::elements(parts).next() == Some(Reply::Integer(1));
                // Without a run id nothing ties the witness to this boot.
                self.server.witnessed = is_there && self.server.run_id.is_some();
            }
            Reply::Error(_) => self.scripts_are_unknown(),
            _ => return Err(unexpected("SCRIPT EXISTS")),
        }
        Ok(())
    }

    fn take_loaded(&mut self, index: usize, reply: Reply<'_>) -> Result<(), SetupError> {
        match reply {
            Reply::Error(_) => self.scripts_are_unknown(),
            Reply::Bulk(digest) if self.is_digest(index, digest) => {}
            _ => return Err(unexpected("SCRIPT LOAD")),
        }
        Ok(())
    }

    /// A user who can't give locks back gets none: whoever it shares them with would wait for the end of their TTLs.
    fn take_probe(&self, reply: Reply<'_>) -> Result<(), SetupError> {
        let refusal = match reply {
            Reply::Error(text) if !is_lack_of_permission(text) && code_of(text) != b"NOSCRIPT" => {
                return Ok(());
            }
            Reply::Error(text) if code_of(text) == b"NOSCRIPT" => {
                b"neither EVAL nor SCRIPT LOAD is permitted"
            }
            Reply::Error(text) => text,
            reply => match self.marked(Step::Probe, reply)? {
                text if is_lack_of_permission(text) => text,
                _ => return Ok(()),
            },
        };
        let words = self.words(refusal);
        Err(SetupError::new(
            Status::Server,
            format!(
                "the URL's user lacks a permission by which locks are given back and extended: {words}"
            ),
        ))
    }

    fn is_digest(&self, index: usize, digest: &[u8]) -> bool {
        let scripts = self.scripts.as_ref();
        scripts.is_some_and(|scripts| scripts.to_load()[index].digest.as_bytes() == digest)
    }

    fn scripts_are_unknown(&mut self) {
        if let Some(scripts) = &mut self.scripts {
            scripts.are_known = false;
        }
    }

    // ---- what went wrong ----

    fn garbage(&self, error: WireError, first: Option<u8>) -> SetupError {
        let message = match (error, first) {
            (WireError::Malformed, Some(TLS_ALERT)) => {
                "answered with a TLS alert: for a TLS port use rediss://".to_owned()
            }
            (WireError::Malformed, _) => format!(
                "the answer to {} is not the Redis protocol: is this a Redis server?",
                self.awaits()
            ),
            _ => error.message().to_owned(),
        };
        SetupError::new(Status::Unreachable, message)
    }

    /// The server's own words, without secrets.
    fn words(&self, text: &[u8]) -> ServerText {
        ServerText::new(text, self.login.password.as_ref())
    }

    /// A server's text that is most likely one of the words that all servers have.
    fn word(&self, text: &[u8], known: &[&'static str]) -> ServerText {
        ServerText::one_of(known, text, self.login.password.as_ref())
    }

    fn version(&self, text: &[u8]) -> ServerText {
        ServerText::version(text, self.login.password.as_ref())
    }

    fn read_info(&mut self, info: &InfoDict) {
        let version = |key| Some(self.version(text_in(info, key)?.as_bytes()));
        let word = |key, known| Some(self.word(text_in(info, key)?.as_bytes(), known));
        let is_on = |key| text_in(info, key).is_some_and(|value| value == "1");
        let (valkey, redis) = (version("valkey_version"), version("redis_version"));
        let (role, policy) = (word("role", &ROLES), word("maxmemory_policy", &POLICIES));
        let server = &mut self.server;
        if let Some(version) = valkey {
            server.product = "Valkey";
            server.version = version;
        } else if let Some(version) = redis {
            server.version = version;
        }
        server.run_id = text_in(info, "run_id").and_then(|id| RunId::new(id.as_bytes()));
        server.role = role.or(server.role.take());
        // By the server's wall clock: one that was set back since the start makes it negative.
        server.uptime_s = info
            .get::<i64>("uptime_in_seconds")
            .map(|uptime| u64::try_from(uptime).unwrap_or(0));
        server.loading = is_on("loading");
        server.aof_enabled = is_on("aof_enabled");
        server.maxmemory_policy = policy;
        if let Some(mode) = text_in(info, "redis_mode") {
            self.mode = mode_of(mode.as_bytes());
        }
    }

    /// What an error reply means for the connection.
    fn server_error(&self, text: &[u8]) -> SetupError {
        let words = self.words(text);
        let (kind, message) = match code_of(text) {
            b"NOAUTH" => (
                Status::Server,
                format!("the server asks for a password, give it in the URL: {words}"),
            ),
            b"WRONGPASS" => (
                Status::Server,
                format!("the server refused the URL's user or password: {words}"),
            ),
            b"NOPERM" => (
                Status::Server,
                format!("the URL's user lacks a permission: {words}"),
            ),
            b"LOADING" => (
                Status::NotAdmitted,
                "the server is loading its data set".to_owned(),
            ),
            b"MASTERDOWN" => (
                Status::NotAdmitted,
                "the server is a replica without its master".to_owned(),
            ),
            _ => (Status::Server, words.to_string()),
        };
        SetupError::new(kind, message)
    }
}

/// Whether an error says that a command or key is not permitted, or that there is no such command. Others, such as for want of
/// memory, may be over by the time that a lock is given back.
fn is_lack_of_permission(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    [
        "noperm",
        "no permission",
        "unknown command",
        "unknown redis command",
        "can't run this command",
        "can't access",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// The first word of an error, which says of which kind it is.
fn code_of(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b' ');
    &text[..end.unwrap_or(text.len())]
}

fn text_of(value: Reply<'_>) -> Option<&[u8]> {
    match value {
        Reply::Bulk(text) | Reply::Status(text) => Some(text),
        _ => None,
    }
}

/// The mode of a server, if it is one in which it is no master like others.
fn mode_of(text: &[u8]) -> Option<&'static str> {
    ["sentinel", "cluster"]
        .into_iter()
        .find(|mode| mode.as_bytes() == text)
}

fn integer_of(value: Reply<'_>) -> Option<i64> {
    match value {
        Reply::Integer(number) => Some(number),
        _ => None,
    }
}

fn unexpected(command: &str) -> SetupError {
    SetupError::new(
        Status::Server,
        format!("the answer to {command} is not a Redis server's"),
    )
}

fn not_admitted(message: impl Into<String>) -> SetupError {
    SetupError::new(Status::NotAdmitted, message)
}

/// A text in INFO, if it is there and not empty.
fn text_in(info: &InfoDict, key: &str) -> Option<String> {
    let text = info.get::<String>(key)?;
    (!text.is_empty()).then_some(text)
}

fn hello(login: &Login) -> Cmd {
    let mut hello = cmd("HELLO");
    hello.arg(3);
    if let Some((user, password)) = credentials(login) {
        hello
            .arg("AUTH")
            .arg(user.unwrap_or("default"))
            .arg(password);
    }
    hello
}

/// With one argument if there is no user: all that servers before 6.0 know.
fn auth(login: &Login) -> Option<Cmd> {
    let (user, password) = credentials(login)?;
    let mut auth = cmd("AUTH");
    if let Some(user) = user {
        auth.arg(user);
    }
    auth.arg(password);
    Some(auth)
}

/// A user without a password is one that the server lets in with any (`nopass`).
fn credentials(login: &Login) -> Option<(Option<&str>, &str)> {
    let password = login.password.as_ref().map(|secret| secret.reveal());
    match (login.user.as_deref(), password) {
        (None, None) => None,
        (user, password) => Some((user, password.unwrap_or_default())),
    }
}

fn set_name() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("SETNAME").arg("libredlock");
    command
}

fn client_id() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("ID");
    command
}

fn client_kill(id: i64) -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("KILL").arg("ID").arg(id);
    command
}

fn select(database: i64) -> Cmd {
    let mut command = cmd("SELECT");
    command.arg(database);
    command
}

fn script_exists(digest: &str) -> Cmd {
    let mut command = cmd("SCRIPT");
    command.arg("EXISTS").arg(digest);
    command
}

fn script_load(script: &str) -> Cmd {
    let mut command = cmd("SCRIPT");
    command.arg("LOAD").arg(script);
    command
}

fn script_call(verb: &str, script: &str, key: &str, argument: &str) -> Cmd {
    let mut command = cmd(verb);
    command.arg(script).arg(1).arg(key).arg(argument);
    command
}

fn appendfsync() -> Cmd {
    let mut command = cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    command
}
