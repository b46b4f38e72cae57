//! A relay in front of a real server, which answers each request as a scenario wants it.
//!
//! Requests go on to the server one by one, so the scenario sees each with the server's own reply and decides what the client
//! gets: the reply, something else, a flood, nothing. Whatever the dialogue is, it is the library's own with a real server up
//! to the point where the scenario spoils it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::Server;

use crate::wire;

/// How long a write may stand still before the relay looks whether it is to end.
const PERIOD: Duration = Duration::from_millis(50);

/// One request, and what the server answered.
pub struct Exchange<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The number of the request on this connection, from 0.
    pub index: usize,
    /// The request.
    pub words: &'a [Vec<u8>],
    /// The server's reply, whole.
    pub reply: &'a [u8],
}

impl Exchange<'_> {
    /// The request's name, such as `SET` or `SCRIPT LOAD`.
    pub fn name(&self) -> String {
        wire::name(self.words)
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With the next request.
    Continue,
    /// It is closed.
    Close,
    /// It stays open, and nothing is read or written on it any more.
    Stall,
}

/// What a relay does with an exchange: it sends what the client is to get, which is not the reply unless it sends that.
pub type Behaviour = dyn Fn(&Exchange<'_>, &mut Peer<'_>) -> Flow + Send + Sync;

/// The client's side of a connection.
pub struct Peer<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
}

/// A relay on a port of its own, until it is dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    backend: SocketAddr,
    behaviour: Mutex<Arc<Behaviour>>,
    closing: AtomicBool,
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
    ended_by_client: AtomicUsize,
}

impl Relay {
    /// A relay to a server that does what `behaviour` says.
    pub fn to(
        server: &Server,
        behaviour: impl Fn(&Exchange<'_>, &mut Peer<'_>) -> Flow + Send + Sync + 'static,
    ) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            backend: server.address().parse().expect("a numeric address"),
            behaviour: Mutex::new(Arc::new(behaviour)),
            closing: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            ended_by_client: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept_all(&listener, &accepting));
        Relay {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// A relay that passes everything on.
    pub fn honest(server: &Server) -> Relay {
        Relay::to(server, pass)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Behaves otherwise from the next exchange on.
    pub fn behave(
        &self,
        behaviour: impl Fn(&Exchange<'_>, &mut Peer<'_>) -> Flow + Send + Sync + 'static,
    ) {
        *self.shared.behaviour() = Arc::new(behaviour);
    }

    /// How many connections have been made so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many requests have come so far, on all connections.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections the client has ended so far.
    pub fn ended_by_client(&self) -> usize {
        self.shared.ended_by_client.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Passes the reply on.
pub fn pass(exchange: &Exchange<'_>, peer: &mut Peer<'_>) -> Flow {
    peer.send(exchange.reply);
    Flow::Continue
}

impl Peer<'_> {
    /// Sends bytes. False when the client has ended the connection, or the relay is to end.
    pub fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.shared.is_closing() {
                return false;
            }
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_a_pause(&error) && !has_hung_up(self.stream) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Sends the chunk again and again, at most `limit` bytes or until the client has ended the connection. Tells how many
    /// bytes it sent, `None` if the limit was reached.
    pub fn flood(&mut self, chunk: &[u8], limit: usize) -> Option<usize> {
        // Many at once, so that the flood is one.
        let many = chunk.repeat((64 * 1024 / chunk.len()).max(1));
        let mut sent = 0;
        while sent < limit {
            if !self.send(&many) {
                return Some(sent);
            }
            sent += many.len();
        }
        None
    }

    /// Whether the client has ended the connection, or the relay is to end.
    pub fn is_over(&self) -> bool {
        self.shared.is_closing() || has_hung_up(self.stream)
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn behaviour(&self) -> std::sync::MutexGuard<'_, Arc<Behaviour>> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_closing() {
            return;
        }
        let Ok(client) = client else { continue };
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            if let Ok(End::Client) = serve(&shared, &client, number) {
                shared.ended_by_client.fetch_add(1, Ordering::SeqCst);
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Who ended a connection.
enum End {
    Client,
    Relay,
}

/// The server's side of a connection: what has come of it and is not yet taken.
struct Backend {
    stream: TcpStream,
    input: Vec<u8>,
}

fn serve(shared: &Shared, client: &TcpStream, number: usize) -> io::Result<End> {
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(PERIOD))?;
    client.set_read_timeout(Some(PERIOD))?;
    let mut peer = Peer {
        stream: client,
        shared,
    };
    let mut backend = Backend::connect(shared.backend)?;
    let mut requests = Vec::new();
    let mut index = 0;
    loop {
        while let Some((words, length)) = wire::request(&requests) {
            backend.stream.write_all(&requests[..length])?;
            requests.drain(..length);
            let reply = backend.reply(&words, &mut peer)?;
            shared.requests.fetch_add(1, Ordering::SeqCst);
            let exchange = Exchange {
                connection: number,
                index,
                words: &words,
                reply: &reply,
            };
            let behaviour = Arc::clone(&shared.behaviour());
            match behaviour(&exchange, &mut peer) {
                Flow::Continue => {}
                Flow::Close if peer.is_over() => return Ok(End::Client),
                Flow::Close => return Ok(End::Relay),
                Flow::Stall => return Ok(stall(&peer)),
            }
            index += 1;
        }
        if shared.is_closing() {
            return Ok(End::Relay);
        }
        let (from_client, from_server) = readable(client, &backend.stream)?;
        if from_server {
            backend.read()?;
            backend.pass_pushes(&mut peer)?;
        }
        // An error is a connection that was reset.
        if from_client && read_into(client, &mut requests).unwrap_or(0) == 0 {
            return Ok(End::Client);
        }
    }
}

/// Waits until the client has ended the connection or the relay is to end.
fn stall(peer: &Peer<'_>) -> End {
    while !peer.is_over() {
        std::thread::sleep(Duration::from_millis(2));
    }
    if peer.shared.is_closing() {
        End::Relay
    } else {
        End::Client
    }
}

impl Backend {
    fn connect(address: SocketAddr) -> io::Result<Backend> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Backend {
            stream,
            input: Vec::new(),
        })
    }

    fn read(&mut self) -> io::Result<()> {
        match read_into(&self.stream, &mut self.input)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The reply to a request. What is published meanwhile goes straight to the client.
    fn reply(&mut self, words: &[Vec<u8>], peer: &mut Peer<'_>) -> io::Result<Vec<u8>> {
        let subscribes = wire::name(words).ends_with("SUBSCRIBE");
        loop {
            match self.next()? {
                None => self.read()?,
                // What a subscription is answered by is a push.
                Some(push) if push[0] == b'>' && !(subscribes && is_subscription(&push)) => {
                    peer.send(&push);
                }
                Some(reply) => return Ok(reply),
            }
        }
    }

    fn pass_pushes(&mut self, peer: &mut Peer<'_>) -> io::Result<()> {
        while let Some(push) = self.next()? {
            peer.send(&push);
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length =
            wire::frame(&self.input).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        Ok(length.map(|length| self.input.drain(..length).collect()))
    }
}

fn is_subscription(push: &[u8]) -> bool {
    wire::strings(push)
        .first()
        .is_some_and(|kind| kind.ends_with(b"subscribe"))
}

fn read_into(mut stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let count = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn is_a_pause(error: &io::Error) -> bool {
    let pauses = [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut,
        ErrorKind::Interrupted,
    ];
    pauses.contains(&error.kind())
}

/// Which of the two have something to read, after a while at the latest.
fn readable(client: &TcpStream, server: &TcpStream) -> io::Result<(bool, bool)> {
    let entry = |stream: &TcpStream| libc::pollfd {
        fd: stream.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [entry(client), entry(server)];
    // SAFETY: the entries live for the call, and their number is right.
    if unsafe { libc::poll(entries.as_mut_ptr(), 2, 50) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((entries[0].revents != 0, entries[1].revents != 0))
}

/// Whether the client has closed its side, whatever it sent before.
fn has_hung_up(stream: &TcpStream) -> bool {
    let mut entry = libc::pollfd {
        fd: stream.as_raw_fd(),
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: the entry lives for the call.
    unsafe { libc::poll(&mut entry, 1, 0) };
    entry.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}
