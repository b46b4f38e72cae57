//! Commands and replies in turn over a fresh connection, all before one deadline.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use redis::{Cmd, Parser, ServerError, Value};

use super::{SetupError, tls_reason};
use crate::error::Status;
use crate::node::address::Secret;
use crate::node::stream::Stream;

/// The longest reply that is read; INFO, the longest of the set-up, has some ten KiB.
const LONGEST_REPLY: usize = 1 << 20;

/// The most of a server's words that is repeated.
const LONGEST_WORDS: usize = 300;

/// The first byte of a TLS alert.
const TLS_ALERT: u8 = 0x15;

/// The time by which the whole set-up must be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    begun: Instant,
    timeout: Duration,
}

impl Deadline {
    /// A deadline that far from now.
    pub(crate) fn after(timeout: Duration) -> Deadline {
        let begun = Instant::now();
        Deadline { begun, timeout }
    }

    /// The time left; zero when it is over.
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }

    /// The whole time, for messages.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for the stream, or says that time is over.
    pub(crate) fn wait(&self, stream: &Stream, writable: bool) -> io::Result<()> {
        let remaining = self.remaining();
        if remaining.is_zero() || !stream.wait(writable, remaining)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

/// A conversation with one server.
pub(crate) struct Dialogue<'a> {
    wire: Wire,
    parser: Parser,
    password: Option<&'a Secret>,
    round_trip: Option<Duration>,
}

impl<'a> Dialogue<'a> {
    /// A conversation in which the password is blotted out of whatever the server says.
    pub(crate) fn new(
        stream: Stream,
        deadline: Deadline,
        password: Option<&'a Secret>,
    ) -> Dialogue<'a> {
        let wire = Wire {
            stream,
            deadline,
            room: LONGEST_REPLY,
            first: None,
            fault: None,
        };
        Dialogue {
            wire,
            parser: Parser::new(),
            password,
            round_trip: None,
        }
    }

    /// The stream, and the shortest time that an exchange took.
    pub(crate) fn finish(self) -> (Stream, Duration) {
        (self.wire.stream, self.round_trip.unwrap_or_default())
    }

    /// Sends the commands at once and reads their replies. `what` names them in errors.
    pub(crate) fn exchange(
        &mut self,
        what: &str,
        commands: &[Cmd],
    ) -> Result<Vec<Value>, SetupError> {
        let begun = Instant::now();
        let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        if let Err(error) = self.wire.send(&packed) {
            return Err(match self.receive(what) {
                Ok(Value::ServerError(words)) => self.server_error(&words),
                Err(reason) if reason.kind == Status::Unreachable => reason,
                _ => self.failure(what, &error),
            });
        }
        let replies = self.receive_all(what, commands.len())?;
        let elapsed = begun.elapsed();
        self.round_trip = Some(self.round_trip.map_or(elapsed, |least| least.min(elapsed)));
        Ok(replies)
    }

    /// Sends two commands, the first of which may be answered by a push alone, and gives what came first.
    pub(crate) fn first_of(
        &mut self,
        what: &str,
        commands: &[Cmd; 2],
    ) -> Result<Value, SetupError> {
        let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        if let Err(error) = self.wire.send(&packed) {
            return Err(self.failure(what, &error));
        }
        let first = self.receive(what)?;
        self.receive(what)?;
        Ok(first)
    }

    fn receive_all(&mut self, what: &str, count: usize) -> Result<Vec<Value>, SetupError> {
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            match (self.receive(what), replies.last()) {
                // Not an answer to anything.
                (Ok(Value::Push { .. }), _) => {}
                (Ok(reply), _) => replies.push(reply),
                // A server that hangs up says why first.
                (Err(_), Some(Value::ServerError(words))) => return Err(self.server_error(words)),
                (Err(error), _) => return Err(error),
            }
        }
        Ok(replies)
    }

    fn receive(&mut self, what: &str) -> Result<Value, SetupError> {
        self.wire.room = LONGEST_REPLY;
        match self.parser.parse_value(&mut self.wire) {
            Ok(value) => Ok(value),
            Err(_) => match self.wire.fault.take() {
                Some(error) => Err(self.failure(what, &error)),
                None => Err(self.garbage(what)),
            },
        }
    }

    fn garbage(&self, what: &str) -> SetupError {
        let message = match self.wire.first {
            Some(TLS_ALERT) => "answered with a TLS alert: for a TLS port use rediss://".to_owned(),
            _ => format!("the answer to {what} is not the Redis protocol: is this a Redis server?"),
        };
        SetupError::new(Status::Unreachable, message)
    }

    fn failure(&self, what: &str, error: &io::Error) -> SetupError {
        if let Some(reason) = tls_reason(error) {
            return SetupError::new(Status::Unreachable, reason);
        }
        let millis = self.wire.deadline.timeout().as_millis();
        match error.kind() {
            io::ErrorKind::TimedOut => SetupError::new(
                Status::Timeout,
                format!("connected, but no answer to {what} within {millis} ms"),
            ),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => SetupError::new(
                Status::Unreachable,
                format!(
                    "the server closed the connection instead of answering {what}{}",
                    self.hint()
                ),
            ),
            _ => SetupError::new(Status::Unreachable, format!("{what} failed: {error}")),
        }
    }

    /// What else a server may be that takes a connection and hangs up on the first command.
    fn hint(&self) -> &'static str {
        match (&self.wire.stream, self.wire.first) {
            (Stream::Plain(_), None) => " (for a TLS port use rediss://)",
            _ => "",
        }
    }

    /// The server's own words, without secrets.
    pub(crate) fn words(&self, error: &ServerError) -> String {
        let text = match error.details() {
            Some(details) => format!("{} {details}", error.code()),
            None => error.code().to_owned(),
        };
        let text = self
            .password
            .map_or(text.clone(), |password| password.blot(&text));
        legible(&text)
    }

    /// What an error reply means for the connection.
    pub(crate) fn server_error(&self, error: &ServerError) -> SetupError {
        let words = self.words(error);
        let (kind, message) = match error.code() {
            "NOAUTH" => (
                Status::Server,
                format!("the server asks for a password, give it in the URL: {words}"),
            ),
            "WRONGPASS" => (
                Status::Server,
                format!("the server refused the URL's user or password: {words}"),
            ),
            "NOPERM" => (
                Status::Server,
                format!("the URL's user lacks a permission: {words}"),
            ),
            "LOADING" => (
                Status::NotAdmitted,
                "the server is loading its data set".to_owned(),
            ),
            "MASTERDOWN" => (
                Status::NotAdmitted,
                "the server is a replica without its master".to_owned(),
            ),
            _ => (Status::Server, words),
        };
        SetupError::new(kind, message)
    }
}

/// A server's text as a message may repeat it: one line, of bounded length.
pub(crate) fn legible(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_WORDS).collect();
    short
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The stream made blocking, with a bound on time and on the bytes of one reply.
struct Wire {
    stream: Stream,
    deadline: Deadline,
    room: usize,
    first: Option<u8>,
    /// What ended the stream: the parser does not pass errors on unchanged.
    fault: Option<io::Error>,
}

impl Wire {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => self.wait_after(error, true)?,
            }
        }
        while let Err(error) = self.stream.flush() {
            self.wait_after(error, true)?;
        }
        Ok(())
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.room);
        if length == 0 {
            return Err(io::Error::other("a reply is longer than 1 MiB"));
        }
        loop {
            match self.stream.read(&mut buffer[..length]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.room -= count;
                    self.first = self.first.or(Some(buffer[0]));
                    return Ok(count);
                }
                Err(error) => self.wait_after(error, false)?,
            }
        }
    }

    fn wait_after(&self, error: io::Error, writable: bool) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.deadline.wait(&self.stream, writable),
            _ => Err(error),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer).map_err(|error| {
            let kind = error.kind();
            self.fault = Some(error);
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(10);

    /// What an exchange of `count` PINGs says when these bytes come back and then the end.
    fn answered(bytes: &[u8], count: usize) -> Result<Vec<Value>, SetupError> {
        let (near, mut far) = UnixStream::pair().unwrap();
        let stream = Stream::of_pair(near).unwrap();
        let bytes = bytes.to_vec();
        let server = std::thread::spawn(move || {
            let mut command = [0; 14];
            far.read_exact(&mut command).unwrap();
            // The reader may hang up before the end of a long answer.
            let _ = far.write_all(&bytes);
        });
        let mut dialogue = Dialogue::new(stream, Deadline::after(LONG), None);
        let commands = vec![redis::cmd("PING"); count];
        let result = dialogue.exchange("PING", &commands);
        drop(dialogue);
        server.join().unwrap();
        result
    }

    #[test]
    fn replies_come_in_order_without_pushes() {
        let replies = answered(b"+PONG\r\n>2\r\n+invalidate\r\n_\r\n:7\r\n", 2).unwrap();
        let expected = [Value::SimpleString("PONG".into()), Value::Int(7)];
        assert_eq!(replies, expected);
    }

    #[test]
    fn whatever_comes_back_is_an_error_and_no_panic() {
        for bytes in [
            &b""[..],
            b"+PONG",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x03\x00\x02\x02\x46",
            b"$9223372036854775807\r\nx",
            b"$18446744073709551616\r\nx",
            b"*9223372036854775807\r\n:1\r\n",
            b"*1000000000\r\n:1\r\n",
            b"*4294967295\r\n:1\r\n",
            b"%9223372036854775807\r\n:1\r\n",
            b"%4611686018427387904\r\n:1\r\n",
            b"%-1\r\n:1\r\n",
            b"~9223372036854775807\r\n:1\r\n",
            b"|9223372036854775807\r\n:1\r\n",
            b">9223372036854775807\r\n:1\r\n",
            b">1\r\n:1\r\n",
            b"=9223372036854775807\r\ntxt:x\r\n",
            b"=-1\r\ntxt:x\r\n",
            b"!-1\r\nx\r\n",
            b"=1\r\nx\r\n",
            b"+\xff\xfe\r\n",
            b":x\r\n",
            b"\0\0\0\0\r\n",
        ] {
            let result = answered(bytes, 1);
            let shown = String::from_utf8_lossy(bytes).into_owned();
            assert!(result.is_err(), "{shown:?}: {result:?}");
        }
        let deep = b"*1\r\n".repeat(10_000);
        assert!(answered(&deep, 1).is_err());
    }

    #[test]
    fn a_reply_without_end_is_cut_off() {
        let mut endless = b"$10000000\r\n".to_vec();
        endless.resize(3 << 20, b'x');
        let error = answered(&endless, 1).unwrap_err();
        assert!(error.message.contains("longer than 1 MiB"), "{error:?}");
    }

    #[test]
    fn a_server_that_hangs_up_has_said_why() {
        let error = answered(b"-ERR max number of clients reached\r\n", 2).unwrap_err();
        assert_eq!(error.kind, Status::Server);
        assert_eq!(error.message, "ERR max number of clients reached");
        let error = answered(b"", 1).unwrap_err();
        assert_eq!(error.kind, Status::Unreachable);
        assert!(error.message.contains("closed the connection"), "{error:?}");
    }

    #[test]
    fn silence_is_a_timeout() {
        let (near, _far) = UnixStream::pair().unwrap();
        let stream = Stream::of_pair(near).unwrap();
        let deadline = Deadline::after(Duration::from_millis(20));
        let mut dialogue = Dialogue::new(stream, deadline, None);
        let error = dialogue
            .exchange("HELLO", &[redis::cmd("HELLO")])
            .unwrap_err();
        assert_eq!(error.kind, Status::Timeout);
        assert!(error.message.contains("no answer to HELLO"), "{error:?}");
    }
}
