//! The ballots of locks that are taken by SET: a few commands behind the SETs accept those of a whole batch.
//!
//! To take a lock and to accept its ballot in a script costs a server seven times as much as a SET, most of it for the script.
//! So here are no scripts, and what they would see to is seen to otherwise: that a ballot is above all before it, by ZADD GT;
//! that it is near the node's own time, by what the node said of its time before and says behind; and that the boot is the one
//! that may vote, by SCRIPT EXISTS, for that boot alone has our scripts. See docs/safety.md, section 4.

use super::command::{Answer, Scripts, Unrelated};
use super::resp::{self, Reply};
use super::secret::Secret;
use super::target::Target;
use super::text::ServerText;
use crate::protocol::rules::ballot::{REMINDER_MS, WINDOW};
use crate::protocol::rules::quorum::Vote;
use crate::time::{MILLISECOND, Nanos};

/// So many ballots are accepted together at most: to a server that is one step.
const MAX_BALLOTS: usize = 256;

const REMINDER: Nanos = REMINDER_MS * MILLISECOND;

/// A member that is longer than what Redis keeps in a list, which it would search; so it keeps an index.
const LONG_MEMBER: [u8; 65] = [b'-'; 65];

/// Ballots that are to be accepted together, and what the node said to those before.
#[derive(Debug)]
pub(crate) struct Ballots {
    /// The key of the highest ballots: the same for all locks that are asked for over one connection.
    key: Vec<u8>,
    /// The ballots, and the cells of their resources.
    ballots: Vec<(u64, u16)>,
    /// When the node was last told how long to remember them.
    reminded_at: Option<Nanos>,
    /// The node's time when it last said so, in us since 1970.
    node_time: u64,
    /// What it said to the latest: that all were accepted, that not all were, or why it did not look at them.
    accepted: Result<bool, Answer>,
}

/// What is asked for a batch of ballots, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// How many of this many are the highest now?
    Accept(usize),
    /// Remember them for so long. The answer is of no consequence.
    Remember,
    /// Are our scripts there?
    Exist,
    /// What time is it?
    Time,
}

impl Ballots {
    /// For a node that said that it is this time; 0 if it did not.
    pub(crate) fn new(node_time: u64) -> Ballots {
        Ballots {
            key: Vec::new(),
            ballots: Vec::new(),
            reminded_at: None,
            node_time,
            accepted: Ok(false),
        }
    }

    /// Whether the node may accept this ballot without looking at its clock: the ballot is not too far above the time that
    /// the node told, so neither above what its time is now.
    pub(crate) fn may_accept(&self, ballot: u64) -> bool {
        ballot <= self.node_time.saturating_add(WINDOW)
    }

    /// The node's time when it last told, in us since 1970; 0 if it did not.
    pub(crate) fn node_time(&self) -> u64 {
        self.node_time
    }

    pub(crate) fn are_full(&self) -> bool {
        self.ballots.len() >= MAX_BALLOTS
    }

    /// Adds the ballot of a lock on one resource.
    pub(crate) fn add(&mut self, target: &Target, ballot: u64) {
        if self.key.is_empty() {
            self.key = target.ballots().concat();
        }
        debug_assert_eq!(self.key, target.ballots().concat());
        let cells = target.cells();
        self.ballots.extend(cells.map(|cell| (ballot, cell)));
    }

    /// Appends the commands for the ballots that were added, if any, to `out`, and each one's step to `steps`.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        steps: &mut Vec<Step>,
        scripts: &Scripts,
        now: Nanos,
    ) {
        if self.ballots.is_empty() {
            return;
        }
        steps.push(Step::Accept(self.ballots.len()));
        self.write_accept(out);
        if self.reminded_at.is_none_or(|at| at + REMINDER <= now) {
            self.reminded_at = Some(now);
            resp::write_command(out, &[b"PEXPIRE", &self.key, scripts.retention()]);
            resp::write_command(out, &[b"ZADD", &self.key, b"NX", b"0", &LONG_MEMBER]);
            steps.extend([Step::Remember; 2]);
        }
        let digest = scripts.acquire.digest.as_bytes();
        resp::write_command(out, &[b"SCRIPT", b"EXISTS", digest]);
        steps.push(Step::Exist);
        self.write_time(out, steps);
    }

    fn write_accept(&mut self, out: &mut Vec<u8>) {
        resp::begin_command(out, 4 + 2 * self.ballots.len());
        for word in [b"ZADD", &self.key[..], b"GT", b"CH"] {
            resp::write_word(out, &[word]);
        }
        for (ballot, cell) in self.ballots.drain(..) {
            resp::write_number(out, ballot);
            resp::write_number(out, cell.into());
        }
    }

    /// Appends the question for the node's time to `out`.
    pub(crate) fn write_time(&self, out: &mut Vec<u8>, steps: &mut Vec<Step>) {
        resp::write_command(out, &[b"TIME"]);
        steps.push(Step::Time);
    }

    /// Takes the reply to a step. After that to the last one, [`verdict`](Self::verdict) tells.
    pub(crate) fn take(
        &mut self,
        step: Step,
        reply: Reply<'_>,
        password: Option<&Secret>,
    ) -> Result<(), Unrelated> {
        match (step, reply) {
            (Step::Remember, Reply::Integer(_) | Reply::Error(_))
            | (Step::Exist, Reply::Array(b":1\r\n")) => {}
            // Which of them were too low is not known.
            (Step::Accept(all), Reply::Integer(count)) => {
                self.accepted = Ok(usize::try_from(count) == Ok(all));
            }
            (Step::Exist, Reply::Array(b":0\r\n")) => self.accepted = Err(Answer::NoScript),
            (Step::Time, Reply::Array(elements)) => {
                self.node_time = resp::time(elements).ok_or(Unrelated)?;
            }
            (Step::Accept(_), Reply::Error(text)) => {
                self.accepted = Err(self.refused(text, password))
            }
            (_, Reply::Error(text)) => self.accepted = Err(Answer::of_error(text, password)),
            _ => return Err(Unrelated),
        }
        Ok(())
    }

    /// The node's error, and of which key it speaks: a user who may use the locks' keys may still lack this one.
    fn refused(&self, text: &[u8], password: Option<&Secret>) -> Answer {
        let key = String::from_utf8_lossy(&self.key);
        let remark = format!(" (accepting the fence in the key \"{key}\")");
        Answer::Error(ServerText::new(text, password).followed_by(&remark))
    }

    /// What the replies say about one of the ballots that they were to.
    pub(crate) fn verdict(&self, ballot: u64) -> Answer {
        let is_too_old = ballot.saturating_add(WINDOW) < self.node_time;
        match &self.accepted {
            Ok(true) if !is_too_old => Answer::Vote(Vote::Yes),
            // If that is not enough: it is a script that is asked next, and says what is.
            Ok(_) => Answer::NeedsBallot(self.node_time.max(ballot.saturating_add(1))),
            Err(answer) => answer.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000;
    const KNOWN: Reply<'_> = Reply::Array(b":1\r\n");
    const TIME: Reply<'_> = Reply::Array(b"$10\r\n1700000000\r\n$1\r\n0\r\n");

    fn after(accept: Reply<'_>, exist: Reply<'_>, time: Reply<'_>) -> Ballots {
        let mut ballots = Ballots::new(NOW - 5);
        let remember = Reply::Error(b"NOPERM");
        for (step, reply) in [
            (Step::Accept(2), accept),
            (Step::Remember, remember),
            (Step::Exist, exist),
            (Step::Time, time),
        ] {
            ballots.take(step, reply, None).unwrap();
        }
        ballots
    }

    #[test]
    fn ballots_are_accepted_when_all_are_the_highest_now_and_near_the_node_s_time() {
        let ballots = after(Reply::Integer(2), KNOWN, TIME);
        assert_eq!(ballots.verdict(NOW), Answer::Vote(Vote::Yes));
        assert_eq!(ballots.verdict(NOW - WINDOW), Answer::Vote(Vote::Yes));
        let late = ballots.verdict(NOW - WINDOW - 1);
        assert_eq!(late, Answer::NeedsBallot(NOW));
    }

    #[test]
    fn when_one_is_too_low_none_is_accepted() {
        let ballots = after(Reply::Integer(1), KNOWN, TIME);
        assert_eq!(ballots.verdict(NOW - 9), Answer::NeedsBallot(NOW));
        assert_eq!(ballots.verdict(NOW + 9), Answer::NeedsBallot(NOW + 10));
        // That does not stay so.
        let mut ballots = ballots;
        ballots
            .take(Step::Accept(1), Reply::Integer(1), None)
            .unwrap();
        assert_eq!(ballots.verdict(NOW), Answer::Vote(Vote::Yes));
    }

    #[test]
    fn a_boot_that_has_not_our_scripts_accepts_nothing() {
        let ballots = after(Reply::Integer(2), Reply::Array(b":0\r\n"), TIME);
        assert_eq!(ballots.verdict(NOW), Answer::NoScript);
    }

    #[test]
    fn an_error_accepts_nothing() {
        let two = Reply::Integer(2);
        let denied = Reply::Error(b"NOPERM this user has no permissions");
        for ballots in [
            after(denied, KNOWN, TIME),
            after(two, denied, TIME),
            after(two, KNOWN, denied),
        ] {
            let answer = ballots.verdict(NOW);
            assert!(matches!(answer, Answer::Error(_)), "{answer:?}");
        }
    }

    #[test]
    fn an_odd_reply_is_no_answer() {
        let steps = [Step::Accept(1), Step::Remember, Step::Exist, Step::Time];
        for step in steps {
            let mut ballots = Ballots::new(NOW);
            assert_eq!(ballots.take(step, Reply::Nil, None), Err(Unrelated));
            assert_eq!(
                ballots.take(step, Reply::Status(b"OK"), None),
                Err(Unrelated)
            );
        }
        let mut ballots = Ballots::new(NOW);
        assert_eq!(ballots.take(Step::Time, KNOWN, None), Err(Unrelated));
        assert_eq!(ballots.take(Step::Exist, TIME, None), Err(Unrelated));
    }

    #[test]
    fn a_ballot_may_be_ahead_of_what_the_node_told_by_the_window() {
        let ballots = Ballots::new(NOW);
        assert!(ballots.may_accept(NOW + WINDOW));
        assert!(!ballots.may_accept(NOW + WINDOW + 1));
        assert!(!Ballots::new(0).may_accept(NOW));
    }
}
