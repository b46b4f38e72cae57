//! A node's data: keys of a few types, each of which may have an end.

use std::collections::BTreeSet;
use std::rc::Rc;

use rustc_hash::FxHashMap;

/// The value of a key.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(Vec<u8>),
    /// Fields and their values, in the order in which they came.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// Members by their scores.
    SortedSet(SortedSet),
}

impl Value {
    /// As TYPE tells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::Hash(_) => "hash",
            Value::SortedSet(_) => "zset",
        }
    }
}

/// A key's value, and when it ends.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it holds.
    pub value: Value,
    /// In ms since 1970 by the node's clock; `None` for never.
    pub ends: Option<i64>,
}

/// One database of a node.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {
    keys: FxHashMap<Box<[u8]>, Entry>,
}

impl Keyspace {
    /// What a key holds at this time, in ms by the node's clock.
    pub fn get(&mut self, key: &[u8], now: i64) -> Option<&mut Entry> {
        if self.has_ended(key, now)? {
            self.keys.remove(key);
            return None;
        }
        self.keys.get_mut(key)
    }

    /// Whether a key that is there has ended: at its end it still is there, and then no more.
    fn has_ended(&self, key: &[u8], now: i64) -> Option<bool> {
        let entry = self.keys.get(key)?;
        Some(entry.ends.is_some_and(|ends| now > ends))
    }

    /// Puts a value in the place of whatever the key holds.
    pub fn put(&mut self, key: &[u8], value: Value, ends: Option<i64>) {
        let entry = Entry { value, ends };
        match self.keys.get_mut(key) {
            Some(old) => *old = entry,
            None => {
                self.keys.insert(key.into(), entry);
            }
        }
    }

    /// Takes a key away; whether it was there.
    pub fn remove(&mut self, key: &[u8], now: i64) -> bool {
        let is_there = self.has_ended(key, now) == Some(false);
        self.keys.remove(key);
        is_there
    }

    /// The keys that are there, in the order of their names.
    pub fn live(&self, now: i64) -> Vec<(&[u8], &Entry)> {
        let live = |entry: &Entry| entry.ends.is_none_or(|ends| now <= ends);
        let keys = self.keys.iter().filter(|(_, entry)| live(entry));
        let mut keys: Vec<_> = keys.map(|(key, entry)| (&**key, entry)).collect();
        keys.sort_by_key(|(key, _)| *key);
        keys
    }

    /// Forgets what has ended, which nobody notices.
    pub fn purge(&mut self, now: i64) {
        self.keys
            .retain(|_, entry| entry.ends.is_none_or(|ends| now <= ends));
    }

    /// How many keys there are, those that have ended and that nobody noticed since among them.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A score, in the order of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score(f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Score) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Score) -> std::cmp::Ordering {
        // No score is NaN; and -0 is 0 to Redis.
        self.0
            .partial_cmp(&other.0)
            .unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// Members with scores, in the order of their scores and then of their names.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {
    scores: FxHashMap<Rc<[u8]>, f64>,
    order: BTreeSet<(Score, Rc<[u8]>)>,
}

impl SortedSet {
    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Sets a member's score.
    pub fn insert(&mut self, member: &[u8], score: f64) {
        let name: Rc<[u8]> = match self.scores.get_key_value(member) {
            Some((name, old)) if *old == score => {
                debug_assert!(self.order.contains(&(Score(score), Rc::clone(name))));
                return;
            }
            Some((name, old)) => {
                let (name, old) = (Rc::clone(name), *old);
                self.order.remove(&(Score(old), Rc::clone(&name)));
                name
            }
            None => member.into(),
        };
        self.order.insert((Score(score), Rc::clone(&name)));
        self.scores.insert(name, score);
    }

    /// Takes a member away; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Some((name, score)) = self.scores.remove_entry(member) else {
            return false;
        };
        self.order.remove(&(Score(score), name));
        true
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The members and their scores, the lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        self.order.iter().map(|(score, name)| (&**name, score.0))
    }
}
