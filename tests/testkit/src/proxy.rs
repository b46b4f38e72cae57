//! A TCP proxy in front of a server, with faults that are switched while connections are open.

mod link;
mod pump;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use link::Link;

use crate::server::{Server, random_port};
use crate::user;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What goes wrong between a client and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// New connections are refused, and open ones are cut.
    Refuse,
    /// Connections are accepted, and whatever is sent in either direction vanishes. A connection that has lost bytes is
    /// cut when another fault takes over, for its stream makes no sense any more.
    BlackHole,
    /// Nothing arrives in either direction until another fault takes over; then everything does, late.
    Hold,
    /// The same for connections that are open now; those that are made later pass. So what a client left in a connection
    /// that it gave up arrives after what it sends over the next one.
    HoldOpen,
    /// Everything arrives so much later.
    Delay {
        /// What the client sends.
        request: Duration,
        /// What the server answers.
        answer: Duration,
    },
    /// Everything arrives as over a network with jitter and loss.
    Link(Link),
    /// Each connection is cut after so many bytes of the server's answers, counted from now on.
    CutAfter(usize),
    /// The same, but only the first connection that gets there; from then on it is [`Fault::Pass`].
    CutOnceAfter(usize),
}

/// A listener on a port of 127.0.0.1 that passes everything on to a server. It keeps its port, whatever the fault, until it
/// is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the proxy's threads have in common.
struct Shared {
    listener: TcpListener,
    state: Mutex<State>,
    /// Told of every change of the fault, and of the end.
    changed: Condvar,
    /// Bytes of requests that have come and not gone on.
    held: AtomicUsize,
}

struct State {
    backend: SocketAddr,
    fault: Fault,
    /// Counts the changes of the fault, so that a count of bytes begins anew with each.
    era: u64,
    closing: bool,
    accepted: usize,
    open: Vec<Arc<Connection>>,
}

/// The two sockets of one client.
struct Connection {
    client: TcpStream,
    /// None when it was accepted into a black hole.
    server: Option<TcpStream>,
    /// The era in which it was accepted.
    era: u64,
    is_cut: AtomicBool,
    /// Whether bytes of it have vanished. Written and read under the state's lock.
    has_lost: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of a server of the testkit.
    pub fn to(server: &Server) -> Proxy {
        Proxy::start(backend_of(server))
    }

    /// Starts a proxy in front of any address.
    pub fn start(backend: SocketAddr) -> Proxy {
        let (listener, port) = listen();
        let state = State {
            backend,
            fault: Fault::Pass,
            era: 0,
            closing: false,
            accepted: 0,
            open: Vec::new(),
        };
        let shared = Arc::new(Shared {
            listener,
            state: Mutex::new(state),
            changed: Condvar::new(),
            held: AtomicUsize::new(0),
        });
        let acceptor = std::thread::Builder::new()
            .name("testkit-proxy".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || accept_all(&shared)
            });
        Proxy {
            port,
            shared,
            acceptor: Some(acceptor.expect("a thread can be started")),
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of a plain server behind it without a password: `redis://127.0.0.1:20001`, as the
    /// [library's user](crate::library_user).
    pub fn url(&self) -> String {
        let login = user::login().map(|(user, password)| format!("{user}:{password}@"));
        format!("redis://{}{}", login.unwrap_or_default(), self.address())
    }

    /// Changes the fault, at once and for open connections too.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        let was = std::mem::replace(&mut state.fault, fault);
        state.era += 1;
        self.shared.changed.notify_all();
        if fault != Fault::BlackHole {
            state.cut(|connection| {
                connection.has_lost.load(Ordering::Relaxed) || connection.server.is_none()
            });
        }
        match (was == Fault::Refuse, fault == Fault::Refuse) {
            (false, true) => {
                self.shared.close_listener();
                state.cut(|_| true);
            }
            (true, false) => self.shared.reopen_listener(),
            _ => {}
        }
    }

    /// Sends connections that are made from now on to another server; open ones stay where they are.
    pub fn set_backend(&self, server: &Server) {
        self.shared.state().backend = backend_of(server);
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        self.shared.state().cut(|_| true);
        self.shared.changed.notify_all();
    }

    /// How many connections have been accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// How many bytes of requests it has got and not yet passed on. What it holds goes on as one piece.
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            state.cut(|_| true);
            self.shared.changed.notify_all();
            self.shared.close_listener();
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses connections but keeps the port: on Linux a socket that was bound to a port of its own choice stays bound
    /// when it stops listening, so nobody else can take the port meanwhile. Wakes the thread that accepts.
    fn close_listener(&self) {
        // SAFETY: shutdown takes two integers, and the descriptor lives as long as the listener.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
    }

    fn reopen_listener(&self) {
        // SAFETY: listen takes two integers, and the descriptor lives as long as the listener.
        let result = unsafe { libc::listen(self.listener.as_raw_fd(), BACKLOG) };
        assert_eq!(
            result,
            0,
            "the proxy can listen again: {}",
            io::Error::last_os_error()
        );
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.state()
            .open
            .retain(|open| !Arc::ptr_eq(open, connection));
    }
}

impl State {
    fn cut(&mut self, which: impl Fn(&Connection) -> bool) {
        self.open.retain(|connection| {
            let goes = which(connection);
            if goes {
                connection.cut();
            }
            !goes
        });
    }
}

impl Connection {
    /// Ends it for both sides. Its threads notice and end.
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in [Some(&self.client), self.server.as_ref()]
            .into_iter()
            .flatten()
        {
            // Fails when the other side has ended it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn backend_of(server: &Server) -> SocketAddr {
    server
        .address()
        .parse()
        .expect("servers listen on numeric addresses")
}

fn listen() -> (TcpListener, u16) {
    for _ in 0..1000 {
        let port = random_port();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return (listener, port);
        }
    }
    panic!("no free port was found for a proxy")
}

fn accept_all(shared: &Arc<Shared>) {
    loop {
        let accepted = shared.listener.accept();
        let mut state = shared.state();
        if state.closing {
            return;
        }
        match accepted {
            Ok((client, _)) if state.fault != Fault::Refuse => {
                state.accepted += 1;
                let (backend, swallow) = (state.backend, state.fault == Fault::BlackHole);
                let era = state.era;
                drop(state);
                serve(shared, client, (backend, era), swallow);
            }
            // Dropping the client ends it.
            Ok(_) => {}
            // The listener is closed while connections are refused.
            Err(_) => {
                let refused = |state: &mut State| state.fault == Fault::Refuse && !state.closing;
                drop(
                    shared
                        .changed
                        .wait_while(state, refused)
                        .unwrap_or_else(PoisonError::into_inner),
                );
            }
        }
    }
}

/// Starts the threads of one connection, unless its server cannot be reached; then the client is cut.
fn serve(
    shared: &Arc<Shared>,
    client: TcpStream,
    (backend, era): (SocketAddr, u64),
    swallow: bool,
) {
    let server = if swallow {
        None
    } else {
        TcpStream::connect_timeout(&backend, Duration::from_secs(5)).ok()
    };
    if server.is_none() && !swallow {
        return;
    }
    for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
        let _ = stream.set_nodelay(true);
    }
    let connection = Arc::new(Connection {
        client,
        server,
        era,
        is_cut: AtomicBool::new(false),
        has_lost: AtomicBool::new(false),
    });
    {
        let mut state = shared.state();
        // The fault may have changed since.
        if state.closing
            || state.fault == Fault::Refuse
            || (swallow && state.fault != Fault::BlackHole)
        {
            return;
        }
        state.open.push(Arc::clone(&connection));
    }
    pump::start(shared, &connection);
}
