//! The bytes of one connection, in both directions: what is to be sent, and what has arrived, reply by reply.
//!
//! It performs no I/O. Whoever has the socket reads into [`Wire::room`] and sends [`Wire::unsent`]. One `Wire` goes with a
//! connection from its first byte to its last, so nothing that has arrived is ever dropped between the set-up and the locks.

use std::collections::VecDeque;

use super::resp::{self, Reply};

/// How much room a read is given at least, in bytes. An answer has about five.
const READ_ROOM: usize = 4096;
/// Buffers that a burst blew up beyond this are given back when they are empty, in bytes.
const KEPT_CAPACITY: usize = 256 * 1024;
/// How many bytes may wait for a server that does not read. The requests of fifty thousand locks have less.
pub(crate) const MAX_UNSENT: usize = 8 * 1024 * 1024;

/// Why the bytes of a connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    /// The server sent something that is not the Redis protocol, or a longer reply than any that was asked for.
    Malformed,
    /// A reply cannot belong to the request that it answers, or answers none.
    Unrelated,
    /// The server does not read what it is sent.
    Backlog,
}

impl WireError {
    /// The reason, for people.
    pub(crate) fn message(self) -> &'static str {
        match self {
            WireError::Malformed => "the server sent something that is not the Redis protocol",
            WireError::Unrelated => "the server sent a reply that does not belong to any request",
            WireError::Backlog => "the server does not read: 8 MiB of requests wait for it",
        }
    }
}

/// Output and input of one connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Commands that are packed but not yet taken by the socket, after the first `sent` bytes: those of `blocks`, and then of
    /// `output`. One buffer for all would be copied, and take twice the room, whenever it grows.
    output: Vec<u8>,
    blocks: VecDeque<Vec<u8>>,
    sent: usize,
    /// How many bytes are in `blocks`, with those that were sent.
    in_blocks: usize,
    /// What has arrived and was not yet taken as a reply: `input[taken..arrived]`.
    input: Vec<u8>,
    taken: usize,
    arrived: usize,
}

impl Wire {
    /// Where the next command is packed.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        if self.output.len() >= KEPT_CAPACITY {
            self.in_blocks += self.output.len();
            self.blocks.push_back(std::mem::take(&mut self.output));
        }
        &mut self.output
    }

    /// What is to be sent next; empty only if there is nothing to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.blocks.front().unwrap_or(&self.output)[self.sent..]
    }

    /// How many bytes are to be sent in all.
    pub(crate) fn backlog(&self) -> usize {
        self.in_blocks + self.output.len() - self.sent
    }

    /// The socket took so many bytes of [`unsent`](Self::unsent).
    pub(crate) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent < self.blocks.front().unwrap_or(&self.output).len() {
            return;
        }
        self.sent = 0;
        if let Some(block) = self.blocks.pop_front() {
            self.in_blocks -= block.len();
        } else {
            self.output.clear();
            if self.output.capacity() > KEPT_CAPACITY {
                self.output = Vec::new();
            }
        }
    }

    /// An error if the server lets too much wait.
    pub(crate) fn check_backlog(&self) -> Result<(), WireError> {
        match self.backlog() > MAX_UNSENT {
            true => Err(WireError::Backlog),
            false => Ok(()),
        }
    }

    /// Room for bytes from the socket.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.input.len() < self.arrived + READ_ROOM {
            self.input.resize(self.arrived + READ_ROOM, 0);
        }
        &mut self.input[self.arrived..]
    }

    /// The socket has put so many bytes into [`room`](Self::room).
    pub(crate) fn received(&mut self, count: usize) {
        self.arrived += count;
    }

    /// The first byte that is there and was not yet taken.
    pub(crate) fn first(&self) -> Option<u8> {
        self.input[self.taken..self.arrived].first().copied()
    }

    /// The next whole reply, if there is one. Call [`compact`](Self::compact) when there is none.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply<'_>>, WireError> {
        let bytes = &self.input[self.taken..self.arrived];
        match resp::parse(bytes) {
            Ok(Some((reply, length))) => {
                self.taken += length;
                Ok(Some(reply))
            }
            Ok(None) => Ok(None),
            Err(resp::Malformed) => Err(WireError::Malformed),
        }
    }

    /// Moves what is left to the front.
    pub(crate) fn compact(&mut self) {
        self.input.copy_within(self.taken..self.arrived, 0);
        self.arrived -= self.taken;
        self.taken = 0;
        if self.arrived == 0 && self.input.len() > KEPT_CAPACITY {
            self.input = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(wire: &mut Wire, bytes: &[u8]) {
        for chunk in bytes.chunks(READ_ROOM) {
            wire.room()[..chunk.len()].copy_from_slice(chunk);
            wire.received(chunk.len());
        }
    }

    #[test]
    fn replies_come_out_in_order_wherever_the_bytes_are_cut() {
        let stream = b"+OK\r\n>1\r\n$2\r\nhi\r\n:7\r\n";
        for cut in 0..stream.len() {
            let mut wire = Wire::default();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                receive(&mut wire, part);
                while let Some(reply) = wire.next_reply().unwrap() {
                    found.push(format!("{reply:?}"));
                }
                wire.compact();
            }
            let push = Reply::Push(b"$2\r\nhi\r\n");
            let expected = [Reply::Status(b"OK"), push, Reply::Integer(7)];
            assert_eq!(found, expected.map(|reply| format!("{reply:?}")), "{cut}");
        }
    }

    #[test]
    fn a_reply_without_end_is_malformed() {
        let mut wire = Wire::default();
        receive(&mut wire, &vec![b'+'; resp::MAX_REPLY]);
        assert_eq!(wire.next_reply(), Ok(None));
        receive(&mut wire, b"+");
        assert_eq!(wire.next_reply(), Err(WireError::Malformed));
    }

    #[test]
    fn a_server_that_does_not_read_has_a_bounded_backlog() {
        let mut wire = Wire::default();
        wire.output().resize(MAX_UNSENT + 1, 0);
        assert_eq!(wire.check_backlog(), Err(WireError::Backlog));
        wire.sent(1);
        assert_eq!(wire.check_backlog(), Ok(()));
        wire.sent(MAX_UNSENT);
        assert!(wire.unsent().is_empty());
    }

    #[test]
    fn what_is_packed_leaves_in_order_and_whole() {
        let (mut wire, mut packed, mut taken) = (Wire::default(), Vec::new(), Vec::new());
        for number in 0..600_u32 {
            let command = number.to_le_bytes().repeat(number as usize * 3);
            wire.output().extend_from_slice(&command);
            packed.extend_from_slice(&command);
            // Now and then the socket takes some of it.
            if number % 7 == 0 {
                let count = wire.unsent().len().div_ceil(2);
                taken.extend_from_slice(&wire.unsent()[..count]);
                wire.sent(count);
            }
            assert_eq!(wire.backlog(), packed.len() - taken.len());
        }
        while !wire.unsent().is_empty() {
            taken.extend_from_slice(wire.unsent());
            wire.sent(wire.unsent().len());
        }
        assert!(taken == packed, "{} of {}", taken.len(), packed.len());
        assert_eq!(wire.backlog(), 0);
    }
}
