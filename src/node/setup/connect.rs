//! From an address to a connected stream: name resolution, every address in turn, and the TLS handshake.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::dialogue::Deadline;
use super::{SetupError, tls_reason};
use crate::error::Status;
use crate::node::address::{Address, Endpoint, Tls};
use crate::node::stream::Stream;

/// Connects, with TLS if the address says so; also returns whom it reached.
pub(crate) fn connect(
    address: &Address,
    deadline: &Deadline,
) -> Result<(Stream, String), SetupError> {
    let (stream, peer) = match &address.endpoint {
        Endpoint::Unix(path) => {
            let stream = Stream::unix(path, deadline.remaining())
                .map_err(|error| cannot_connect(&reason(&error)))?;
            (stream, path.display().to_string())
        }
        Endpoint::Tcp { host, port } => connect_tcp(&resolve(host, *port)?, deadline)?,
    };
    match &address.tls {
        Some(tls) => Ok((secure(stream, tls, deadline)?, peer)),
        None => Ok((stream, peer)),
    }
}

/// All addresses of a host. The system's resolver knows no deadline; whoever calls must be able to wait for it.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SetupError> {
    let unknown = |why: &str| {
        SetupError::new(
            Status::Unreachable,
            format!("cannot resolve the host name: {why}"),
        )
    };
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| unknown(&error.to_string()))?;
    let addresses = alternate(found.collect());
    match addresses.is_empty() {
        true => Err(unknown("it has no address")),
        false => Ok(addresses),
    }
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

/// Each attempt may take an equal share of the time left, so that one address that swallows packets leaves time for
/// the others.
fn connect_tcp(
    addresses: &[SocketAddr],
    deadline: &Deadline,
) -> Result<(Stream, String), SetupError> {
    let mut failures = Vec::new();
    for (tried, address) in addresses.iter().enumerate() {
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            failures.push(format!("{address}: not tried, time is over"));
            continue;
        }
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match Stream::tcp(address, remaining / left) {
            Ok(stream) => return Ok((stream, address.to_string())),
            Err(error) => failures.push(format!("{address}: {}", reason(&error))),
        }
    }
    Err(cannot_connect(&failures.join(", ")))
}

fn cannot_connect(reason: &str) -> SetupError {
    SetupError::new(Status::Unreachable, format!("cannot connect: {reason}"))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    }
}

fn secure(stream: Stream, tls: &Tls, deadline: &Deadline) -> Result<Stream, SetupError> {
    let mut stream = stream
        .secure(tls)
        .map_err(|error| tls_failure(&error, deadline))?;
    loop {
        let result = match stream.handshake() {
            Ok(true) => return Ok(stream),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => deadline.wait(&stream, false),
        };
        result.map_err(|error| tls_failure(&error, deadline))?;
    }
}

fn tls_failure(error: &io::Error, deadline: &Deadline) -> SetupError {
    if let Some(reason) = tls_reason(error) {
        return SetupError::new(Status::Unreachable, reason);
    }
    let millis = deadline.timeout().as_millis();
    match error.kind() {
        io::ErrorKind::TimedOut => SetupError::new(
            Status::Timeout,
            format!("connected, but no TLS within {millis} ms: is this a TLS port?"),
        ),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => SetupError::new(
            Status::Unreachable,
            "the server closed the connection during the TLS handshake: is this a TLS port, or does it want a client \
             certificate?",
        ),
        _ => SetupError::new(Status::Unreachable, format!("TLS failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn families_take_turns_and_each_address_comes_once() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        assert_eq!(alternate(found), expected);
        let found = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(alternate(found.clone()), found);
        assert_eq!(alternate(Vec::new()), Vec::new());
    }

    #[test]
    fn a_refused_address_is_followed_by_the_next() {
        let (closed, refusing) = listen();
        drop(closed);
        let (_open, good) = listen();
        let deadline = Deadline::after(LONG);
        let (_, peer) = connect_tcp(&[refusing, good], &deadline).unwrap();
        assert_eq!(peer, good.to_string());
        let error = connect_tcp(&[refusing, refusing], &deadline).unwrap_err();
        assert_eq!(error.kind, Status::Unreachable);
        let each = format!("{refusing}: Connection refused");
        assert_eq!(error.message.matches(&each).count(), 2, "{error:?}");
    }

    /// A listener whose queue is full swallows what comes, as a black hole does.
    #[test]
    #[cfg(target_os = "linux")]
    fn an_address_that_swallows_packets_leaves_time_for_the_next() {
        use std::os::fd::AsRawFd;
        let (full, hole) = listen();
        // SAFETY: a descriptor of ours; a second listen only changes the length of the queue.
        assert_eq!(unsafe { libc::listen(full.as_raw_fd(), 0) }, 0);
        let mut fill = Vec::new();
        while let Ok(stream) = Stream::tcp(&hole, Duration::from_millis(200)) {
            fill.push(stream);
            assert!(fill.len() < 100, "the queue is never full");
        }
        let (_open, good) = listen();
        let deadline = Deadline::after(Duration::from_secs(1));
        let (_, peer) = connect_tcp(&[hole, good], &deadline).unwrap();
        assert_eq!(peer, good.to_string());
    }

    /// How a TLS handshake ends with a server that reads something and then sends these bytes.
    fn handshake_with(answer: &'static [u8]) -> SetupError {
        let (listener, address) = listen();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut hello = [0; 5];
            client.read_exact(&mut hello).unwrap();
            client.write_all(answer).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            // What is left unread would become a reset, which can overtake the answer.
            let _ = client.read_to_end(&mut Vec::new());
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let tls = Tls {
            config: Arc::new(config),
            name: "localhost".try_into().unwrap(),
        };
        let stream = Stream::tcp(&address, LONG).unwrap();
        let error = secure(stream, &tls, &Deadline::after(LONG)).unwrap_err();
        server.join().unwrap();
        error
    }

    #[test]
    fn a_port_without_tls_is_called_one() {
        let error = handshake_with(b"-ERR unknown command\r\n");
        assert_eq!(error.kind, Status::Unreachable);
        assert!(error.message.contains("does not speak TLS"), "{error:?}");
        let error = handshake_with(b"");
        assert_eq!(error.kind, Status::Unreachable);
        assert!(error.message.contains("is this a TLS port"), "{error:?}");
    }

    #[test]
    fn an_alert_of_tls_is_named() {
        let error = handshake_with(b"\x15\x03\x03\x00\x02\x02\x28");
        assert!(error.message.contains("HandshakeFailure"), "{error:?}");
        assert!(error.message.contains("client certificate"), "{error:?}");
    }
}
