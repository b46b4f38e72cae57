//! The ballots of locks that are asked for by SET: one script's call behind them accepts those of a whole batch.
//!
//! To take a lock and to accept its ballot in one script costs a server five times as much as a SET, and a script's call costs
//! most of that. Behind the SETs, on the same connection, the call also shows that the boot is the one that may vote.

use super::command::{Answer, Scripts};
use super::resp::{self, Reply};
use super::target::Target;
use crate::logic::quorum::Vote;

/// So many ballots are in one call at most: it is one step of the server's, and Lua has room for some thousands of values.
pub(crate) const MAX_BALLOTS: usize = 256;

/// Ballots that are to be accepted with one call.
#[derive(Debug, Default)]
pub(crate) struct Ballots {
    /// The key of the highest ballots: the same for all locks that are asked for over one connection.
    key: Vec<u8>,
    /// The ballots, and the cells of their resources.
    ballots: Vec<(u64, u16)>,
}

impl Ballots {
    /// Adds the ballot of a lock on one resource.
    pub(crate) fn add(&mut self, target: &Target, ballot: u64) {
        if self.key.is_empty() {
            self.key = target.ballots().concat();
        }
        debug_assert_eq!(self.key, target.ballots().concat());
        let cells = target.cells();
        self.ballots.extend(cells.map(|cell| (ballot, cell)));
    }

    pub(crate) fn len(&self) -> usize {
        self.ballots.len()
    }

    /// Appends the call to `out`, and forgets the ballots.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, scripts: &Scripts) {
        let lowest = self.ballots.iter().map(|it| it.0).min().unwrap_or(0);
        let highest = self.ballots.iter().map(|it| it.0).max().unwrap_or(0);
        resp::begin_command(out, 7 + 2 * self.ballots.len());
        let retention = scripts.retention();
        for word in [
            b"EVALSHA",
            scripts.ballots.digest.as_bytes(),
            b"1",
            &self.key,
            retention,
        ] {
            resp::write_word(out, &[word]);
        }
        write_number(out, lowest);
        write_number(out, highest);
        for (ballot, cell) in self.ballots.drain(..) {
            write_number(out, ballot);
            write_number(out, cell.into());
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    resp::write_word(out, &[resp::decimal(number, &mut digits)]);
}

/// What the call's reply says about each of the ballots, in their order.
pub(crate) fn verdicts(reply: Reply<'_>) -> impl Iterator<Item = Answer> {
    let (mut each, all) = match reply {
        Reply::Array(elements) => (Some(resp::integers(elements)), malformed(reply)),
        Reply::Integer(0) => (None, Answer::Vote(Vote::Yes)),
        Reply::Error(text) => (None, Answer::of_error(text)),
        _ => (None, malformed(reply)),
    };
    std::iter::from_fn(move || {
        let one = each.as_mut().and_then(Iterator::next);
        Some(one.map_or_else(|| all.clone(), verdict))
    })
}

fn verdict(number: i64) -> Answer {
    match u64::try_from(number) {
        Ok(0) => Answer::Vote(Vote::Yes),
        Ok(least) => Answer::NeedsBallot(least),
        Err(_) => malformed(Reply::Integer(number)),
    }
}

fn malformed(reply: Reply<'_>) -> Answer {
    Answer::Error(format!("unexpected reply {reply:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_three(reply: Reply<'_>) -> Vec<Answer> {
        verdicts(reply).take(3).collect()
    }

    #[test]
    fn one_number_accepts_all_and_an_array_says_which() {
        let yes = Answer::Vote(Vote::Yes);
        assert_eq!(first_three(Reply::Integer(0)), vec![yes.clone(); 3]);
        assert_eq!(
            first_three(Reply::Array(b":0\r\n:9\r\n:0\r\n")),
            [yes.clone(), Answer::NeedsBallot(9), yes]
        );
    }

    #[test]
    fn nothing_is_accepted_by_an_answer_that_is_too_short_or_none() {
        let replies = [
            Reply::Array(b""),
            Reply::Array(b"+OK\r\n"),
            Reply::Array(b":-1\r\n"),
            Reply::Integer(1),
            Reply::Nil,
            Reply::Error(b"NOPERM this user has no permissions"),
        ];
        for reply in replies {
            let answers = first_three(reply);
            let is_error = |answer: &Answer| matches!(answer, Answer::Error(_));
            assert!(answers.iter().all(is_error), "{reply:?}: {answers:?}");
        }
        let unknown = Reply::Error(b"NOSCRIPT No matching script.");
        assert_eq!(first_three(unknown), vec![Answer::NoScript; 3]);
    }
}
