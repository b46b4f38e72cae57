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
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => SetupError::new(
            Status::Unreachable,
            "the server closed the connection during the TLS handshake: is this a TLS port?",
        ),
        _ => SetupError::new(Status::Unreachable, format!("TLS failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_each_address_comes_once() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        assert_eq!(alternate(found), expected);
        let found = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        let expected = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(alternate(found), expected);
        assert_eq!(alternate(Vec::new()), Vec::new());
    }
}
