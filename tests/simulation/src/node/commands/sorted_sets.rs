//! Commands on sorted sets.

use super::numbers::{bound, score};
use super::{Context, not_an_integer, syntax_error, wrong_type};
use crate::node::commands::integer;
use crate::node::keyspace::{SortedSet, Value};
use crate::node::reply::Reply;

fn members<'a>(
    context: &'a mut Context<'_>,
    key: &[u8],
) -> Result<Option<&'a mut SortedSet>, Reply> {
    match context.entry(key).map(|entry| &mut entry.value) {
        None => Ok(None),
        Some(Value::SortedSet(members)) => Ok(Some(members)),
        Some(_) => Err(wrong_type()),
    }
}

/// What is before the scores of ZADD.
#[derive(Clone, Copy, Default)]
struct AddOptions {
    only_new: bool,
    only_old: bool,
    only_higher: bool,
    only_lower: bool,
    counts_changed: bool,
    increments: bool,
}

impl AddOptions {
    /// The options that `words` begin with, and how many words those are.
    fn read(words: &[&[u8]]) -> (AddOptions, usize) {
        let mut options = AddOptions::default();
        for (count, word) in words.iter().enumerate() {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => options.only_new = true,
                b"XX" => options.only_old = true,
                b"GT" => options.only_higher = true,
                b"LT" => options.only_lower = true,
                b"CH" => options.counts_changed = true,
                b"INCR" => options.increments = true,
                _ => return (options, count),
            }
        }
        (options, words.len())
    }

    fn conflict(self) -> Option<Reply> {
        if self.only_new && self.only_old {
            return Some(Reply::error(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let directions = [self.only_new, self.only_higher, self.only_lower];
        if directions.into_iter().filter(|is_set| *is_set).count() > 1 {
            return Some(Reply::error(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        None
    }

    /// Whether a member that has the score `old` may get the score `new`.
    fn allow(self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.only_old,
            Some(old) => {
                !(self.only_new || self.only_higher && new <= old || self.only_lower && new >= old)
            }
        }
    }
}

pub(super) fn zadd(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let (options, count) = AddOptions::read(&words[2..]);
    let pairs = &words[2 + count..];
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return syntax_error();
    }
    if let Some(conflict) = options.conflict() {
        return conflict;
    }
    if options.increments && pairs.len() > 2 {
        return Reply::error("ERR INCR option supports a single increment-element pair");
    }
    let mut scores = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        match score(pair[0]) {
            Some(score) => scores.push((score, pair[1])),
            None => return Reply::error("ERR value is not a valid float"),
        }
    }
    match members(context, words[1]) {
        Ok(Some(set)) => add(set, options, &scores),
        Ok(None) if options.only_old => match options.increments {
            true => Reply::Nil,
            false => Reply::Integer(0),
        },
        Ok(None) => {
            let mut set = SortedSet::default();
            let reply = add(&mut set, options, &scores);
            if !set.is_empty() {
                context.put(words[1], Value::SortedSet(set), None);
            }
            reply
        }
        Err(error) => error,
    }
}

fn add(set: &mut SortedSet, options: AddOptions, scores: &[(f64, &[u8])]) -> Reply {
    let (mut added, mut changed) = (0, 0);
    for (score, member) in scores {
        let old = set.score(member);
        let new = match options.increments {
            true => old.unwrap_or(0.0) + score,
            false => *score,
        };
        if new.is_nan() {
            return Reply::error("ERR resulting score is not a number (NaN)");
        }
        let is_allowed = options.allow(old, new);
        if options.increments && !is_allowed {
            return Reply::Nil;
        }
        if is_allowed {
            set.insert(member, new);
            added += i64::from(old.is_none());
            changed += i64::from(old.is_some_and(|old| old != new));
        }
        if options.increments {
            return Reply::Double(new);
        }
    }
    Reply::Integer(if options.counts_changed {
        added + changed
    } else {
        added
    })
}

pub(super) fn zrem(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let set = match members(context, words[1]) {
        Ok(Some(set)) => set,
        Ok(None) => return Reply::Integer(0),
        Err(error) => return error,
    };
    let removed = words[2..]
        .iter()
        .filter(|member| set.remove(member))
        .count();
    if set.is_empty() {
        context.remove(words[1]);
    }
    Reply::Integer(removed as i64)
}

pub(super) fn zcard(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match members(context, words[1]) {
        Ok(set) => Reply::Integer(set.map_or(0, |set| set.len() as i64)),
        Err(error) => error,
    }
}

pub(super) fn zscore(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match members(context, words[1]) {
        Ok(set) => score_of(set.as_deref(), words[2]),
        Err(error) => error,
    }
}

pub(super) fn zmscore(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match members(context, words[1]) {
        Ok(set) => {
            let scores = words[2..]
                .iter()
                .map(|member| score_of(set.as_deref(), member));
            Reply::Array(scores.collect())
        }
        Err(error) => error,
    }
}

fn score_of(set: Option<&SortedSet>, member: &[u8]) -> Reply {
    let score = set.and_then(|set| set.score(member));
    score.map_or(Reply::Nil, Reply::Double)
}

pub(super) fn zrank(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    if words.len() > 3 {
        return syntax_error();
    }
    match members(context, words[1]) {
        Ok(set) => {
            let place = set.and_then(|set| set.iter().position(|(name, _)| name == words[2]));
            place.map_or(Reply::Nil, |place| Reply::Integer(place as i64))
        }
        Err(error) => error,
    }
}

/// Whether a score is within a range.
type Range = (f64, bool, f64, bool);

fn range(low: &[u8], high: &[u8]) -> Result<Range, Reply> {
    match (bound(low), bound(high)) {
        (Some((low, above)), Some((high, below))) => Ok((low, above, high, below)),
        _ => Err(Reply::error("ERR min or max is not a float")),
    }
}

fn is_within((low, above, high, below): Range, score: f64) -> bool {
    let from_low = if above { score > low } else { score >= low };
    let to_high = if below { score < high } else { score <= high };
    from_low && to_high
}

pub(super) fn zcount(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let range = match range(words[2], words[3]) {
        Ok(range) => range,
        Err(error) => return error,
    };
    match members(context, words[1]) {
        Ok(set) => {
            let all = set.iter().flat_map(|set| set.iter());
            Reply::Integer(all.filter(|(_, score)| is_within(range, *score)).count() as i64)
        }
        Err(error) => error,
    }
}

pub(super) fn zremrangebyscore(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let range = match range(words[2], words[3]) {
        Ok(range) => range,
        Err(error) => return error,
    };
    let set = match members(context, words[1]) {
        Ok(Some(set)) => set,
        Ok(None) => return Reply::Integer(0),
        Err(error) => return error,
    };
    let within = set.iter().filter(|(_, score)| is_within(range, *score));
    let names: Vec<Vec<u8>> = within.map(|(name, _)| name.to_vec()).collect();
    for name in &names {
        set.remove(name);
    }
    if set.is_empty() {
        context.remove(words[1]);
    }
    Reply::Integer(names.len() as i64)
}

/// What is behind the ends of a range.
#[derive(Clone, Copy, Default)]
struct RangeOptions {
    by_score: bool,
    reversed: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl RangeOptions {
    fn read(words: &[&[u8]]) -> Result<RangeOptions, Reply> {
        let mut options = RangeOptions::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"WITHSCORES" => options.with_scores = true,
                b"REV" => options.reversed = true,
                b"BYSCORE" => options.by_score = true,
                b"LIMIT" => {
                    let (Some(skip), Some(count)) = (words.next(), words.next()) else {
                        return Err(syntax_error());
                    };
                    let (Some(skip), Some(count)) = (integer(skip), integer(count)) else {
                        return Err(not_an_integer());
                    };
                    options.limit = Some((skip, count));
                }
                _ => return Err(syntax_error()),
            }
        }
        Ok(options)
    }
}

pub(super) fn zrange(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    let options = match RangeOptions::read(&words[4..]) {
        Ok(options) => options,
        Err(error) => return error,
    };
    if options.by_score {
        return by_score(context, words, options);
    }
    if options.limit.is_some() {
        return Reply::error(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
    }
    let (Some(start), Some(stop)) = (integer(words[2]), integer(words[3])) else {
        return not_an_integer();
    };
    let set = match members(context, words[1]) {
        Ok(Some(set)) => set,
        Ok(None) => return told(Vec::new(), options),
        Err(error) => return error,
    };
    let count = set.len() as i64;
    let from_end = |place: i64| if place < 0 { place + count } else { place };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(count - 1));
    if start > stop {
        return told(Vec::new(), options);
    }
    let places = (start as usize, (stop - start + 1) as usize);
    told(slice(set, options.reversed, places), options)
}

/// So many members from a place on, of a set or of its reverse; whichever end is nearer is gone from.
fn slice(set: &SortedSet, reversed: bool, (skip, count): (usize, usize)) -> Vec<(Vec<u8>, f64)> {
    let own = |(name, score): (&[u8], f64)| (name.to_vec(), score);
    let behind = set.len() - skip - count;
    let mut found: Vec<_> = match (reversed, skip <= behind) {
        (false, true) => set.iter().skip(skip).take(count).map(own).collect(),
        (true, true) => set.iter().rev().skip(skip).take(count).map(own).collect(),
        (false, false) => set.iter().rev().skip(behind).take(count).map(own).collect(),
        (true, false) => set.iter().skip(behind).take(count).map(own).collect(),
    };
    if skip > behind {
        found.reverse();
    }
    found
}

pub(super) fn zrangebyscore(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match RangeOptions::read(&words[4..]) {
        Ok(options) if options.by_score || options.reversed => syntax_error(),
        Ok(options) => by_score(context, words, options),
        Err(error) => error,
    }
}

fn by_score(context: &mut Context<'_>, words: &[&[u8]], options: RangeOptions) -> Reply {
    let (low, high) = match options.reversed {
        false => (words[2], words[3]),
        true => (words[3], words[2]),
    };
    let range = match range(low, high) {
        Ok(range) => range,
        Err(error) => return error,
    };
    let set = match members(context, words[1]) {
        Ok(Some(set)) => set,
        Ok(None) => return told(Vec::new(), options),
        Err(error) => return error,
    };
    let within = set.iter().filter(|(_, score)| is_within(range, *score));
    let mut found: Vec<_> = within.map(|(name, score)| (name.to_vec(), score)).collect();
    if options.reversed {
        found.reverse();
    }
    let (skip, count) = options.limit.unwrap_or((0, -1));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let found = match usize::try_from(skip) {
        Ok(skip) => found.into_iter().skip(skip).take(count).collect(),
        Err(_) => Vec::new(),
    };
    told(found, options)
}

fn told(members: Vec<(Vec<u8>, f64)>, options: RangeOptions) -> Reply {
    match options.with_scores {
        true => Reply::Scored(members),
        false => Reply::Array(
            members
                .into_iter()
                .map(|(name, _)| Reply::Bulk(name))
                .collect(),
        ),
    }
}
