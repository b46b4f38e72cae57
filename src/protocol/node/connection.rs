//! One node's connection after its set-up, without its socket: questions become bytes, and bytes answers in the order of the
//! questions.
//!
//! It performs no I/O. Bytes from the socket go into [`Connection::room`]; what is to be sent is in [`Connection::unsent`].

use std::collections::VecDeque;

use super::ballots::{Ballots, Step};
use super::command::{Answer, Form, Question, Scripts, Unrelated};
use super::resp::{self, Reply};
use super::secret::Secret;
use super::setup::ServerInfo;
use super::target::Target;
use super::text::ServerText;
use super::wire::{Wire, WireError};
use crate::protocol::rules::quorum::Vote;
use crate::protocol::rules::round_trip::RoundTrip;
use crate::time::Nanos;

/// Room for replies that are due is given back beyond this many, when none is.
const KEPT_DUE: usize = 4096;

/// A question under way; `T` is the asker's own mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<T> {
    pub(crate) mark: T,
    pub(crate) question: Question,
    form: Form,
    at: Nanos,
}

/// A reply that is due.
#[derive(Clone, Copy, Debug)]
enum Due<T> {
    /// It answers this question.
    Answer(Asked<T>),
    /// It answers this question, which was asked by SET.
    Set(Asked<T>),
    /// It says whether SET took the lock; whether its ballot was accepted comes later.
    Lock(Asked<T>),
    /// It is about the ballots of locks, and was asked for then.
    Ballots(Step, Nanos),
}

/// A connection that is past its set-up.
pub(crate) struct Connection<T> {
    wire: Wire,
    pub(crate) server: ServerInfo,
    scripts: Scripts,
    /// What must not be shown of the server's words.
    password: Option<Secret>,
    /// The ballots of locks that were packed since the last flush, and whether the node's time is to be asked for anyway.
    ballots: Ballots,
    steps: Vec<Step>,
    time_is_old: bool,
    due: VecDeque<Due<T>>,
    /// How many of the replies that are due were asked for by bytes that the socket has taken.
    sent_for: usize,
    /// Locks of which it is known whether they were taken, and not yet whether their ballots were accepted.
    half_answered: VecDeque<(Asked<T>, Answer)>,
    last_heard: Nanos,
    round_trip: RoundTrip,
}

impl<T: Copy> Connection<T> {
    /// Takes over from the set-up; `wire` has what has arrived since its last answer.
    pub(crate) fn new(
        wire: Wire,
        server: ServerInfo,
        scripts: Scripts,
        password: Option<Secret>,
        now: Nanos,
    ) -> Connection<T> {
        let node_time = server.time_us.unwrap_or(0);
        let measured = Nanos::try_from(server.round_trip.as_nanos()).unwrap_or(Nanos::MAX);
        Connection {
            wire,
            server,
            scripts,
            password,
            ballots: Ballots::new(node_time),
            steps: Vec::new(),
            time_is_old: false,
            due: VecDeque::new(),
            sent_for: 0,
            half_answered: VecDeque::new(),
            last_heard: now,
            round_trip: RoundTrip::first(measured),
        }
    }

    /// A text as it is shown where this server says it.
    pub(crate) fn shown(&self, text: &[u8]) -> ServerText {
        ServerText::new(text, self.password.as_ref())
    }

    /// Packs a question; it leaves with the next [`pack`](Self::pack), together with all others packed till then.
    pub(crate) fn ask(
        &mut self,
        (mark, question): (T, Question),
        target: &Target,
        token: &[u8],
        form: Form,
        at: Nanos,
    ) {
        let asked = Asked {
            mark,
            question,
            form,
            at,
        };
        let Some(ballot) = self.ballot_apart(question, target, form) else {
            question.write(self.wire.output(), &self.scripts, target, token, form);
            return self.due.push_back(match question.is_set(target, form) {
                true => Due::Set(asked),
                false => Due::Answer(asked),
            });
        };
        if self.ballots.are_full() {
            self.pack(at);
        }
        let output = self.wire.output();
        question.write(output, &self.scripts, target, token, Form::Apart);
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

    /// Completes what leaves as one batch: behind the locks come the commands about their ballots.
    pub(crate) fn pack(&mut self, at: Nanos) {
        let Connection {
            wire,
            steps,
            scripts,
            ..
        } = self;
        let output = wire.output();
        self.ballots.write(output, steps, scripts, at);
        if std::mem::take(&mut self.time_is_old) && steps.is_empty() {
            self.ballots.write_time(output, steps);
        }
        let steps = steps.drain(..).map(|step| Due::Ballots(step, at));
        self.due.extend(steps);
    }

    /// Packs a question about the server itself.
    pub(crate) fn ask_server(&mut self, (mark, question): (T, Question), at: Nanos) {
        question.write_about_server(self.wire.output(), &self.scripts);
        self.due.push_back(Due::Answer(Asked {
            mark,
            question,
            form: Form::Brief,
            at,
        }));
    }

    /// What is to be sent next; complete after [`pack`](Self::pack).
    pub(crate) fn unsent(&self) -> &[u8] {
        self.wire.unsent()
    }

    /// How many bytes are to be sent in all.
    pub(crate) fn backlog(&self) -> usize {
        self.wire.backlog()
    }

    /// So many bytes of it were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.wire.sent(count);
        self.sent_for = self.due.len();
    }

    /// An error if the server lets too much wait that is sent to it.
    pub(crate) fn check_backlog(&self) -> Result<(), WireError> {
        self.wire.check_backlog()
    }

    /// Room for bytes from the server.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.wire.room()
    }

    /// So many bytes of it were filled; none for what the set-up left. Appends the answers to `answers`, and what the server
    /// published to this process, as it is, to `calls`.
    ///
    /// After an error the connection is to be given up. What came together with the reply that is wrong is not trusted
    /// either: it counts as unanswered.
    pub(crate) fn received(
        &mut self,
        count: usize,
        now: Nanos,
        answers: &mut Vec<(Asked<T>, Answer)>,
        calls: &mut Vec<Vec<u8>>,
    ) -> Result<(), WireError> {
        self.wire.received(count);
        let before = (answers.len(), self.due.len());
        let asked_at = self.waiting_since();
        let taken = self.take_replies(answers, calls);
        self.wire.compact();
        if taken.is_err() {
            let untrusted = answers
                .drain(before.0..)
                .map(|(asked, _)| Due::Answer(asked));
            for due in untrusted.rev() {
                self.due.push_front(due);
            }
            return taken;
        }
        // A reply that was due, and not a part of one or a message: a server that trickles is not heard.
        if self.due.len() < before.1 {
            self.last_heard = now;
            let taken = asked_at.map_or(0, |at| now.saturating_sub(at));
            self.round_trip.measured(taken);
        }
        if self.due.is_empty() && self.due.capacity() > KEPT_DUE {
            self.due = VecDeque::new();
            self.half_answered = VecDeque::new();
        }
        Ok(())
    }

    fn take_replies(
        &mut self,
        answers: &mut Vec<(Asked<T>, Answer)>,
        calls: &mut Vec<Vec<u8>>,
    ) -> Result<(), WireError> {
        let Connection {
            wire,
            server,
            ballots,
            due,
            sent_for,
            half_answered,
            password,
            ..
        } = self;
        let password = password.as_ref();
        while let Some(reply) = wire.next_reply()? {
            if let Reply::Push(elements) = reply {
                if !server.resp3 {
                    return Err(WireError::Unrelated);
                }
                calls.extend(resp::push_text(elements).map(<[u8]>::to_vec));
                continue;
            }
            // A reply that was there before its request left is none to it.
            let Some(&next) = due.front().filter(|_| *sent_for > 0) else {
                return Err(WireError::Unrelated);
            };
            // It stays due unless the reply can belong to it.
            match next {
                Due::Answer(asked) => answers.push((asked, answer(&asked, reply, password)?)),
                Due::Set(asked) => answers.push((asked, Question::answer_to_set(reply, password)?)),
                Due::Lock(asked) => {
                    half_answered.push_back((asked, Question::answer_to_set(reply, password)?));
                }
                Due::Ballots(step, _) => {
                    ballots.take(step, reply, password)?;
                    if step == Step::Time {
                        let locks = half_answered.drain(..);
                        answers.extend(locks.map(|lock| complete(lock, ballots)));
                    }
                }
            }
            due.pop_front();
            *sent_for -= 1;
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
            Due::Answer(asked) | Due::Set(asked) | Due::Lock(asked) => asked.at,
            Due::Ballots(_, at) => at,
        })
    }

    /// How long the server usually takes to answer.
    pub(crate) fn round_trip(&self) -> RoundTrip {
        self.round_trip
    }

    /// The server's time when it last told, in us since 1970; 0 if it did not.
    pub(crate) fn node_time(&self) -> u64 {
        self.ballots.node_time()
    }

    /// When the server last answered anything.
    pub(crate) fn last_heard(&self) -> Nanos {
        self.last_heard
    }

    /// Gives the connection up: the questions that will not be answered.
    pub(crate) fn abandon(self) -> impl Iterator<Item = Asked<T>> {
        let half_answered = self.half_answered.into_iter().map(|(asked, _)| asked);
        half_answered.chain(self.due.into_iter().filter_map(|due| match due {
            Due::Answer(asked) | Due::Set(asked) | Due::Lock(asked) => Some(asked),
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

/// The answer to a question that was not asked by SET.
fn answer<T>(
    asked: &Asked<T>,
    reply: Reply<'_>,
    password: Option<&Secret>,
) -> Result<Answer, Unrelated> {
    match asked.question.answer(reply, password)? {
        // The script's text came with the question.
        Answer::NoScript if asked.form == Form::Whole => Err(Unrelated),
        answer => Ok(answer),
    }
}

impl From<Unrelated> for WireError {
    fn from(_: Unrelated) -> WireError {
        WireError::Unrelated
    }
}
