//! The set-up of a connection: from an address to a server that is greeted, examined and has the scripts.
//!
//! Everything here waits, with ordinary blocking code: it runs on a thread of its own, never on the I/O thread.

mod connect;
mod dialogue;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use redis::{Cmd, InfoDict, Value, cmd};
use rustls::{AlertDescription, CertificateError};

use self::dialogue::{Deadline, Dialogue, legible};
use super::address::{Address, Protocol};
use super::command::{Scripts, Terms};
use super::stream::Stream;
use crate::clock::{self, Nanos};
use crate::error::Status;

/// A connection that is ready for commands.
#[derive(Debug)]
pub(crate) struct Established {
    /// The stream, non-blocking, with nothing outstanding in either direction.
    pub(crate) stream: Stream,
    /// Who is at the other end.
    pub(crate) server: ServerInfo,
    /// The scripts as this boot of the server has them.
    pub(crate) scripts: Scripts,
}

/// What a server said about itself. `None` is what it would not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServerInfo {
    /// "Redis" or "Valkey".
    pub(crate) product: &'static str,
    /// The version of that product, empty if unknown.
    pub(crate) version: String,
    /// Names this start of the server: another after every restart.
    pub(crate) run_id: Option<String>,
    /// "master"; a replica is never set up.
    pub(crate) role: Option<String>,
    /// Seconds since the start, by the server's wall clock.
    pub(crate) uptime_s: Option<u64>,
    /// Always false: a server that is still loading is never set up.
    pub(crate) loading: bool,
    /// Whether there is an append-only file (INFO does not tell how often it is synced).
    pub(crate) aof_enabled: bool,
    /// What the server evicts when its memory is full.
    pub(crate) maxmemory_policy: Option<String>,
    /// The server's number for this connection; only together with the run id does it mean anything.
    pub(crate) client_id: Option<i64>,
    /// Whether the connection speaks RESP3.
    pub(crate) resp3: bool,
    /// Why INFO was refused.
    pub(crate) info_error: Option<String>,
    /// Whether some client found this boot old enough to vote, or an operator vouched for it.
    pub(crate) witnessed: bool,
    /// How often the append-only file is synced, if the user may ask.
    pub(crate) appendfsync: Option<String>,
    /// The server's clock, in us since 1970, if the user may ask; and ours when it answered.
    pub(crate) time_us: Option<u64>,
    pub(crate) time_at: Nanos,
    /// The socket address or path that was reached.
    pub(crate) peer: String,
    /// The shortest exchange of the set-up.
    pub(crate) round_trip: Duration,
}

impl ServerInfo {
    /// Whether every write is on disk before it is answered, so that a restart forgets nothing.
    pub(crate) fn persists_every_write(&self) -> bool {
        self.aof_enabled && self.appendfsync.as_deref() == Some("always")
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
    pub(crate) run_id: String,
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
    fn new(kind: Status, message: impl Into<String>) -> SetupError {
        SetupError {
            kind,
            message: message.into(),
        }
    }
}

/// Connects and sets up within `timeout` (only the system's name resolution may take longer).
///
/// If `superseded` is a connection to the same start of the server, it is ended there: what it still had in the
/// server's buffer must not be executed after what the new one sends.
pub(crate) fn establish(
    address: &Address,
    timeout: Duration,
    mut terms: Terms,
    superseded: Option<&Superseded>,
) -> Result<Established, SetupError> {
    let deadline = Deadline::after(timeout);
    let (stream, peer) = connect::connect(address, &deadline)?;
    let mut dialogue = Dialogue::new(stream, deadline, address.password.as_ref());
    let greeting = greet(&mut dialogue, address)?;
    let mut server = examine(&mut dialogue, address, &greeting)?;
    let may_be_called = server.resp3 && !terms.channel.is_empty();
    if !(may_be_called && subscribe(&mut dialogue, &terms.channel)?) {
        terms.channel = "".into();
    }
    let run_id = server.run_id.as_deref().unwrap_or_default();
    let mut scripts = Scripts::for_boot(run_id, terms);
    prepare(&mut dialogue, &mut scripts, &mut server)?;
    if let Some(old) = superseded {
        supersede(&mut dialogue, old, &server)?;
    }
    let (stream, round_trip) = dialogue.finish();
    server.peer = peer;
    server.round_trip = round_trip;
    Ok(Established {
        stream,
        server,
        scripts,
    })
}

/// What the reply to HELLO tells.
#[derive(Debug, Default)]
struct Greeting {
    resp3: bool,
    version: Option<String>,
    client_id: Option<i64>,
    mode: Option<String>,
    role: Option<String>,
}

/// Agrees on the protocol and proves who we are.
fn greet(dialogue: &mut Dialogue<'_>, address: &Address) -> Result<Greeting, SetupError> {
    if address.protocol == Protocol::Resp2 {
        return greet_resp2(dialogue, address);
    }
    let replies = dialogue.exchange("HELLO", &[hello(address), set_name()])?;
    match &replies[0] {
        Value::ServerError(error) if !has_no_hello(error) => Err(dialogue.server_error(error)),
        Value::ServerError(error) if address.protocol == Protocol::Resp3 => Err(SetupError::new(
            Status::Server,
            format!(
                "RESP3 was asked for, but HELLO is refused ({})",
                error.code()
            ),
        )),
        Value::ServerError(_) => greet_resp2(dialogue, address),
        reply => read_greeting(reply).ok_or_else(|| unexpected("HELLO")),
    }
}

/// Whether the error means that HELLO is not to be had: not known, not with this version, or not by this user.
/// Such a server may quote the command in its error, password and all.
fn has_no_hello(error: &redis::ServerError) -> bool {
    match error.code() {
        "NOPROTO" | "NOPERM" => true,
        "ERR" => error.details().is_some_and(|details| {
            let details = details.to_ascii_lowercase();
            details.starts_with("unknown command") || details.starts_with("unsupported command")
        }),
        _ => false,
    }
}

fn greet_resp2(dialogue: &mut Dialogue<'_>, address: &Address) -> Result<Greeting, SetupError> {
    let Some(auth) = auth(address) else {
        // A server that hangs up instead of answering a second command has said why in its answer to the first.
        dialogue.exchange("CLIENT SETNAME and PING", &[set_name(), cmd("PING")])?;
        return Ok(Greeting::default());
    };
    let replies = dialogue.exchange("AUTH", &[auth, set_name()])?;
    match &replies[0] {
        Value::ServerError(error) => Err(dialogue.server_error(error)),
        Value::Okay => Ok(Greeting::default()),
        _ => Err(unexpected("AUTH")),
    }
}

fn hello(address: &Address) -> Cmd {
    let mut hello = cmd("HELLO");
    hello.arg(3);
    if let Some((user, password)) = credentials(address) {
        hello
            .arg("AUTH")
            .arg(user.unwrap_or("default"))
            .arg(password);
    }
    hello
}

/// With one argument if there is no user: all that servers before 6.0 know.
fn auth(address: &Address) -> Option<Cmd> {
    let (user, password) = credentials(address)?;
    let mut auth = cmd("AUTH");
    if let Some(user) = user {
        auth.arg(user);
    }
    auth.arg(password);
    Some(auth)
}

/// A user without a password is one that the server lets in with any (`nopass`).
fn credentials(address: &Address) -> Option<(Option<&str>, &str)> {
    let password = address.password.as_ref().map(|secret| secret.reveal());
    match (address.user.as_deref(), password) {
        (None, None) => None,
        (user, password) => Some((user, password.unwrap_or_default())),
    }
}

/// So that CLIENT LIST tells an operator whose connection it is; whether it succeeds does not matter.
fn set_name() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("SETNAME").arg("libredlock");
    command
}

fn read_greeting(reply: &Value) -> Option<Greeting> {
    let mut greeting = Greeting::default();
    for (key, value) in reply.as_map_iter()? {
        match text_of(key)?.as_str() {
            "version" => greeting.version = text_of(value),
            "proto" => greeting.resp3 = *value == Value::Int(3),
            "id" => greeting.client_id = int_of(value),
            "mode" => greeting.mode = text_of(value),
            "role" => greeting.role = text_of(value),
            _ => {}
        }
    }
    Some(greeting)
}

/// Selects the database, learns what the server is, and judges whether it is one that can vote: one exchange.
fn examine(
    dialogue: &mut Dialogue<'_>,
    address: &Address,
    greeting: &Greeting,
) -> Result<ServerInfo, SetupError> {
    let mut commands = vec![cmd("INFO"), client_id(), cmd("PING")];
    // The last, and only where needed: a new connection is in database 0, and the user may not be allowed to say so.
    if address.database != 0 {
        commands.push(select(address.database));
    }
    let replies = dialogue.exchange("INFO and PING", &commands)?;
    let server = describe(dialogue, greeting, &replies[0], &replies[1]);
    refuse_unsuitable(greeting, &replies[0], &server)?;
    check_ping(dialogue, &replies[2])?;
    if address.database != 0 {
        check_select(dialogue, address.database, &replies[replies.len() - 1])?;
    }
    Ok(server)
}

/// Loads the scripts, and learns what needs more than INFO: one exchange. A user who may not do some of this can still
/// take locks.
fn prepare(
    dialogue: &mut Dialogue<'_>,
    scripts: &mut Scripts,
    server: &mut ServerInfo,
) -> Result<(), SetupError> {
    let mut commands = vec![
        script_exists(&scripts.witness.digest),
        appendfsync(),
        cmd("TIME"),
    ];
    commands.extend(scripts.to_load().map(script_load));
    let replies = dialogue.exchange("SCRIPT LOAD", &commands)?;
    // Without a run id nothing ties the witness to this boot.
    server.witnessed = server.run_id.is_some() && first_is_one(&replies[0]);
    let is_error = |reply: &Value| matches!(reply, Value::ServerError(_));
    scripts.are_known = !is_error(&replies[0]) && !replies[3..].iter().any(is_error);
    server.appendfsync = second_text(&replies[1]);
    server.time_us = time_of(&replies[2]);
    server.time_at = clock::now();
    Ok(())
}

/// Whether messages on this channel will come in between the answers, as RESP3 has it.
fn subscribe(dialogue: &mut Dialogue<'_>, channel: &str) -> Result<bool, SetupError> {
    let mut command = cmd("SUBSCRIBE");
    command.arg(channel);
    // A success is no answer but a push, a refusal is an answer; the PING's comes behind either.
    let first = dialogue.first_of("SUBSCRIBE", &[command, cmd("PING")])?;
    Ok(matches!(first, Value::Push { .. }))
}

fn script_exists(digest: &str) -> Cmd {
    let mut command = cmd("SCRIPT");
    command.arg("EXISTS").arg(digest);
    command
}

fn appendfsync() -> Cmd {
    let mut command = cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    command
}

fn first_is_one(reply: &Value) -> bool {
    matches!(reply, Value::Array(items) if matches!(items.first(), Some(Value::Int(1) | Value::Boolean(true))))
}

fn second_text(reply: &Value) -> Option<String> {
    reply
        .as_map_iter()?
        .next()
        .and_then(|(_, value)| text_of(value))
}

/// The answer to TIME, in us since 1970.
fn time_of(reply: &Value) -> Option<u64> {
    let Value::Array(items) = reply else {
        return None;
    };
    let number = |index: usize| text_of(items.get(index)?)?.parse::<u64>().ok();
    Some(number(0)? * 1_000_000 + number(1)?)
}

fn client_id() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("ID");
    command
}

fn select(database: i64) -> Cmd {
    let mut command = cmd("SELECT");
    command.arg(database);
    command
}

fn script_load(script: &str) -> Cmd {
    let mut command = cmd("SCRIPT");
    command.arg("LOAD").arg(script);
    command
}

fn describe(
    dialogue: &Dialogue<'_>,
    greeting: &Greeting,
    info: &Value,
    client_id: &Value,
) -> ServerInfo {
    let mut server = ServerInfo {
        product: "Redis",
        version: greeting.version.as_deref().map(legible).unwrap_or_default(),
        role: greeting.role.clone(),
        client_id: greeting.client_id.or_else(|| int_of(client_id)),
        resp3: greeting.resp3,
        ..ServerInfo::default()
    };
    match (info, text_of(info)) {
        (Value::ServerError(error), _) => server.info_error = Some(dialogue.words(error)),
        (_, Some(text)) => read_info(&InfoDict::new(&text), &mut server),
        _ => server.info_error = Some("the answer to INFO is no text".to_owned()),
    }
    if server.role.as_deref() == Some("slave") {
        server.role = Some("replica".to_owned());
    }
    server
}

fn read_info(info: &InfoDict, server: &mut ServerInfo) {
    let text = |key: &str| info.get::<String>(key).filter(|text| !text.is_empty());
    if let Some(version) = text("valkey_version") {
        server.product = "Valkey";
        server.version = legible(&version);
    } else if let Some(version) = text("redis_version") {
        server.version = legible(&version);
    }
    server.run_id = text("run_id");
    server.role = text("role").or(server.role.take());
    // By the server's wall clock: one that was set back since the start makes it negative.
    server.uptime_s = info
        .get::<i64>("uptime_in_seconds")
        .map(|uptime| u64::try_from(uptime).unwrap_or(0));
    server.loading = text("loading").is_some_and(|value| value == "1");
    server.aof_enabled = text("aof_enabled").is_some_and(|value| value == "1");
    server.maxmemory_policy = text("maxmemory_policy").map(|policy| legible(&policy));
}

/// Refuses what is no master that answers for its data.
fn refuse_unsuitable(
    greeting: &Greeting,
    info: &Value,
    server: &ServerInfo,
) -> Result<(), SetupError> {
    let info = InfoDict::new(&text_of(info).unwrap_or_default());
    let not_admitted = |message: String| Err(SetupError::new(Status::NotAdmitted, message));
    let mode = info.get::<String>("redis_mode").or(greeting.mode.clone());
    if mode.as_deref() == Some("sentinel") {
        return not_admitted("the server is a Sentinel: give the master's own address".to_owned());
    }
    if server.role.as_deref() == Some("replica") {
        let master = match (
            info.get::<String>("master_host"),
            info.get::<u16>("master_port"),
        ) {
            (Some(host), Some(port)) => format!(" of {}:{port}", legible(&host)),
            _ => String::new(),
        };
        return not_admitted(format!(
            "the server is a replica{master}: give the master's address"
        ));
    }
    if server.loading {
        return not_admitted("the server is loading its data set".to_owned());
    }
    Ok(())
}

fn check_select(dialogue: &Dialogue<'_>, database: i64, reply: &Value) -> Result<(), SetupError> {
    let Value::ServerError(error) = reply else {
        return match reply {
            Value::Okay => Ok(()),
            _ => Err(unexpected("SELECT")),
        };
    };
    let mut refusal = dialogue.server_error(error);
    if refusal.kind == Status::Server {
        refusal.message = format!("cannot use database {database}: {}", refusal.message);
    }
    Err(refusal)
}

/// A user without permission to PING is told so by a server that is alive.
fn check_ping(dialogue: &Dialogue<'_>, reply: &Value) -> Result<(), SetupError> {
    match reply {
        Value::SimpleString(pong) if pong == "PONG" => Ok(()),
        Value::ServerError(error) if error.code() == "NOPERM" => Ok(()),
        Value::ServerError(error) => Err(dialogue.server_error(error)),
        _ => Err(unexpected("PING")),
    }
}

/// Best effort, as the user may lack the permission; never after a restart, when the numbers begin anew.
fn supersede(
    dialogue: &mut Dialogue<'_>,
    old: &Superseded,
    server: &ServerInfo,
) -> Result<(), SetupError> {
    let same_start = server.run_id.as_deref() == Some(old.run_id.as_str());
    if !same_start || server.client_id == Some(old.client_id) {
        return Ok(());
    }
    let mut kill = cmd("CLIENT");
    kill.arg("KILL").arg("ID").arg(old.client_id);
    dialogue.exchange("CLIENT KILL", &[kill]).map(|_| ())
}

fn unexpected(command: &str) -> SetupError {
    SetupError::new(
        Status::Server,
        format!("the answer to {command} is not a Redis server's"),
    )
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn int_of(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// What an error of TLS means, in words that help; `None` if it is not one.
fn tls_reason(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS here: for a plain port use redis://".to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => format!(
            "the server's certificate is not accepted: {reason}{}",
            certificate_hint(reason)
        ),
        rustls::Error::AlertReceived(alert) => {
            format!("the server refused TLS: {alert:?}{}", alert_hint(*alert))
        }
        other => format!("TLS failed: {other}"),
    })
}

fn certificate_hint(error: &CertificateError) -> &'static str {
    match error {
        // A bad signature is what another authority of the same name gives.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            " (give its authority's certificate as the CA file)"
        }
        // What `openssl req -x509` makes; other TLS libraries let it pass.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            " (it is an authority's own certificate: give the server one that an authority signed)"
        }
        _ => "",
    }
}

fn alert_hint(alert: AlertDescription) -> &'static str {
    match alert {
        // With TLS 1.2 and 1.3, respectively.
        AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired => {
            " (it may ask for a client certificate: give certificate and key file)"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown => " (it does not accept the client certificate)",
        _ => "",
    }
}
