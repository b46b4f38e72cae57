//! The sockets: connections are made, batches leave, answers arrive.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token as PollToken};

use super::{Core, Request};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::defect::said;
use crate::descriptors::Ours;
use crate::driver::address::Address;
use crate::driver::credentials::Credentials;
use crate::driver::dial::{Dial, Established, is_hang_up};
use crate::driver::queue::QueueState;
use crate::driver::stream::Stream;
use crate::driver::tls;
use crate::error::Status;
use crate::protocol::machine::NodePlace;
use crate::protocol::node::setup::SetupError;
use crate::protocol::outcome::{Connected, ConnectionId, Disconnected, Io};
use crate::protocol::rules::quorum::MAX_NODES;

/// How much of one connection is read in one turn, in bytes: what one server sends without end does not keep the engine
/// from the others.
const MOST_READ: usize = 256 * 1024;

const TAKEN_AWAY: &str = "its descriptor was closed by this program";

/// A program that owes an answer for so long is asked again: it may have lost the question.
const ASK_AGAIN_AFTER: Nanos = 30_000 * MILLISECOND;

/// All sockets, by the places of their nodes.
#[derive(Default)]
pub(super) struct Sockets {
    sets: Vec<Set>,
    /// Attempts to connect that are under way.
    dialling: Vec<NodePlace>,
}

/// The sockets of a set of nodes.
#[derive(Default)]
struct Set {
    entries: Vec<Entry>,
    credentials: Arc<Credentials>,
    /// The queue on which the program is asked for credentials, and under which number; and since when it owes an answer.
    asker: Option<(Arc<QueueState>, u64)>,
    asked_since: Option<Nanos>,
}

/// One node's socket.
struct Entry {
    address: Arc<Address>,
    /// Of the present connection, or of the last one.
    epoch: u32,
    socket: Socket,
}

enum Socket {
    Closed,
    Dialling(Box<Dial>),
    Open(Stream),
}

impl Sockets {
    /// Room for a new set of nodes.
    pub(super) fn open(
        &mut self,
        place: usize,
        addresses: &[Arc<Address>],
        credentials: Arc<Credentials>,
    ) {
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, Set::default);
        }
        let entry = |address: &Arc<Address>| Entry {
            address: Arc::clone(address),
            epoch: 0,
            socket: Socket::Closed,
        };
        self.sets[place] = Set {
            entries: addresses.iter().map(entry).collect(),
            credentials,
            asker: None,
            asked_since: None,
        };
    }

    fn entry(&mut self, (place, index): NodePlace) -> Option<&mut Entry> {
        self.sets.get_mut(place)?.entries.get_mut(index)
    }

    fn current(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entry((id.place, id.node))
            .filter(|entry| entry.epoch == id.epoch)
    }

    fn id(&mut self, at @ (place, node): NodePlace) -> Option<ConnectionId> {
        let epoch = self.entry(at)?.epoch;
        Some(ConnectionId { place, node, epoch })
    }

    fn stream(&mut self, id: ConnectionId) -> Option<&mut Stream> {
        match &mut self.current(id)?.socket {
            Socket::Open(stream) => Some(stream),
            _ => None,
        }
    }

    fn dial(&mut self, id: ConnectionId) -> Option<&mut Dial> {
        match &mut self.current(id)?.socket {
            Socket::Dialling(dial) => Some(dial),
            _ => None,
        }
    }

    /// When the next attempt to connect is to go on although nothing became ready.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        let due =
            |&(place, index): &NodePlace| match &self.sets.get(place)?.entries.get(index)?.socket {
                Socket::Dialling(dial) => Some(dial.due()),
                _ => None,
            };
        self.dialling.iter().filter_map(due).min()
    }
}

impl Core {
    // ---- connections are made and ended ----

    /// Does what the machine says with sockets.
    pub(super) fn carry_out_io(&mut self) {
        while let Some(io) = self.machine.poll_io() {
            match io {
                Io::Connect(id) => self.connect(id),
                Io::Disconnect(id) => self.close_socket(id),
                Io::Refused(id) => {
                    if let Some(set) = self.sockets.sets.get(id.place) {
                        set.credentials.were_refused();
                    }
                }
                Io::Closed(place) => {
                    if let Some(set) = self.sockets.sets.get_mut(place) {
                        *set = Set::default();
                    }
                    self.surroundings.places.free(place);
                }
            }
        }
    }

    fn close_socket(&mut self, id: ConnectionId) {
        let Some(entry) = self.sockets.current(id) else {
            return;
        };
        match std::mem::replace(&mut entry.socket, Socket::Closed) {
            Socket::Open(stream) => unwatch(&self.registry, stream.fd()),
            Socket::Dialling(dial) => {
                if let Some(stream) = dial.stream() {
                    unwatch(&self.registry, stream.fd());
                }
            }
            Socket::Closed => {}
        }
    }

    /// Begins an attempt to connect.
    fn connect(&mut self, id: ConnectionId) {
        let at = (id.place, id.node);
        let timeout = self.machine.connect_timeout(id.place);
        let set = self.sockets.sets.get_mut(id.place);
        let Some(set) = set.filter(|set| id.node < set.entries.len()) else {
            return;
        };
        let credentials = Arc::clone(&set.credentials);
        let entry = &mut set.entries[id.node];
        let dial = Dial::new(
            Arc::clone(&entry.address),
            credentials,
            timeout,
            clock::now(),
        );
        let mailbox = self.surroundings.mailbox;
        let looked_up = dial.name().map_or(Ok(()), |(host, port)| {
            self.surroundings
                .resolver
                .look_up(host, port, move |result| {
                    mailbox.send(Request::Resolved { id, result });
                })
        });
        entry.epoch = id.epoch;
        entry.socket = Socket::Dialling(Box::new(dial));
        if !self.sockets.dialling.contains(&at) {
            self.sockets.dialling.push(at);
        }
        match looked_up {
            Ok(()) => self.go_on_dialling(id),
            Err(error) => {
                let message = format!("no thread to look up its name: {error}");
                self.dial_failed(id, SetupError::new(Status::System, message));
            }
        }
    }

    pub(super) fn resolved(&mut self, id: ConnectionId, result: Result<Vec<SocketAddr>, String>) {
        let Some(dial) = self.sockets.dial(id) else {
            return;
        };
        match result {
            Ok(addresses) => {
                dial.resolved(addresses, clock::now());
                self.go_on_dialling(id);
            }
            Err(message) => self.dial_failed(id, SetupError::new(Status::Unreachable, message)),
        }
    }

    /// Goes on with those attempts to connect whose present stage has taken its time at `now`.
    pub(super) fn go_on_with_dials(&mut self, now: Nanos) {
        if self.sockets.dialling.is_empty() {
            return;
        }
        let mut due = Vec::new();
        let Sockets { sets, dialling } = &mut self.sockets;
        dialling.retain(|&(place, index)| {
            let entry = sets.get(place).and_then(|set| set.entries.get(index));
            let Some(Socket::Dialling(dial)) = entry.map(|entry| &entry.socket) else {
                return false;
            };
            if dial.due() <= now {
                due.push((place, index));
            }
            true
        });
        for at in due {
            if let Some(id) = self.sockets.id(at) {
                self.go_on_dialling(id);
            }
        }
    }

    /// Goes on with an attempt to connect, as far as it goes. A defect in that ends the attempt, and nothing else.
    fn go_on_dialling(&mut self, id: ConnectionId) {
        self.contained((id.place, id.node), |core| core.dial(id));
    }

    fn dial(&mut self, id: ConnectionId) {
        let now = clock::now();
        let Some(dial) = self.sockets.dial(id) else {
            return;
        };
        let mut result = dial.proceed(now);
        let mut to_watch = None;
        if let Ok(established) = &result {
            to_watch = dial.next_to_watch(established.as_ref());
        }
        let (is_answered, asks) = (dial.is_answered(), dial.asks());
        if let Some(fd) = to_watch
            && let Err(error) = watch(&self.registry, fd, (id.place, id.node))
        {
            let message = format!("its socket can't be watched: {error}");
            result = Err(SetupError::new(Status::System, message));
        }
        match result {
            Ok(None) => {
                if is_answered {
                    self.machine.reached(id);
                }
                if asks {
                    self.ask_for_credentials(id.place);
                }
            }
            Ok(Some(established)) => self.dialled(id, established),
            Err(error) => self.dial_failed(id, error),
        }
    }

    fn dialled(&mut self, id: ConnectionId, established: Established) {
        let Established {
            stream,
            peer,
            login,
        } = established;
        if let Some(entry) = self.sockets.current(id) {
            entry.socket = Socket::Open(stream);
            let connected = Connected {
                peer,
                login,
                wall_offset_us: clock::wall_offset_us(),
            };
            self.machine.connected(clock::now(), id, connected);
            // What the server has sent already is not reported again where the socket was watched before.
            self.send(id);
            self.receive((id.place, id.node), false);
        }
    }

    fn dial_failed(&mut self, id: ConnectionId, error: SetupError) {
        self.close_socket(id);
        self.machine.connect_failed(clock::now(), id, error);
    }

    // ---- credentials ----

    /// The program is asked for credentials by events of this queue, under that number.
    pub(super) fn ask_on(&mut self, place: usize, queue: Arc<QueueState>, id: u64) {
        let Some(set) = self.sockets.sets.get_mut(place) else {
            return;
        };
        set.asker = Some((queue, id));
        set.asked_since = None;
        let waits = |entry: &Entry| matches!(&entry.socket, Socket::Dialling(dial) if dial.asks());
        if set.entries.iter().any(waits) {
            self.ask_for_credentials(place);
        }
    }

    /// One question for all that wait, as one answer serves them all.
    fn ask_for_credentials(&mut self, place: usize) {
        let now = clock::now();
        let Some(set) = self.sockets.sets.get_mut(place) else {
            return;
        };
        let Some((queue, id)) = &set.asker else {
            return;
        };
        let owes = |since: Nanos| now < since + ASK_AGAIN_AFTER;
        if !set.asked_since.is_some_and(owes) {
            set.asked_since = Some(now);
            let (queue, id) = (Arc::clone(queue), *id);
            self.questions.push((queue, id));
        }
    }

    /// The program has given credentials, or says why it can't: those who wait for them go on. If nobody is asked, so does a
    /// node that has refused the former ones; otherwise it asks itself, after its rest, as those that it is given may be
    /// refused again.
    pub(super) fn credentials(&mut self, place: usize, given: Result<(), String>) {
        let Some(set) = self.sockets.sets.get_mut(place) else {
            return;
        };
        set.asked_since = None;
        let are_asked_for = set.credentials.are_asked_for();
        let asks = |(node, entry): (usize, &Entry)| match &entry.socket {
            Socket::Dialling(dial) if dial.asks() => Some(ConnectionId {
                place,
                node,
                epoch: entry.epoch,
            }),
            _ => None,
        };
        let asking: Vec<_> = set.entries.iter().enumerate().filter_map(asks).collect();
        for id in asking {
            match &given {
                Ok(()) => self.go_on_dialling(id),
                Err(reason) => {
                    let message = format!("the program has no credentials: {reason}");
                    self.dial_failed(id, SetupError::new(Status::Unreachable, message));
                }
            }
        }
        if given.is_ok() && !are_asked_for {
            self.machine.retry_refused(clock::now(), place);
        }
    }

    // ---- out ----

    /// Carries out what the machine has for sockets, until there is nothing more.
    pub(super) fn flush(&mut self) {
        let checks = self.checks_descriptors(clock::now());
        loop {
            self.carry_out_io();
            // A connection that fails here may have others send (releases of what it leaves undecided).
            let Some(id) = self.machine.next_to_send() else {
                break;
            };
            if checks && self.is_taken_away(id) {
                self.break_off(id, Status::Unreachable, TAKEN_AWAY);
                continue;
            }
            self.send(id);
        }
        self.carry_out_io();
    }

    /// As `flush`, but leaves connections that turn out to be lost to the driver, as losing one goes far: it logs, ends
    /// others' operations and starts threads. False if anything is left.
    pub(super) fn send_what_is_sound(&mut self, now: Nanos) -> bool {
        let checks = self.checks_descriptors(now);
        let mut left = Vec::new();
        while let Some(id) = self.machine.next_to_send() {
            let is_gone = checks && self.is_taken_away(id);
            if is_gone {
                // The driver makes sure again.
                self.check_soon();
            }
            if is_gone || self.try_to_send(id).is_err() {
                left.push(id);
            }
        }
        let is_everything = left.is_empty();
        for id in left {
            self.machine.send_later(id);
        }
        is_everything && !self.machine.has_io()
    }

    /// Sends on a connection what its socket has room for. What is left goes when the socket becomes writable.
    fn send(&mut self, id: ConnectionId) {
        if let Err(error) = self.try_to_send(id) {
            // A server that hangs up has said why, and may have answered before: that is read first.
            let at = (id.place, id.node);
            self.contained(at, |core| core.receive(at, true));
            self.broken(id, &error);
        }
    }

    fn try_to_send(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(stream) = self.sockets.stream(id) else {
            return Ok(());
        };
        self.machine.pack(id);
        loop {
            let unsent = self.machine.unsent(id);
            if unsent.is_empty() {
                break;
            }
            match stream.write(unsent) {
                Ok(count) => self.machine.sent(id, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let backlog = self.machine.check_backlog(id);
                    return backlog.map_err(|error| io::Error::other(error.message()));
                }
                Err(error) => return Err(error),
            }
        }
        match stream.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    // ---- in ----

    /// A socket has become ready.
    pub(super) fn ready(&mut self, at: NodePlace, event: &Event) {
        let Some(id) = self.sockets.id(at) else {
            return;
        };
        match self.sockets.entry(at).map(|entry| &entry.socket) {
            Some(Socket::Dialling(_)) => self.go_on_dialling(id),
            Some(Socket::Open(_)) => {
                if event.is_writable() {
                    self.send(id);
                }
                let to_the_end = event.is_read_closed() || event.is_error();
                if event.is_readable() || to_the_end {
                    self.receive(at, to_the_end);
                }
            }
            Some(Socket::Closed) | None => {}
        }
    }

    /// Takes what the socket of a connection has. With `to_the_end`, or over TLS, it reads until the socket would block;
    /// otherwise a short read ends it, which for a plain stream socket means the same and saves a system call for every batch.
    pub(super) fn receive(&mut self, at: NodePlace, to_the_end: bool) {
        let Some(id) = self.sockets.id(at) else {
            return;
        };
        let mut total = 0;
        loop {
            let (Some(stream), Some(room)) = (self.sockets.stream(id), self.machine.room(id))
            else {
                return;
            };
            if total >= MOST_READ {
                return self.unread.push(at);
            }
            let size = room.len();
            let to_the_end = to_the_end || matches!(stream, Stream::Tls(_));
            match stream.read(room) {
                Ok(0) => {
                    let plain = matches!(stream, Stream::Plain(_));
                    return self.end(id, Disconnected::Closed { plain });
                }
                Ok(count) => {
                    #[cfg(test)]
                    crate::strikes::strike(crate::strikes::Place::Bytes, stream.peer_port());
                    let now = clock::now();
                    self.machine.received(now, id, count);
                    total += count;
                    if count < size && !to_the_end {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.broken(id, &error),
            }
        }
    }

    // ---- ends ----

    /// The operating system, or TLS, says that a connection is broken.
    fn broken(&mut self, id: ConnectionId, error: &io::Error) {
        let Some(stream) = self.sockets.stream(id) else {
            return;
        };
        let plain = matches!(stream, Stream::Plain(_));
        let reason = match tls::reason(error) {
            Some(reason) => Disconnected::Because(Status::Unreachable, reason),
            None if is_hang_up(error.kind()) && self.machine.is_setting_up(id) => {
                Disconnected::Closed { plain }
            }
            None => Disconnected::Failed(error.to_string()),
        };
        self.end(id, reason);
    }

    fn break_off(&mut self, id: ConnectionId, status: Status, reason: &str) {
        self.end(id, Disconnected::Because(status, reason.to_owned()));
    }

    fn end(&mut self, id: ConnectionId, reason: Disconnected) {
        self.close_socket(id);
        self.machine.disconnected(clock::now(), id, reason);
    }

    /// Handles what a connection has brought. A defect in what that leads to ends this connection, and nothing else.
    pub(super) fn contained(&mut self, at: NodePlace, handle: impl FnOnce(&mut Core)) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| handle(self))) else {
            return;
        };
        let reason = format!(
            "a defect of libredlock, please report it: {}",
            said(&*payload)
        );
        // A payload's own drop may panic; it is not worth an abort.
        std::mem::forget(payload);
        if let Some(id) = self.sockets.id(at) {
            self.break_off(id, Status::Internal, &reason);
        }
    }

    /// Another poller has taken the former one's place: it watches all sockets. What they have brought since it was looked
    /// for the last time, it reports at once.
    pub(in crate::driver) fn watch_by(&mut self, registry: Ours<Registry>) {
        self.registry = registry;
        let mut lost = Vec::new();
        for (place, set) in self.sockets.sets.iter().enumerate() {
            for (node, entry) in set.entries.iter().enumerate() {
                let stream = match &entry.socket {
                    Socket::Open(stream) => Some(stream),
                    Socket::Dialling(dial) => dial.stream(),
                    Socket::Closed => None,
                };
                let watched = |stream: &Stream| {
                    let at = (place, node);
                    stream.is_ours() && watch(&self.registry, stream.fd(), at).is_ok()
                };
                if stream.is_some_and(|stream| !watched(stream)) {
                    let epoch = entry.epoch;
                    lost.push(ConnectionId { place, node, epoch });
                }
            }
        }
        for id in lost {
            self.break_off(id, Status::Unreachable, TAKEN_AWAY);
        }
    }

    /// Whether the application has closed a connection's descriptor.
    fn is_taken_away(&mut self, id: ConnectionId) -> bool {
        self.sockets.stream(id).is_some_and(|it| !it.is_ours())
    }
}

fn poll_token((place, index): NodePlace) -> PollToken {
    PollToken(place * MAX_NODES + index)
}

/// The node of a socket that has become ready.
pub(super) fn node_place(token: PollToken) -> NodePlace {
    (token.0 / MAX_NODES, token.0 % MAX_NODES)
}

fn watch(registry: &Registry, fd: RawFd, place: NodePlace) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&fd), poll_token(place), interest)
}

/// Fails only for a descriptor that is not watched, which is what is wanted.
fn unwatch(registry: &Registry, fd: RawFd) {
    let _ = registry.deregister(&mut SourceFd(&fd));
}
