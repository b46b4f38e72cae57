//! Commands on keys of any type.

use super::{Context, not_an_integer, syntax_error};
use crate::node::commands::integer;
use crate::node::glob;
use crate::node::reply::Reply;

pub(super) fn del(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let count = words[1..].iter().filter(|key| context.remove(key)).count();
    Reply::Integer(count as i64)
}

pub(super) fn exists(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let is_there = |key: &&&[u8]| context.entry(key).is_some();
    Reply::Integer(words[1..].iter().filter(is_there).count() as i64)
}

pub(super) fn kind(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let kind = context
        .entry(words[1])
        .map_or("none", |entry| entry.value.kind());
    Reply::Status(kind.into())
}

pub(super) fn flushall(context: &mut Context<'_>, _: &[&[u8]]) -> Reply {
    context.state.take_data();
    Reply::ok()
}

/// Keys in the order of their names: the cursor is the place of the next one.
pub(super) fn scan(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let cursor = std::str::from_utf8(words[1])
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let Some(cursor) = cursor else {
        return Reply::error("ERR invalid cursor");
    };
    let (mut pattern, mut count, mut kind) = (None, 10, None);
    for option in words[2..].chunks(2) {
        match option {
            [name, value] if name.eq_ignore_ascii_case(b"MATCH") => pattern = Some(*value),
            [name, value] if name.eq_ignore_ascii_case(b"TYPE") => {
                kind = Some(value.to_ascii_lowercase())
            }
            [name, value] if name.eq_ignore_ascii_case(b"COUNT") => match integer(value) {
                Some(number @ 1..) => count = number as usize,
                Some(_) => return syntax_error(),
                None => return not_an_integer(),
            },
            _ => return syntax_error(),
        }
    }
    let now = context.now();
    let keys = context.keyspace().live(now);
    let begin = usize::try_from(cursor)
        .unwrap_or(usize::MAX)
        .min(keys.len());
    let end = (begin + count).min(keys.len());
    let next = if end == keys.len() { 0 } else { end };
    let found = keys[begin..end].iter().filter(|(key, entry)| {
        pattern.is_none_or(|pattern| glob::matches(pattern, key))
            && kind
                .as_ref()
                .is_none_or(|kind| entry.value.kind().as_bytes() == kind)
    });
    let found = found.map(|(key, _)| Reply::bulk(key)).collect();
    Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)])
}
