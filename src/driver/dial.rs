//! The way to a connection: every address in turn and the TLS handshake, without ever waiting.
//!
//! The driver calls [`Dial::proceed`] whenever the descriptor is ready or [`Dial::due`] has come. Host names are looked up
//! elsewhere, because the system's resolver can only block.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;

use super::address::Address;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::stream::Stream;
use super::tls;
use crate::clock::{MILLISECOND, Nanos};
use crate::error::Status;
use crate::protocol::node::config::Login;
use crate::protocol::node::setup::SetupError;

/// How long to wait before another try when a unix socket's queue is full: no readiness tells when it is not.
const QUEUE_RETRY: Nanos = 5 * MILLISECOND;

/// A connection that bytes can be sent over.
#[derive(Debug)]
pub(crate) struct Established {
    /// The stream, non-blocking.
    pub(crate) stream: Stream,
    /// The socket address or path that was reached.
    pub(crate) peer: String,
    /// Who logs in.
    pub(crate) login: Login,
}

/// An attempt to connect.
#[derive(Debug)]
pub(crate) struct Dial {
    address: Arc<Address>,
    credentials: Arc<Credentials>,
    stage: Stage,
    /// How long each stage may take. What a stage has to show for it is one answer, so no trickle of bytes prolongs it.
    timeout: Nanos,
    /// When the present stage is over.
    deadline: Nanos,
    /// Addresses that were not tried yet, and what became of the others.
    untried: VecDeque<SocketAddr>,
    failures: Vec<String>,
    peer: String,
    /// How many streams it had, and how many of them the driver was given to watch.
    streams: u32,
    watched: u32,
}

#[derive(Debug)]
enum Stage {
    /// The host's name is being looked up.
    Resolving,
    /// The next address is to be tried.
    NextAddress,
    /// A unix socket's queue was full; it is tried again then.
    QueueFull(Nanos),
    /// An address is being tried, until then at most.
    Connecting(Stream, Nanos),
    /// The TLS handshake.
    Securing(Stream),
    /// The program was asked who logs in.
    Asking(Stream),
    /// There is a connection, for this user.
    Established(Stream, Login),
    /// It has come to an end.
    Over,
}

impl Dial {
    /// An attempt, each stage of which may take `timeout`. See [`name`](Self::name) for what is to be looked up first.
    pub(crate) fn new(
        address: Arc<Address>,
        credentials: Arc<Credentials>,
        timeout: Nanos,
        now: Nanos,
    ) -> Dial {
        let mut dial = Dial {
            stage: Stage::NextAddress,
            timeout,
            deadline: now.saturating_add(timeout),
            untried: VecDeque::new(),
            failures: Vec::new(),
            peer: String::new(),
            streams: 0,
            watched: 0,
            address,
            credentials,
        };
        if let Endpoint::Tcp { host, port } = &dial.address.endpoint {
            match host.parse::<IpAddr>() {
                Ok(ip) => dial.untried.push_back(SocketAddr::new(ip, *port)),
                Err(_) => dial.stage = Stage::Resolving,
            }
        }
        dial
    }

    /// The host name that is to be looked up, and the port.
    pub(crate) fn name(&self) -> Option<(&str, u16)> {
        match (&self.stage, &self.address.endpoint) {
            (Stage::Resolving, Endpoint::Tcp { host, port }) => Some((host, *port)),
            _ => None,
        }
    }

    /// The name has been looked up.
    pub(crate) fn resolved(&mut self, addresses: Vec<SocketAddr>, now: Nanos) {
        if let Stage::Resolving = self.stage {
            self.untried = alternate(addresses).into();
            self.enter(Stage::NextAddress, now);
        }
    }

    /// Whether somebody has answered at the address: a host that is up, with a server that listens.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.stage, Stage::Securing(_) | Stage::Asking(_))
    }

    /// The descriptor to watch from now on, if it is another than before. Those before are closed.
    pub(crate) fn next_to_watch(&mut self, established: Option<&Established>) -> Option<RawFd> {
        let stream = match (&self.stage, established) {
            (_, Some(established)) => &established.stream,
            (Stage::Connecting(stream, _), _) => stream,
            (Stage::Securing(stream) | Stage::Asking(stream), _) => stream,
            _ => return None,
        };
        let is_new = std::mem::replace(&mut self.watched, self.streams) != self.streams;
        is_new.then(|| stream.fd())
    }

    /// The stream that is being made, if there is one yet.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match &self.stage {
            Stage::Connecting(stream, _) | Stage::Securing(stream) | Stage::Asking(stream) => {
                Some(stream)
            }
            _ => None,
        }
    }

    /// When to call [`proceed`](Self::proceed) although nothing became ready.
    pub(crate) fn due(&self) -> Nanos {
        match &self.stage {
            Stage::QueueFull(at) | Stage::Connecting(_, at) => *at,
            _ => self.deadline,
        }
    }

    fn enter(&mut self, stage: Stage, now: Nanos) {
        self.stage = stage;
        self.deadline = now.saturating_add(self.timeout);
    }

    /// Goes as far as is possible now. `None`: there is something to wait for.
    pub(crate) fn proceed(&mut self, now: Nanos) -> Result<Option<Established>, SetupError> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Resolving if now >= self.deadline => return Err(self.look_up_is_overdue()),
                Stage::QueueFull(at) if now >= at => self.next_address(now)?,
                stage @ (Stage::Resolving | Stage::QueueFull(_)) => {
                    self.stage = stage;
                    return Ok(None);
                }
                Stage::NextAddress => self.next_address(now)?,
                Stage::Connecting(stream, until) => {
                    if let Some(stream) = self.try_to_connect(stream, until, now)? {
                        self.stage = Stage::Connecting(stream, until);
                        return Ok(None);
                    }
                }
                Stage::Securing(mut stream) => {
                    if !self.shake_hands(&mut stream, now)? {
                        self.stage = Stage::Securing(stream);
                        return Ok(None);
                    }
                    self.log_in(stream, now)?;
                }
                Stage::Asking(stream) => {
                    if self.has_to_ask(now) {
                        if now >= self.deadline {
                            return Err(self.no_credentials());
                        }
                        self.stage = Stage::Asking(stream);
                        return Ok(None);
                    }
                    self.log_in(stream, now)?;
                }
                Stage::Established(stream, login) => {
                    return Ok(Some(Established {
                        stream,
                        peer: std::mem::take(&mut self.peer),
                        login,
                    }));
                }
                Stage::Over => {
                    return Err(SetupError::new(Status::Internal, "the attempt is over"));
                }
            }
        }
    }

    // ---- addresses ----

    fn next_address(&mut self, now: Nanos) -> Result<(), SetupError> {
        if let Endpoint::Unix(path) = &self.address.endpoint {
            let (path, peer) = (path.clone(), path.display().to_string());
            return match Stream::unix(&path) {
                Ok(stream) => {
                    self.peer = peer;
                    self.streams += 1;
                    self.connected(stream, now)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < self.deadline => {
                    self.stage = Stage::QueueFull((now + QUEUE_RETRY).min(self.deadline));
                    Ok(())
                }
                Err(error) => Err(cannot_connect(&reason(&error))),
            };
        }
        let Some(address) = self.untried.pop_front() else {
            return Err(cannot_connect(&self.failures.join(", ")));
        };
        // Each address may take an equal share of the time left, so that one that swallows packets leaves time for the others.
        let share = self.deadline.saturating_sub(now) / (self.untried.len() as u64 + 1);
        self.peer = address.to_string();
        self.streams += 1;
        match Stream::tcp(&address) {
            Ok(stream) => self.stage = Stage::Connecting(stream, now + share),
            Err(error) => {
                self.failed(&error);
                self.stage = Stage::NextAddress;
            }
        }
        Ok(())
    }

    /// The stream, if it is still to be waited for.
    fn try_to_connect(
        &mut self,
        stream: Stream,
        until: Nanos,
        now: Nanos,
    ) -> Result<Option<Stream>, SetupError> {
        match stream.is_connected() {
            Ok(true) => self.connected(stream, now)?,
            Ok(false) if now < until => return Ok(Some(stream)),
            result => {
                self.failed(&result.err().unwrap_or(io::ErrorKind::TimedOut.into()));
                self.stage = Stage::NextAddress;
            }
        }
        Ok(None)
    }

    fn failed(&mut self, error: &io::Error) {
        self.failures
            .push(format!("{}: {}", self.peer, reason(error)));
    }

    fn look_up_is_overdue(&self) -> SetupError {
        let ms = self.timeout / MILLISECOND;
        SetupError::new(
            Status::Timeout,
            format!("the host name is still being looked up after {ms} ms (connect_timeout_ms)"),
        )
    }

    // ---- TLS ----

    fn connected(&mut self, stream: Stream, now: Nanos) -> Result<(), SetupError> {
        match &self.address.tls {
            Some(tls) => {
                // The files are read anew, as they may have been renewed. That blocks the driver for as long as some small
                // local files take, which is less than another thread would.
                let config = tls
                    .config()
                    .map_err(|error| SetupError::new(Status::Unreachable, error.message()))?;
                let stream = stream
                    .secure(config, tls.name())
                    .map_err(|error| self.tls_failure(&error))?;
                self.enter(Stage::Securing(stream), now);
            }
            None => self.log_in(stream, now)?,
        }
        Ok(())
    }

    fn shake_hands(&self, stream: &mut Stream, now: Nanos) -> Result<bool, SetupError> {
        match stream.handshake() {
            Ok(done) => Ok(done),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < self.deadline => {
                Ok(false)
            }
            Err(error) => Err(self.tls_failure(&error)),
        }
    }

    fn tls_failure(&self, error: &io::Error) -> SetupError {
        if let Some(reason) = tls::reason(error) {
            return SetupError::new(Status::Unreachable, reason);
        }
        match error.kind() {
            io::ErrorKind::WouldBlock => SetupError::new(
                Status::Timeout,
                format!(
                    "connected, but no TLS within {} ms (connect_timeout_ms): is this a TLS port?",
                    self.timeout / MILLISECOND
                ),
            ),
            kind if is_hang_up(kind) => SetupError::new(
                Status::Unreachable,
                "the server closed the connection during the TLS handshake: is this a TLS port, or does it want a client \
                 certificate?",
            ),
            _ => SetupError::new(Status::Unreachable, format!("TLS failed: {error}")),
        }
    }

    // ---- who logs in ----

    fn log_in(&mut self, stream: Stream, now: Nanos) -> Result<(), SetupError> {
        if self.has_to_ask(now) {
            self.enter(Stage::Asking(stream), now);
            return Ok(());
        }
        let login = self.credentials.login(&self.address);
        let login = login.map_err(|error| SetupError::new(Status::Unreachable, error.message()))?;
        self.stage = Stage::Established(stream, login);
        Ok(())
    }

    /// What was given a moment ago counts: several nodes are usually connected at once, and ask once.
    fn has_to_ask(&self, now: Nanos) -> bool {
        let since = now.saturating_sub(self.timeout);
        self.credentials.have_to_be_asked_for(since)
    }

    /// Whether the program is to be asked who logs in. Call [`proceed`](Self::proceed) when it has said so.
    pub(crate) fn asks(&self) -> bool {
        matches!(self.stage, Stage::Asking(_))
    }

    fn no_credentials(&self) -> SetupError {
        let ms = self.timeout / MILLISECOND;
        SetupError::new(
            Status::Timeout,
            format!(
                "connected, but no credentials were given within {ms} ms (connect_timeout_ms, ask_credentials)"
            ),
        )
    }
}

pub(super) fn is_hang_up(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// IPv6 and IPv4 in turn, beginning with the family that the resolver prefers, each address once: if one family leads
/// nowhere, the second attempt finds out (RFC 8305).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut result = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return result;
        }
        for address in pair.into_iter().flatten() {
            if !result.contains(&address) {
                result.push(address);
            }
        }
    }
}

fn cannot_connect(reason: &str) -> SetupError {
    SetupError::new(Status::Unreachable, format!("cannot connect: {reason}"))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
