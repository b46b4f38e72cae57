//! Commands on the ends of keys.

use super::{Context, not_an_integer};
use crate::node::commands::integer;
use crate::node::reply::Reply;
use crate::node::version::Version;

/// What a number says about the end of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    SecondsSince1970,
    MillisecondsSince1970,
}

impl Unit {
    /// The end, in ms since 1970; `None` if that is more than a number can hold.
    pub(super) fn end(self, number: i64, now: i64) -> Option<i64> {
        let ms = match self {
            Unit::Seconds | Unit::SecondsSince1970 => number.checked_mul(1000)?,
            Unit::Milliseconds | Unit::MillisecondsSince1970 => number,
        };
        match self {
            Unit::Seconds | Unit::Milliseconds => ms.checked_add(now),
            Unit::SecondsSince1970 | Unit::MillisecondsSince1970 => Some(ms),
        }
    }
}

pub(super) fn invalid_expire_time(version: Version, command: &str) -> Reply {
    match version {
        Version::V6_2 => Reply::error(format!("ERR invalid expire time in {command}")),
        _ => Reply::error(format!("ERR invalid expire time in '{command}' command")),
    }
}

fn left(context: &mut Context<'_>, key: &[u8]) -> i64 {
    let now = context.now();
    match context.entry(key).map(|entry| entry.ends) {
        None => -2,
        Some(None) => -1,
        Some(Some(ends)) => (ends - now).max(0),
    }
}

pub(super) fn pttl(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    Reply::Integer(left(context, words[1]))
}

pub(super) fn ttl(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let left = left(context, words[1]);
    Reply::Integer(if left < 0 { left } else { (left + 500) / 1000 })
}

pub(super) fn pexpiretime(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    Reply::Integer(match context.entry(words[1]).map(|entry| entry.ends) {
        None => -2,
        Some(None) => -1,
        Some(Some(ends)) => ends,
    })
}

pub(super) fn persist(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let ended = context.entry(words[1]).and_then(|entry| entry.ends.take());
    Reply::Integer(ended.is_some().into())
}

pub(super) fn pexpire(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    set_end(context, words, Unit::Milliseconds, "pexpire")
}

pub(super) fn expire(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    set_end(context, words, Unit::Seconds, "expire")
}

pub(super) fn pexpireat(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    set_end(context, words, Unit::MillisecondsSince1970, "pexpireat")
}

/// When an end may be changed.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    only_without: bool,
    only_with: bool,
    only_later: bool,
    only_earlier: bool,
}

impl Conditions {
    fn read(words: &[&[u8]]) -> Result<Conditions, Reply> {
        let mut conditions = Conditions::default();
        for word in words {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => conditions.only_without = true,
                b"XX" => conditions.only_with = true,
                b"GT" => conditions.only_later = true,
                b"LT" => conditions.only_earlier = true,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(Reply::error(format!("ERR Unsupported option {word}")));
                }
            }
        }
        let Conditions {
            only_without,
            only_with,
            only_later,
            only_earlier,
        } = conditions;
        if only_without && (only_with || only_later || only_earlier) {
            return Err(Reply::error(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if only_later && only_earlier {
            return Err(Reply::error(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    /// No end is later than any.
    fn are_met(self, old: Option<i64>, new: i64) -> bool {
        !(self.only_without && old.is_some()
            || self.only_with && old.is_none()
            || self.only_later && old.is_none_or(|old| new <= old)
            || self.only_earlier && old.is_some_and(|old| new >= old))
    }
}

fn set_end(context: &mut Context<'_>, words: &[&[u8]], unit: Unit, name: &str) -> Reply {
    let conditions = match Conditions::read(&words[3..]) {
        Ok(conditions) => conditions,
        Err(error) => return error,
    };
    let Some(number) = integer(words[2]) else {
        return not_an_integer();
    };
    let now = context.now();
    let Some(end) = unit.end(number, now) else {
        return invalid_expire_time(context.version(), name);
    };
    let Some(entry) = context.entry(words[1]) else {
        return Reply::Integer(0);
    };
    if !conditions.are_met(entry.ends, end) {
        return Reply::Integer(0);
    }
    if end <= now {
        context.remove(words[1]);
    } else {
        entry.ends = Some(end);
    }
    Reply::Integer(1)
}
