//! The commands that need neither a connection nor Lua: those that scripts may use.

mod expiry;
mod hashes;
mod keys;
mod numbers;
mod sorted_sets;
mod strings;

use super::keyspace::{Entry, Keyspace, Value};
use super::reply::Reply;
use super::state::State;
use super::version::Version;

pub use numbers::integer;

/// What a command is executed on.
pub struct Context<'a> {
    /// The node's knowledge.
    pub state: &'a mut State,
    /// The database that the connection has chosen.
    pub database: usize,
}

/// Where the keys of a command are among its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nowhere.
    None,
    /// It is the second word.
    One,
    /// All words but the first.
    All,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name in lower case.
    pub name: &'static str,
    /// How many words it has, the name counted; so many at least if negative.
    pub arity: i32,
    /// Whether it may change data.
    pub writes: bool,
    /// Whether it is refused when the memory is full.
    pub needs_memory: bool,
    /// Where its keys are.
    pub keys: Keys,
    /// Executes it; the words are as many as its arity says.
    pub execute: fn(&mut Context<'_>, &[&[u8]]) -> Reply,
}

impl Command {
    /// Whether it can have so many words. Some have got options with later versions.
    pub fn takes(&self, version: Version, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        let options_since = match self.name {
            "pexpire" | "expire" | "pexpireat" => Version::V7_0,
            "zrank" => Version::V8_2,
            _ => Version::V6_2,
        };
        words == least || self.arity < 0 && version >= options_since && words > least
    }

    /// Its keys among its words.
    pub fn keys_in<'a>(&self, words: &'a [&'a [u8]]) -> &'a [&'a [u8]] {
        match self.keys {
            Keys::None => &[],
            Keys::One => &words[1..2],
            Keys::All => &words[1..],
        }
    }
}

macro_rules! commands {
    ($($name:literal, $arity:literal, $effect:ident, $keys:ident, $execute:expr;)*) => {
        /// The command of this name, in whatever case, if this version has it.
        pub fn find(version: Version, name: &[u8]) -> Option<&'static Command> {
            let mut lower = [0; 24];
            let lower = lower.get_mut(..name.len())?;
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            match std::str::from_utf8(lower).ok()? {
                "pexpiretime" if version == Version::V6_2 => None,
                $($name => {
                    static COMMAND: Command = Command {
                        name: $name,
                        arity: $arity,
                        writes: effects::$effect.0,
                        needs_memory: effects::$effect.1,
                        keys: Keys::$keys,
                        execute: $execute,
                    };
                    Some(&COMMAND)
                })*
                _ => None,
            }
        }
    };
}

/// Whether a command writes, and whether it needs memory.
mod effects {
    pub(super) const READS: (bool, bool) = (false, false);
    pub(super) const WRITES: (bool, bool) = (true, false);
    pub(super) const GROWS: (bool, bool) = (true, true);
}

commands! {
    "get", 2, READS, One, strings::get;
    "set", -3, GROWS, One, strings::set;
    "mget", -2, READS, All, strings::mget;
    "incr", 2, GROWS, One, strings::incr;
    "del", -2, WRITES, All, keys::del;
    "unlink", -2, WRITES, All, keys::del;
    "exists", -2, READS, All, keys::exists;
    "type", 2, READS, One, keys::kind;
    "scan", -2, READS, None, keys::scan;
    "pttl", 2, READS, One, expiry::pttl;
    "ttl", 2, READS, One, expiry::ttl;
    "pexpiretime", 2, READS, One, expiry::pexpiretime;
    "pexpire", -3, WRITES, One, expiry::pexpire;
    "expire", -3, WRITES, One, expiry::expire;
    "pexpireat", -3, WRITES, One, expiry::pexpireat;
    "persist", 2, WRITES, One, expiry::persist;
    "zadd", -4, GROWS, One, sorted_sets::zadd;
    "zrem", -3, WRITES, One, sorted_sets::zrem;
    "zcard", 2, READS, One, sorted_sets::zcard;
    "zscore", 3, READS, One, sorted_sets::zscore;
    "zmscore", -3, READS, One, sorted_sets::zmscore;
    "zrank", -3, READS, One, sorted_sets::zrank;
    "zcount", 4, READS, One, sorted_sets::zcount;
    "zrange", -4, READS, One, sorted_sets::zrange;
    "zrangebyscore", -4, READS, One, sorted_sets::zrangebyscore;
    "zremrangebyscore", 4, WRITES, One, sorted_sets::zremrangebyscore;
    "hset", -4, GROWS, One, hashes::hset;
    "hsetnx", 4, GROWS, One, hashes::hsetnx;
    "hget", 3, READS, One, hashes::hget;
    "hmget", -3, READS, One, hashes::hmget;
    "hdel", -3, WRITES, One, hashes::hdel;
    "hlen", 2, READS, One, hashes::hlen;
    "hexists", 3, READS, One, hashes::hexists;
    "hgetall", 2, READS, One, hashes::hgetall;
    "publish", 3, READS, None, publish;
    "time", 1, READS, None, time;
    "ping", -1, READS, None, ping;
    "echo", 2, READS, None, |_, words| Reply::bulk(words[1]);
    "flushall", -1, WRITES, None, keys::flushall;
}

/// The error of a command that the key's type does not fit.
pub(super) fn wrong_type() -> Reply {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn syntax_error() -> Reply {
    Reply::error("ERR syntax error")
}

fn not_an_integer() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}

impl Context<'_> {
    fn version(&self) -> Version {
        self.state.settings.version
    }

    fn now(&self) -> i64 {
        self.state.now_ms()
    }

    fn keyspace(&mut self) -> &mut Keyspace {
        self.state
            .database(self.database)
            .expect("a connection is in a database that there is")
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = self.now();
        self.keyspace().get(key, now)
    }

    fn put(&mut self, key: &[u8], value: Value, ends: Option<i64>) {
        self.keyspace().put(key, value, ends);
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let now = self.now();
        self.keyspace().remove(key, now)
    }
}

fn publish(context: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    Reply::Integer(context.state.publish(words[1], words[2]) as i64)
}

fn time(context: &mut Context<'_>, _: &[&[u8]]) -> Reply {
    let now = context.state.now_us;
    let parts = [now / 1_000_000, now % 1_000_000];
    Reply::Array(parts.map(|part| Reply::bulk(part.to_string())).into())
}

fn ping(_: &mut Context<'_>, words: &[&[u8]]) -> Reply {
    match words {
        [_] => Reply::Status(b"PONG".to_vec()),
        [_, text] => Reply::bulk(text),
        _ => Reply::error("ERR wrong number of arguments for 'ping' command"),
    }
}
