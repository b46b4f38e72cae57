//! What is asked of a node on the hot path, how it is put on the wire, and how the answer becomes a vote.

use once_cell::sync::Lazy;

use super::resp::{self, Reply};
use crate::logic::quorum::Vote;

/// A question about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Take the lock for this owner, for `ttl_ms`, if it is free.
    Acquire { ttl_ms: u64 },
    /// Free the lock if it is this owner's.
    Release,
    /// Set the time to live from now, if the lock is this owner's.
    Extend { ttl_ms: u64 },
    /// Is the lock free?
    IsFree,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Vote(Vote),
    /// The script is not in the node's cache: ask again with its text.
    NoScript,
    /// An error in the server's words.
    Error(Box<str>),
}

/// A script and the digest under which the server keeps it.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Script {
        Script {
            text,
            digest: redis::Script::new(text).get_hash().to_owned(),
        }
    }
}

static RELEASE: Lazy<Script> = Lazy::new(|| Script::new(include_str!("../scripts/release.lua")));
static EXTEND: Lazy<Script> = Lazy::new(|| Script::new(include_str!("../scripts/extend.lua")));

/// The scripts that a new connection loads.
pub(crate) fn scripts() -> [&'static str; 2] {
    [RELEASE.text, EXTEND.text]
}

impl Question {
    /// Appends the question to `out`; with `whole_script`, a script's text goes along instead of its digest.
    pub(crate) fn write(self, out: &mut Vec<u8>, key: &[u8], token: &[u8], whole_script: bool) {
        let mut digits = [0; 20];
        let by_script = |script: &'static Script| -> [&'static [u8]; 3] {
            if whole_script {
                [b"EVAL", script.text.as_bytes(), b"1"]
            } else {
                [b"EVALSHA", script.digest.as_bytes(), b"1"]
            }
        };
        match self {
            Question::Acquire { ttl_ms } => {
                let ttl = resp::decimal(ttl_ms, &mut digits);
                resp::write_command(out, &[b"SET", key, token, b"NX", b"PX", ttl]);
            }
            Question::Release => {
                let [verb, script, keys] = by_script(&RELEASE);
                resp::write_command(out, &[verb, script, keys, key, token]);
            }
            Question::Extend { ttl_ms } => {
                let [verb, script, keys] = by_script(&EXTEND);
                let ttl = resp::decimal(ttl_ms, &mut digits);
                resp::write_command(out, &[verb, script, keys, key, token, ttl]);
            }
            Question::IsFree => resp::write_command(out, &[b"EXISTS", key]),
        }
    }

    /// What a reply to this question means.
    pub(crate) fn answer(self, reply: Reply<'_>) -> Answer {
        match (self, reply) {
            (Question::Acquire { .. }, Reply::Status(b"OK")) => Answer::Vote(Vote::Yes),
            (Question::Acquire { .. }, Reply::Nil) => Answer::Vote(Vote::No),
            (Question::Release | Question::Extend { .. }, Reply::Integer(1)) => {
                Answer::Vote(Vote::Yes)
            }
            (Question::Release | Question::Extend { .. }, Reply::Integer(0)) => {
                Answer::Vote(Vote::No)
            }
            (Question::IsFree, Reply::Integer(0)) => Answer::Vote(Vote::Yes),
            (Question::IsFree, Reply::Integer(_)) => Answer::Vote(Vote::No),
            (_, Reply::Error(text)) if text.starts_with(b"NOSCRIPT") => Answer::NoScript,
            // The key is there, as some other library's hash or list: taken, and certainly not ours.
            (_, Reply::Error(text)) if is_wrong_type(text) => Answer::Vote(Vote::No),
            (_, Reply::Error(text)) => {
                Answer::Error(String::from_utf8_lossy(text).into_owned().into())
            }
            (_, other) => Answer::Error(format!("unexpected reply {other:?}").into()),
        }
    }
}

/// Inside a script's error, 6.2 puts its own words before the code.
fn is_wrong_type(text: &[u8]) -> bool {
    text.starts_with(b"WRONGTYPE") || text.windows(10).any(|part| part == b"WRONGTYPE ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_reply_is_an_error_not_a_vote() {
        let acquire = Question::Acquire { ttl_ms: 1 };
        for reply in [
            Reply::Integer(1),
            Reply::Status(b"QUEUED"),
            Reply::Bulk(b"OK"),
        ] {
            assert!(matches!(acquire.answer(reply), Answer::Error(_)));
        }
        assert!(matches!(
            Question::Release.answer(Reply::Integer(2)),
            Answer::Error(_)
        ));
    }

    #[test]
    fn a_key_of_another_type_counts_as_taken() {
        let direct =
            Reply::Error(b"WRONGTYPE Operation against a key holding the wrong kind of value");
        let in_script = Reply::Error(
            b"ERR Error running script (call to f_1): @user_script:5: WRONGTYPE Operation against a key",
        );
        for reply in [direct, in_script] {
            assert_eq!(Question::Release.answer(reply), Answer::Vote(Vote::No));
        }
    }
}
