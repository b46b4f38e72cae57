//! One node's established connection: questions go out in batches, answers come back in the order of the questions.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use super::ballots::{self, Ballots, MAX_BALLOTS};
use super::command::{Answer, Form, Question, Scripts};
use super::resp::{self, Reply};
use super::setup::{Established, ServerInfo};
use super::stream::Stream;
use super::target::Target;
use crate::clock::Nanos;
use crate::logic::quorum::Vote;

/// How much room a read is given at least, in bytes. An answer has about five.
const READ_ROOM: usize = 4096;
/// Buffers that a burst blew up beyond this are given back when they are empty, in bytes.
const KEPT_CAPACITY: usize = 256 * 1024;

/// A question under way; `T` is the asker's own mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<T> {
    pub(crate) mark: T,
    pub(crate) question: Question,
    at: Nanos,
}

/// A reply that is due.
#[derive(Clone, Copy, Debug)]
enum Due<T> {
    /// It answers this question.
    Answer(Asked<T>),
    /// It says whether the lock was taken; whether its ballot was accepted comes later.
    Lock(Asked<T>),
    /// Whether the ballots of so many locks were accepted, of which the first was asked for then.
    Ballots { count: usize, at: Nanos },
}

/// A non-blocking connection that is past its set-up. Every call returns at once.
pub(crate) struct Connection<T> {
    stream: Stream,
    pub(crate) server: ServerInfo,
    scripts: Scripts,
    /// Commands that are packed but not yet taken by the socket: `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    /// What has arrived and is not yet a whole reply: `input[..arrived]`.
    input: Vec<u8>,
    arrived: usize,
    /// The ballots of locks that were packed since the last flush.
    ballots: Ballots,
    due: VecDeque<Due<T>>,
    /// Locks of which it is known whether they were taken, and not yet whether their ballots were accepted.
    half_answered: VecDeque<(Asked<T>, Answer)>,
    last_heard: Nanos,
}

impl<T: Copy> Connection<T> {
    pub(crate) fn new(established: Established, now: Nanos) -> Connection<T> {
        Connection {
            stream: established.stream,
            server: established.server,
            scripts: established.scripts,
            output: Vec::new(),
            sent: 0,
            input: Vec::new(),
            arrived: 0,
            ballots: Ballots::default(),
            due: VecDeque::new(),
            half_answered: VecDeque::new(),
            last_heard: now,
        }
    }

    /// The socket, to watch for readiness.
    pub(crate) fn fd(&self) -> RawFd {
        self.stream.fd()
    }

    /// Packs a question; it leaves with the next [`flush`](Self::flush), together with all others packed till then.
    pub(crate) fn ask(
        &mut self,
        (mark, question): (T, Question),
        target: &Target,
        token: &[u8],
        form: Form,
        at: Nanos,
    ) {
        question.write(&mut self.output, &self.scripts, target, token, form);
        let asked = Asked { mark, question, at };
        match self.scripts.ballot_apart(question, target, form) {
            None => self.due.push_back(Due::Answer(asked)),
            Some(ballot) => {
                self.ballots.add(target, ballot);
                self.due.push_back(Due::Lock(asked));
                if self.ballots.len() == MAX_BALLOTS {
                    self.pack_ballots(at);
                }
            }
        }
    }

    fn pack_ballots(&mut self, at: Nanos) {
        let count = self.ballots.len();
        if count > 0 {
            self.ballots.write(&mut self.output, &self.scripts);
            self.due.push_back(Due::Ballots { count, at });
        }
    }

    /// Packs a question about the server itself.
    pub(crate) fn ask_server(&mut self, (mark, question): (T, Question), at: Nanos) {
        question.write_about_server(&mut self.output, &self.scripts);
        self.due
            .push_back(Due::Answer(Asked { mark, question, at }));
    }

    /// Hands to the socket what it has room for. What is left goes when the socket becomes writable.
    pub(crate) fn flush(&mut self, now: Nanos) -> io::Result<()> {
        self.pack_ballots(now);
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        self.output.clear();
        if self.output.capacity() > KEPT_CAPACITY {
            self.output = Vec::new();
        }
        match self.stream.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes what the socket has and appends the answers to `answers`. With `to_the_end`, or over TLS, it reads until
    /// the socket would block; otherwise a short read ends it, which for a plain stream socket means the same and
    /// saves a system call for every batch.
    /// What the server published to this process goes to `calls`, as it is.
    pub(crate) fn receive(
        &mut self,
        to_the_end: bool,
        now: Nanos,
        answers: &mut Vec<(Asked<T>, Answer)>,
        calls: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let to_the_end = to_the_end || matches!(self.stream, Stream::Tls(_));
        loop {
            if self.input.len() < self.arrived + READ_ROOM {
                self.input.resize(self.arrived + READ_ROOM, 0);
            }
            let room = self.input.len() - self.arrived;
            match self.stream.read(&mut self.input[self.arrived..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.arrived += count;
                    self.take_replies(answers, calls)?;
                    self.last_heard = now;
                    if count < room && !to_the_end {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take_replies(
        &mut self,
        answers: &mut Vec<(Asked<T>, Answer)>,
        calls: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let mut taken = 0;
        while let Some((reply, length)) = resp::parse(&self.input[taken..self.arrived])
            .map_err(|_| invalid("the server sent something that is not the Redis protocol"))?
        {
            taken += length;
            if let Reply::Push(elements) = reply {
                calls.extend(resp::push_text(elements).map(<[u8]>::to_vec));
                continue;
            }
            match self.due.pop_front() {
                None => return Err(invalid("the server answered a question that was not asked")),
                Some(Due::Answer(asked)) => answers.push((asked, asked.question.answer(reply))),
                Some(Due::Lock(asked)) => {
                    let answer = asked.question.answer(reply);
                    self.half_answered.push_back((asked, answer));
                }
                Some(Due::Ballots { count, .. }) => {
                    let locks = self.half_answered.drain(..count);
                    let whole = |((asked, lock), ballot)| (asked, both(lock, ballot));
                    answers.extend(locks.zip(ballots::verdicts(reply)).map(whole));
                }
            }
        }
        self.input.copy_within(taken..self.arrived, 0);
        self.arrived -= taken;
        if self.arrived == 0 && self.input.len() > KEPT_CAPACITY {
            self.input = Vec::new();
        }
        if self.due.is_empty() && self.due.capacity() > KEPT_CAPACITY / 64 {
            self.due = VecDeque::new();
            self.half_answered = VecDeque::new();
        }
        Ok(())
    }

    /// Whether this question was asked in two parts.
    pub(crate) fn is_apart(&self, question: Question, target: &Target) -> bool {
        let ballot = self.scripts.ballot_apart(question, target, Form::Brief);
        ballot.is_some()
    }

    /// Whether the server can call this process's waiters.
    pub(crate) fn can_call(&self) -> bool {
        !self.scripts.channel.is_empty()
    }

    /// When the oldest question without an answer was asked.
    pub(crate) fn waiting_since(&self) -> Option<Nanos> {
        self.due.front().map(|due| match *due {
            Due::Answer(asked) | Due::Lock(asked) => asked.at,
            Due::Ballots { at, .. } => at,
        })
    }

    /// When the server last sent anything.
    pub(crate) fn last_heard(&self) -> Nanos {
        self.last_heard
    }

    /// Gives the connection up: the questions that will not be answered.
    pub(crate) fn abandon(self) -> impl Iterator<Item = Asked<T>> {
        let half_answered = self.half_answered.into_iter().map(|(asked, _)| asked);
        half_answered.chain(self.due.into_iter().filter_map(|due| match due {
            Due::Answer(asked) | Due::Lock(asked) => Some(asked),
            Due::Ballots { .. } => None,
        }))
    }
}

/// The answer to an acquire, from what is known of its lock and of its ballot.
fn both(lock: Answer, ballot: Answer) -> Answer {
    match (lock, ballot) {
        // Which boot it was that took or refused the lock is not known.
        (_, Answer::NoScript) => Answer::NoScript,
        (Answer::Vote(Vote::Yes), ballot) => ballot,
        (lock, _) => lock,
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
