//! A non-blocking byte stream to one server: TCP, a unix socket, or TLS over TCP.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockAddr, TcpKeepalive, Type};

use crate::descriptors::Ours;

/// Idle time before the first keep-alive probe, the time between probes, and how many may stay unanswered: so that a
/// connection that a firewall or a dead host forgot is noticed while nothing is being sent.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// A byte stream to one server. Every call returns at once: `WouldBlock` says that nothing could be done now.
///
/// Dropping it closes the descriptor and does nothing else. In particular no TLS close_notify is sent: in a forked
/// child that would end the parent's session, which shares the connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP or unix.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Begins to connect to a TCP address; see [`is_connected`](Self::is_connected).
    pub(crate) fn tcp(address: &SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(*address))?;
        socket.0.set_tcp_nodelay(true)?;
        socket.0.set_tcp_keepalive(&KEEPALIVE)?;
        socket.connect(&SockAddr::from(*address))?;
        Ok(Stream::Plain(socket))
    }

    /// Connects to a unix socket. `WouldBlock` if the server's queue is full: try again later, no readiness tells when.
    pub(crate) fn unix(path: &Path) -> io::Result<Stream> {
        let socket = Socket::new(Domain::UNIX)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Stream::Plain(socket))
    }

    /// Whether the connection stands; false while it is being made. The descriptor becomes writable when that changes.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let socket = &self.socket().0;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            // Some systems say so of a connection that was reset in the same moment.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Err(error) => Err(error),
        }
    }

    /// One end of a socket pair, for tests of what comes over it.
    #[cfg(test)]
    pub(crate) fn of_pair(end: std::os::unix::net::UnixStream) -> io::Result<Stream> {
        end.set_nonblocking(true)?;
        Ok(Stream::Plain(Socket(Ours::new(end.into()))))
    }

    /// The server's port, for tests that mean one server's connections; 0 if there is none.
    #[cfg(test)]
    pub(crate) fn peer_port(&self) -> u16 {
        let address = self.socket().0.peer_addr().ok();
        address
            .and_then(|it| it.as_socket())
            .map_or(0, |it| it.port())
    }

    /// Puts TLS on top of a fresh plain stream. Nothing is sent before the first `handshake`.
    pub(crate) fn secure(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Stream> {
        let Stream::Plain(socket) = self else {
            return Err(io::Error::other("the stream has TLS already"));
        };
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(TlsStream { session, socket })))
    }

    fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.socket,
        }
    }

    /// The descriptor, for readiness only; it stays the stream's.
    pub(crate) fn fd(&self) -> RawFd {
        self.socket().0.as_raw_fd()
    }

    /// Whether the descriptor is still the stream's: the application may have closed it.
    pub(crate) fn is_ours(&self) -> bool {
        self.socket().0.is_ours()
    }

    /// Reads what has arrived. `Ok(0)` is the end of the stream (also when TLS was cut off without a goodbye).
    ///
    /// With edge-triggered readiness the caller reads until `WouldBlock`. A shorter read than asked for does not mean
    /// that nothing is left: TLS holds decrypted bytes of its own, for which no readiness is ever reported.
    /// A read may leave TLS with something to send, for which `flush` is called when the descriptor becomes writable.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Takes as many of the bytes as there is room for. What TLS took may still wait for room in the socket: see
    /// `flush`. Never raises SIGPIPE.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    /// Whether TLS holds records that the socket had no room for: call `flush` when the descriptor becomes writable.
    /// Always false for a plain stream.
    #[cfg(test)]
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.session.wants_write(),
        }
    }

    /// Sends what TLS holds back; `WouldBlock` when the socket has no room for all of it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.flush(),
        }
    }

    /// Brings the TLS handshake forward: true once it is done, `WouldBlock` while the other side is awaited. A plain
    /// stream has none to do.
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        match self {
            Stream::Plain(_) => Ok(true),
            Stream::Tls(stream) => stream.handshake(),
        }
    }

    /// Waits until the stream can be read (or written, if asked for or if TLS wants to), at most `timeout`; false when time
    /// ran out.
    #[cfg(test)]
    pub(crate) fn wait(&self, writable: bool, timeout: Duration) -> io::Result<bool> {
        let mut events = libc::POLLIN;
        if writable || self.wants_write() {
            events |= libc::POLLOUT;
        }
        let mut poll = libc::pollfd {
            fd: self.fd(),
            events,
            revents: 0,
        };
        // Rounded up, so that the last millisecond is not spent spinning.
        let millis = timeout.as_micros().div_ceil(1000);
        let millis = libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX);
        // SAFETY: one pollfd, which lives for the whole call.
        match unsafe { libc::poll(&mut poll, 1, millis) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(true),
                error => Err(error),
            },
            ready => Ok(ready > 0),
        }
    }
}

/// A non-blocking socket that never raises SIGPIPE.
#[derive(Debug)]
pub(crate) struct Socket(Ours<socket2::Socket>);

/// A library must not end its host with a signal because a server went away.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
/// Here the socket itself is told.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: libc::c_int = 0;

impl Socket {
    /// Closed on exec, as all of the library's descriptors are.
    fn new(domain: Domain) -> io::Result<Socket> {
        let socket = socket2::Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        Ok(Socket(Ours::new(socket)))
    }

    /// Connects, or begins to.
    fn connect(&self, address: &SockAddr) -> io::Result<()> {
        match self.0.connect(address) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            // A signal does not stop the attempt: it goes on as if it had been in progress.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| (&*self.0).read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.send_with_flags(bytes, SEND_FLAGS))
    }

    /// TLS has several records to send at a time: as one packet, not one each.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        uninterrupted(|| self.0.send_vectored_with_flags(parts, SEND_FLAGS))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a system call that moves bytes, made again after a signal.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// How many reads of a TLS socket in a row may bring nothing to read, though the socket had something: a long record comes
/// in parts, and a server may send a few records of its own.
const MOST_EMPTY_READS: usize = 64;

/// TLS over a non-blocking socket.
#[derive(Debug)]
pub(crate) struct TlsStream {
    session: ClientConnection,
    socket: Socket,
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..MOST_EMPTY_READS {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The server did not say goodbye. Replies have lengths, so that nothing can be cut off unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            if !self.receive()? {
                return Ok(0);
            }
        }
        let message = "the server sends TLS records without end that hold nothing";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Takes records from the socket; false at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        let count = self.session.read_tls(&mut self.socket)?;
        if let Err(error) = self.session.process_new_packets() {
            // Tell the server why; whether that succeeds does not matter any more.
            let _ = self.flush();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.push()?;
        Ok(count > 0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        let count = self.session.writer().write(bytes)?;
        self.push()?;
        match count {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    /// Sends what the socket has room for.
    fn push(&mut self) -> io::Result<()> {
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// A server that refuses us sends an alert and hangs up; our next write may fail before that alert is read.
    fn last_words(&mut self, failure: io::Error) -> io::Error {
        if failure.kind() == io::ErrorKind::WouldBlock {
            return failure;
        }
        loop {
            match self.session.read_tls(&mut self.socket) {
                Ok(0) | Err(_) => return failure,
                Ok(_) => {
                    if let Err(alert) = self.session.process_new_packets() {
                        return io::Error::new(io::ErrorKind::InvalidData, alert);
                    }
                }
            }
        }
    }

    fn handshake(&mut self) -> io::Result<bool> {
        while self.session.is_handshaking() {
            self.flush().map_err(|error| self.last_words(error))?;
            if self.session.is_handshaking() && !self.receive()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.push()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(10);

    fn pair() -> (Stream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        (Stream::of_pair(near).unwrap(), far)
    }

    #[test]
    fn reading_says_what_is_there_nothing_yet_and_the_end() {
        let (mut stream, mut far) = pair();
        let mut buffer = [0; 4];
        let error = stream.read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        far.write_all(b"abcdef").unwrap();
        assert!(stream.wait(false, LONG).unwrap());
        assert_eq!(stream.read(&mut buffer).unwrap(), 4);
        assert_eq!(stream.read(&mut buffer).unwrap(), 2);
        drop(far);
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn writing_stops_when_there_is_no_room() {
        let (mut stream, mut far) = pair();
        let chunk = [7; 65536];
        let mut sent = 0;
        let error = loop {
            match stream.write(&chunk) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(sent > 0);
        let mut received = vec![0; sent];
        far.read_exact(&mut received).unwrap();
        assert!(stream.write(&chunk).unwrap() > 0);
    }

    /// A blocked signal stays pending even where it is ignored, as Rust's start-up code ignores SIGPIPE.
    #[test]
    #[cfg(target_os = "linux")]
    fn writing_to_a_closed_socket_is_an_error_and_no_signal() {
        let (mut stream, far) = pair();
        drop(far);
        // SAFETY: the sets live for the calls; only this thread's mask is touched.
        let (error, pending) = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGPIPE);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            let error = stream.write(b"x").unwrap_err();
            libc::sigpending(&mut set);
            (error, libc::sigismember(&set, libc::SIGPIPE))
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(pending, 0);
    }

    #[test]
    fn descriptors_are_closed_on_exec_and_do_not_block() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Stream::tcp(&listener.local_addr().unwrap()).unwrap();
        // SAFETY: no pointers.
        let (descriptor, status) = unsafe {
            (
                libc::fcntl(stream.fd(), libc::F_GETFD),
                libc::fcntl(stream.fd(), libc::F_GETFL),
            )
        };
        assert_ne!(descriptor & libc::FD_CLOEXEC, 0);
        assert_ne!(status & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn connecting_comes_to_an_end_either_way() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let end = || {
            let stream = Stream::tcp(&address)?;
            while !stream.is_connected()? {
                assert!(stream.wait(true, LONG)?, "no end");
            }
            Ok::<_, io::Error>(())
        };
        end().unwrap();
        drop(listener);
        assert_eq!(end().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_unix_server_with_a_full_queue_is_not_waited_for() {
        let name = format!("redlock-full-queue-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // SAFETY: a descriptor of ours; a second listen only changes the length of the queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let first = Stream::unix(&path);
        let second = Stream::unix(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(first.unwrap().is_connected().unwrap());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
