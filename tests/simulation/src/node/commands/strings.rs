//! Commands on strings.

use super::expiry::{Unit, invalid_expire_time};
use super::{Context, not_an_integer, syntax_error, wrong_type};
use crate::node::commands::integer;
use crate::node::keyspace::{Entry, Value};
use crate::node::reply::Reply;

fn text_of(entry: Option<&mut Entry>) -> Result<Option<&Vec<u8>>, Reply> {
    match entry.map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_type()),
    }
}

fn reply_of(text: Option<&Vec<u8>>) -> Reply {
    text.map_or(Reply::Nil, |text| Reply::Bulk(text.clone()))
}

pub(super) fn get(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match text_of(context.entry(words[1])) {
        Ok(text) => reply_of(text),
        Err(error) => error,
    }
}

pub(super) fn mget(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let value = |key: &&[u8]| text_of(context.entry(key)).map_or(Reply::Nil, reply_of);
    Reply::Array(words[1..].iter().map(value).collect())
}

pub(super) fn incr(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let old = match text_of(context.entry(words[1])) {
        Ok(None) => 0,
        Ok(Some(text)) => match integer(text) {
            Some(number) => number,
            None => return not_an_integer(),
        },
        Err(error) => return error,
    };
    let Some(new) = old.checked_add(1) else {
        return Reply::error("ERR increment or decrement would overflow");
    };
    let text = Value::Text(new.to_string().into_bytes());
    match context.entry(words[1]) {
        Some(entry) => entry.value = text,
        None => context.put(words[1], text, None),
    }
    Reply::Integer(new)
}

/// What is behind the value of SET.
#[derive(Default)]
struct SetOptions<'a> {
    only_new: bool,
    only_old: bool,
    tells_old: bool,
    keeps_end: bool,
    end: Option<(Unit, &'a [u8])>,
}

fn set_options<'a>(words: &[&'a [u8]]) -> Option<SetOptions<'a>> {
    let mut options = SetOptions::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let unit = match word.to_ascii_uppercase().as_slice() {
            b"NX" if !options.only_old => {
                options.only_new = true;
                continue;
            }
            b"XX" if !options.only_new => {
                options.only_old = true;
                continue;
            }
            b"GET" => {
                options.tells_old = true;
                continue;
            }
            b"KEEPTTL" if options.end.is_none() => {
                options.keeps_end = true;
                continue;
            }
            b"EX" => Unit::Seconds,
            b"PX" => Unit::Milliseconds,
            b"EXAT" => Unit::SecondsSince1970,
            b"PXAT" => Unit::MillisecondsSince1970,
            _ => return None,
        };
        if options.keeps_end || options.end.is_some() {
            return None;
        }
        options.end = Some((unit, words.next()?));
    }
    Some(options)
}

pub(super) fn set(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let (key, value) = (words[1], words[2]);
    let Some(options) = set_options(&words[3..]) else {
        return syntax_error();
    };
    let mut ends = None;
    if let Some((unit, word)) = options.end {
        let Some(number) = integer(word) else {
            return not_an_integer();
        };
        ends = match unit.end(number, context.now()) {
            Some(end) if number > 0 => Some(end),
            _ => return invalid_expire_time(context.version(), "set"),
        };
    }
    let old = match text_of(context.entry(key)) {
        Ok(old) if options.tells_old => Some(reply_of(old)),
        Err(error) if options.tells_old => return error,
        _ => None,
    };
    let present = context.entry(key);
    if options.keeps_end {
        ends = present.as_ref().and_then(|entry| entry.ends);
    }
    let is_there = present.is_some();
    if (options.only_new && is_there) || (options.only_old && !is_there) {
        return old.unwrap_or(Reply::Nil);
    }
    context.put(key, Value::Text(value.to_vec()), ends);
    old.unwrap_or_else(Reply::ok)
}
