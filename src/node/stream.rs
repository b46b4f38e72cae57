//! A connected, non-blocking byte stream to one server: TCP, a unix socket, or TLS over TCP.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;

use super::address::Tls;

/// Idle time before the first keep-alive probe, the time between probes, and how many may stay unanswered.
const KEEPALIVE: [libc::c_int; 3] = [30, 10, 3];

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
    /// Connects to a TCP address, waiting at most `timeout`.
    pub(crate) fn tcp(address: &SocketAddr, timeout: Duration) -> io::Result<Stream> {
        // The standard library refuses a timeout of nothing.
        let stream = TcpStream::connect_timeout(address, timeout.max(Duration::from_millis(1)))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let socket = Socket(stream.into());
        socket.keep_alive()?;
        socket.no_sigpipe()?;
        Ok(Stream::Plain(socket))
    }

    /// Connects to a unix socket, waiting at most `timeout` for a place in the server's queue.
    pub(crate) fn unix(path: &Path, timeout: Duration) -> io::Result<Stream> {
        let socket = Socket::connect_unix(path, timeout)?;
        socket.no_sigpipe()?;
        Ok(Stream::Plain(socket))
    }

    /// One end of a socket pair, for tests of what comes over it.
    #[cfg(test)]
    pub(crate) fn of_pair(end: std::os::unix::net::UnixStream) -> io::Result<Stream> {
        end.set_nonblocking(true)?;
        Ok(Stream::Plain(Socket(end.into())))
    }

    /// Puts TLS on top of a fresh plain stream. Nothing is sent before the first `handshake`.
    pub(crate) fn secure(self, tls: &Tls) -> io::Result<Stream> {
        let Stream::Plain(socket) = self else {
            return Err(io::Error::other("the stream has TLS already"));
        };
        let session = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())
            .map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(TlsStream { session, socket })))
    }

    /// The descriptor, for readiness only; it stays the stream's.
    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Stream::Plain(socket) => socket.0.as_raw_fd(),
            Stream::Tls(stream) => stream.socket.0.as_raw_fd(),
        }
    }

    /// Reads what has arrived. `Ok(0)` is the end of the stream (also when TLS was cut off without a goodbye).
    ///
    /// With edge-triggered readiness the caller reads until `WouldBlock`. A shorter read than asked for does not mean
    /// that nothing is left: TLS holds decrypted bytes of its own, for which no readiness is ever reported.
    /// A read may leave TLS with something to send: see `wants_write`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Takes as many of the bytes as there is room for. What TLS took may still wait for room in the socket: see
    /// `wants_write`. Never raises SIGPIPE.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    /// Whether TLS holds records that the socket had no room for: call `flush` when the descriptor becomes writable.
    /// Always false for a plain stream.
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

    /// Waits until the stream can be read (or written, if TLS wants to), at most `timeout`; false when time ran out.
    /// For the set-up only.
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
pub(crate) struct Socket(OwnedFd);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // SAFETY: the buffer is ours and as long as said.
            let count = unsafe {
                let start = buffer.as_mut_ptr().cast();
                libc::recv(self.0.as_raw_fd(), start, buffer.len(), 0)
            };
            if let Some(result) = outcome(count) {
                return result;
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // SAFETY: the bytes are ours and as many as said.
            let count = unsafe {
                let start = bytes.as_ptr().cast();
                libc::send(self.0.as_raw_fd(), start, bytes.len(), SEND_FLAGS)
            };
            if let Some(result) = outcome(count) {
                return result;
            }
        }
    }

    /// TLS has several records to send at a time: as one packet, not one each.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let parts = &parts[..parts.len().min(MOST_PARTS)];
        // SAFETY: all zeroes is a valid msghdr.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // An IoSlice is an iovec, by its documentation; sendmsg only reads it.
        message.msg_iov = parts.as_ptr().cast_mut().cast();
        // The type differs from system to system; the number is small.
        message.msg_iovlen = parts.len() as _;
        loop {
            // SAFETY: the message and what it points to live for the whole call.
            let count = unsafe { libc::sendmsg(self.0.as_raw_fd(), &message, SEND_FLAGS) };
            if let Some(result) = outcome(count) {
                return result;
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What every system allows at least for one call.
const MOST_PARTS: usize = 16;

/// A library must not end its host with a signal because a server went away.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
/// Here the socket itself is told: `no_sigpipe`.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: libc::c_int = 0;

/// The result of a system call that moves bytes; `None` when a signal interrupted it.
fn outcome(count: libc::ssize_t) -> Option<io::Result<usize>> {
    if let Ok(count) = usize::try_from(count) {
        return Some(Ok(count));
    }
    let error = io::Error::last_os_error();
    (error.kind() != io::ErrorKind::Interrupted).then_some(Err(error))
}

impl Socket {
    /// The standard library's connect would wait without bound for a server that is stopped with a full queue.
    fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Socket> {
        let (name, length) = socket_name(path)?;
        let socket = Socket::new_unix()?;
        socket.set_send_timeout(timeout.max(Duration::from_millis(1)))?;
        // SAFETY: `name` is a sockaddr_un of `length` bytes.
        while unsafe {
            let start = std::ptr::from_ref(&name).cast();
            libc::connect(socket.0.as_raw_fd(), start, length)
        } == -1
        {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                _ => return Err(error),
            }
        }
        socket.set_flag(libc::F_GETFL, libc::F_SETFL, libc::O_NONBLOCK)?;
        Ok(socket)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn new_unix() -> io::Result<Socket> {
        Socket::open(libc::SOCK_STREAM | libc::SOCK_CLOEXEC)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn new_unix() -> io::Result<Socket> {
        let socket = Socket::open(libc::SOCK_STREAM)?;
        socket.set_flag(libc::F_GETFD, libc::F_SETFD, libc::FD_CLOEXEC)?;
        Ok(socket)
    }

    fn open(kind: libc::c_int) -> io::Result<Socket> {
        // SAFETY: no pointers; the result is checked and owned by no one else.
        unsafe {
            match libc::socket(libc::AF_UNIX, kind, 0) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Socket(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    fn set_flag(&self, get: libc::c_int, set: libc::c_int, flag: libc::c_int) -> io::Result<()> {
        // SAFETY: no pointers.
        unsafe {
            let flags = libc::fcntl(self.0.as_raw_fd(), get);
            if flags == -1 || libc::fcntl(self.0.as_raw_fd(), set, flags | flag) == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    fn set_send_timeout(&self, timeout: Duration) -> io::Result<()> {
        let value = libc::timeval {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            // Below a million, which fits everywhere.
            tv_usec: timeout.subsec_micros() as libc::suseconds_t,
        };
        self.set_option(libc::SOL_SOCKET, libc::SO_SNDTIMEO, value)
    }

    /// So that a connection that a firewall or a dead host forgot is noticed while nothing is being sent.
    fn keep_alive(&self) -> io::Result<()> {
        #[cfg(not(target_vendor = "apple"))]
        const IDLE: libc::c_int = libc::TCP_KEEPIDLE;
        #[cfg(target_vendor = "apple")]
        const IDLE: libc::c_int = libc::TCP_KEEPALIVE;
        let on: libc::c_int = 1;
        self.set_option(libc::SOL_SOCKET, libc::SO_KEEPALIVE, on)?;
        self.set_option(libc::IPPROTO_TCP, IDLE, KEEPALIVE[0])?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, KEEPALIVE[1])?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, KEEPALIVE[2])
    }

    #[cfg(target_vendor = "apple")]
    fn no_sigpipe(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        self.set_option(libc::SOL_SOCKET, libc::SO_NOSIGPIPE, on)
    }

    #[cfg(not(target_vendor = "apple"))]
    fn no_sigpipe(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_option<T>(&self, level: libc::c_int, name: libc::c_int, value: T) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
        // SAFETY: the value lives for the whole call and is as long as said.
        let result = unsafe {
            let start = std::ptr::from_ref(&value).cast();
            libc::setsockopt(self.0.as_raw_fd(), level, name, start, length)
        };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// A path as the system calls want it.
fn socket_name(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let bytes = path.as_os_str().as_encoded_bytes();
    // SAFETY: all zeroes is a valid sockaddr_un.
    let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if bytes.len() >= name.sun_path.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    name.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in name.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let length = libc::socklen_t::try_from(size_of_val(&name)).map_err(io::Error::other)?;
    Ok((name, length))
}

/// TLS over a non-blocking socket.
#[derive(Debug)]
pub(crate) struct TlsStream {
    session: ClientConnection,
    socket: Socket,
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
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
        let stream = Stream::tcp(&listener.local_addr().unwrap(), LONG).unwrap();
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
    #[cfg(target_os = "linux")]
    fn a_unix_server_with_a_full_queue_is_not_waited_for_without_bound() {
        let name = format!("redlock-full-queue-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // SAFETY: a descriptor of ours; a second listen only changes the length of the queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let first = Stream::unix(&path, LONG);
        let second = Stream::unix(&path, Duration::from_millis(20));
        std::fs::remove_file(&path).unwrap();
        assert!(first.is_ok());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
