//! One node's established connection: questions go out in batches, answers come back in the order of the questions.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use super::ballots::{Ballots, Step};
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
    /// It is about the ballots of locks, and was asked for then.
    Ballots(Step, Nanos),
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
    /// The ballots of locks that were packed since the last flush, and whether the node's time is to be asked for anyway.
    ballots: Ballots,
    steps: Vec<Step>,
    time_is_old: bool,
    due: VecDeque<Due<T>>,
    /// Locks of which it is known whether they were taken, and not yet whether their ballots were accepted.
    half_answered: VecDeque<(Asked<T>, Answer)>,
    last_heard: Nanos,
}

impl<T: Copy> Connection<T> {
    pub(crate) fn new(established: Established, now: Nanos) -> Connection<T> {
        let node_time = established.server.time_us.unwrap_or(0);
        Connection {
            stream: established.stream,
            server: established.server,
            scripts: established.scripts,
            output: Vec::new(),
            sent: 0,
            input: Vec::new(),
            arrived: 0,
            ballots: Ballots::new(node_time),
            steps: Vec::new(),
            time_is_old: false,
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
        let asked = Asked { mark, question, at };
        let Some(ballot) = self.ballot_apart(question, target, form) else {
            question.write(&mut self.output, &self.scripts, target, token, form);
            return self.due.push_back(Due::Answer(asked));
        };
        if self.ballots.are_full() {
            self.pack_ballots(at);
        }
        question.write(&mut self.output, &self.scripts, target, token, Form::Apart);
        self.due.push_back(Due::Lock(asked));
        self.ballots.add(target, ballot);
    }

    /// The ballot that is to be accepted apart from its lock, if it can be.
    fn ballot_apart(&mut self, question: Question, target: &Target, form: Form) -> Option<u64> {
        let Question::Acquire {
            ballot: ballot @ 1..,
            ..
        } = question
        else {
            return None;
        };
        // A user who may not use scripts would have the lock by then, and could not give it back.
        if form == Form::Whole || target.names().len() > 1 || !self.scripts.are_known {
            return None;
        }
        let may_accept = self.ballots.may_accept(ballot);
        self.time_is_old |= !may_accept;
        may_accept.then_some(ballot)
    }

    fn pack_ballots(&mut self, at: Nanos) {
        let Connection {
            output,
            steps,
            scripts,
            ..
        } = self;
        self.ballots.write(output, steps, scripts, at);
        if std::mem::take(&mut self.time_is_old) && steps.is_empty() {
            self.ballots.write_time(output, steps);
        }
        let steps = steps.drain(..).map(|step| Due::Ballots(step, at));
        self.due.extend(steps);
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
                Some(Due::Ballots(step, _)) => {
                    self.ballots.take(step, reply);
                    if step == Step::Time {
                        let locks = self.half_answered.drain(..);
                        answers.extend(locks.map(|lock| complete(lock, &self.ballots)));
                    }
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

    /// Whether the server can call this process's waiters.
    pub(crate) fn can_call(&self) -> bool {
        !self.scripts.channel.is_empty()
    }

    /// When the oldest question without an answer was asked.
    pub(crate) fn waiting_since(&self) -> Option<Nanos> {
        self.due.front().map(|due| match *due {
            Due::Answer(asked) | Due::Lock(asked) => asked.at,
            Due::Ballots(_, at) => at,
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
            Due::Ballots(..) => None,
        }))
    }
}

/// The answer to an acquire, from what is known of its lock and of its ballot.
fn complete<T>((asked, lock): (Asked<T>, Answer), ballots: &Ballots) -> (Asked<T>, Answer) {
    let ballot = match asked.question {
        Question::Acquire { ballot, .. } => ballots.verdict(ballot),
        _ => Answer::Vote(Vote::Yes),
    };
    let answer = match (lock, ballot) {
        // Which boot it was that took or refused the lock is not known.
        (_, Answer::NoScript) => Answer::NoScript,
        (Answer::Vote(Vote::Yes), ballot) => ballot,
        (lock, _) => lock,
    };
    (asked, answer)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
