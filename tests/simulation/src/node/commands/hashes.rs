//! Commands on hashes.

use super::{Context, wrong_type};
use crate::node::keyspace::Value;
use crate::node::reply::Reply;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn fields<'a>(context: &'a mut Context<'_>, key: &[u8]) -> Result<Option<&'a mut Fields>, Reply> {
    match context.entry(key).map(|entry| &mut entry.value) {
        None => Ok(None),
        Some(Value::Hash(fields)) => Ok(Some(fields)),
        Some(_) => Err(wrong_type()),
    }
}

fn place(fields: &Fields, name: &[u8]) -> Option<usize> {
    fields.iter().position(|(field, _)| field == name)
}

/// Sets fields of the hash, which is made if it is not there; how many are new.
fn set(context: &mut Context<'_>, key: &[u8], pairs: &[&[u8]]) -> Result<i64, Reply> {
    if fields(context, key)?.is_none() {
        context.put(key, Value::Hash(Fields::new()), None);
    }
    let mut added = 0;
    if let Some(fields) = fields(context, key)? {
        for pair in pairs.chunks_exact(2) {
            match place(fields, pair[0]) {
                Some(place) => fields[place].1 = pair[1].to_vec(),
                None => {
                    fields.push((pair[0].to_vec(), pair[1].to_vec()));
                    added += 1;
                }
            }
        }
    }
    Ok(added)
}

pub(super) fn hset(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    if !words.len().is_multiple_of(2) {
        return Reply::error("ERR wrong number of arguments for 'hset' command");
    }
    set(context, words[1], &words[2..]).map_or_else(|error| error, Reply::Integer)
}

pub(super) fn hsetnx(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match value(context, words[1], words[2]) {
        Ok(Some(_)) => Reply::Integer(0),
        Ok(None) => set(context, words[1], &words[2..]).map_or_else(|error| error, Reply::Integer),
        Err(error) => error,
    }
}

fn value(context: &mut Context<'_>, key: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>, Reply> {
    let fields = fields(context, key)?;
    Ok(fields.and_then(|fields| Some(fields[place(fields, name)?].1.clone())))
}

pub(super) fn hget(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match value(context, words[1], words[2]) {
        Ok(value) => value.map_or(Reply::Nil, Reply::Bulk),
        Err(error) => error,
    }
}

pub(super) fn hmget(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let values = words[2..].iter().map(|name| value(context, words[1], name));
    match values.collect::<Result<Vec<_>, _>>() {
        Ok(values) => {
            let values = values.into_iter();
            Reply::Array(
                values
                    .map(|value| value.map_or(Reply::Nil, Reply::Bulk))
                    .collect(),
            )
        }
        Err(error) => error,
    }
}

pub(super) fn hexists(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match value(context, words[1], words[2]) {
        Ok(value) => Reply::Integer(value.is_some().into()),
        Err(error) => error,
    }
}

pub(super) fn hlen(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match fields(context, words[1]) {
        Ok(fields) => Reply::Integer(fields.map_or(0, |fields| fields.len() as i64)),
        Err(error) => error,
    }
}

pub(super) fn hgetall(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match fields(context, words[1]) {
        Ok(fields) => {
            let fields = fields.into_iter().flatten();
            let parts = fields.flat_map(|(name, value)| [Reply::bulk(name), Reply::bulk(value)]);
            Reply::Map(parts.collect())
        }
        Err(error) => error,
    }
}

pub(super) fn hdel(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let fields = match fields(context, words[1]) {
        Ok(Some(fields)) => fields,
        Ok(None) => return Reply::Integer(0),
        Err(error) => return error,
    };
    let mut removed = 0;
    for name in &words[2..] {
        if let Some(place) = place(fields, name) {
            fields.remove(place);
            removed += 1;
        }
    }
    if fields.is_empty() {
        context.remove(words[1]);
    }
    Reply::Integer(removed)
}
