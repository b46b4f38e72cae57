//! Lua as Redis has it: the scripts that a node executes, and what they may call.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use mlua::{Function, Lua, Table, Value, Variadic};
use rustc_hash::FxHashMap;

use super::commands::{self, Context};
use super::errors::{self, Denied};
use super::reply::Reply;
use super::state::{Digest, State};
use super::user::User;
use super::version::{Version, printf_g17};

/// Executes scripts. All nodes of a simulation share one, which compiles each script once.
pub struct Interpreter {
    lua: Lua,
    /// Scripts by their digest.
    scripts: RefCell<FxHashMap<Digest, Rc<Script>>>,
    digests: RefCell<FxHashMap<Box<[u8]>, Digest>>,
    /// What was compiled, by the text without comments at its end: scripts of different boots differ only there.
    compiled: RefCell<FxHashMap<Box<[u8]>, Function>>,
    frame: Rc<RefCell<Option<Frame>>>,
    /// What is changed in each script before it is compiled.
    changes: Vec<(&'static str, &'static str)>,
    /// Which of them were made.
    changed: RefCell<BTreeSet<usize>>,
}

/// A script that some node was told.
struct Script {
    function: Function,
    digest: Digest,
}

/// A call of a script that is under way.
struct Frame {
    state: Box<State>,
    database: usize,
    user: Rc<User>,
    /// Whether the memory was full when it began.
    memory_was_full: bool,
    /// Whether it has changed anything.
    has_written: bool,
}

/// What a script is called with.
pub struct Call<'a> {
    /// The script, which the node has.
    pub digest: &'a Digest,
    /// KEYS.
    pub keys: &'a [&'a [u8]],
    /// ARGV.
    pub arguments: &'a [&'a [u8]],
    /// The database of its connection.
    pub database: usize,
    /// Who calls it.
    pub user: &'a Rc<User>,
}

/// An error of `redis.call`, which ends the script.
#[derive(Debug)]
struct Raised {
    text: Vec<u8>,
    line: usize,
}

impl std::fmt::Display for Raised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Raised {}

impl Interpreter {
    /// An interpreter that knows no script yet.
    ///
    /// # Panics
    /// When Lua cannot be set up.
    pub fn new() -> Rc<Interpreter> {
        Interpreter::with_changes(Vec::new())
    }

    /// One that takes something else for what stands in scripts, to see whether that is noticed.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_changes(changes: Vec<(&'static str, &'static str)>) -> Rc<Interpreter> {
        let lua = Lua::new();
        let frame = Rc::new(RefCell::new(None));
        provide_redis(&lua, &frame).expect("Lua can be set up");
        Rc::new(Interpreter {
            lua,
            scripts: RefCell::default(),
            digests: RefCell::default(),
            compiled: RefCell::default(),
            frame,
            changes,
            changed: RefCell::default(),
        })
    }

    /// Whether everything that was to be changed was found in some script.
    pub fn made_all_changes(&self) -> bool {
        self.changed.borrow().len() == self.changes.len()
    }

    /// Takes a script in; its digest, or the compiler's complaint.
    pub fn learn(&self, text: &[u8]) -> Result<Digest, String> {
        let digest = self.digest(text);
        if !self.scripts.borrow().contains_key(&digest) {
            let function = self.compile(text)?;
            let script = Rc::new(Script { function, digest });
            self.scripts.borrow_mut().insert(digest, script);
        }
        Ok(digest)
    }

    /// A script's SHA-1 in hexadecimal digits.
    pub fn digest(&self, text: &[u8]) -> Digest {
        if let Some(digest) = self.digests.borrow().get(text) {
            return *digest;
        }
        let digest = digest_of(text);
        self.digests.borrow_mut().insert(text.into(), digest);
        digest
    }

    fn compile(&self, text: &[u8]) -> Result<Function, String> {
        let key = without_last_comments(text);
        if let Some(function) = self.compiled.borrow().get(key) {
            return Ok(function.clone());
        }
        // On the first line, so that the lines keep their numbers.
        let mut whole = [b"local KEYS,ARGV=...; ", key].concat();
        if !self.changes.is_empty() {
            let mut text = String::from_utf8_lossy(&whole).into_owned();
            for (place, (from, to)) in self.changes.iter().enumerate() {
                if text.contains(from) {
                    self.changed.borrow_mut().insert(place);
                    text = text.replace(from, to);
                }
            }
            whole = text.into_bytes();
        }
        let chunk = self.lua.load(whole).set_name("@user_script");
        let function = chunk.into_function().map_err(|error| first_line(&error))?;
        self.compiled
            .borrow_mut()
            .insert(key.into(), function.clone());
        Ok(function)
    }

    /// Calls a script. The state is lent to it for that time.
    pub fn call(&self, state: &mut Option<Box<State>>, call: &Call<'_>) -> Reply {
        let script = Rc::clone(&self.scripts.borrow()[call.digest]);
        let Some(lent) = state.take() else {
            unreachable!("a script calls no other script");
        };
        let version = lent.settings.version;
        *self.frame.borrow_mut() = Some(Frame {
            memory_was_full: lent.settings.memory_full,
            state: lent,
            database: call.database,
            user: Rc::clone(call.user),
            has_written: false,
        });
        let result = self.execute(&script, call);
        let frame = self.frame.borrow_mut().take();
        *state = frame.map(|frame| frame.state);
        result.unwrap_or_else(|error| Reply::Error(uncaught(version, &script.digest, &error)))
    }

    fn execute(&self, script: &Script, call: &Call<'_>) -> mlua::Result<Reply> {
        let table = |words: &[&[u8]]| {
            let table = self.lua.create_table_with_capacity(words.len(), 0)?;
            for (index, word) in words.iter().enumerate() {
                table.raw_set(index + 1, self.lua.create_string(word)?)?;
            }
            Ok::<Table, mlua::Error>(table)
        };
        let arguments = (table(call.keys)?, table(call.arguments)?);
        reply_of(script.function.call::<Value>(arguments)?)
    }
}

fn digest_of(text: &[u8]) -> Digest {
    let mut digest = [0; 40];
    let hexadecimal = sha1_smol::Sha1::from(text).digest().to_string();
    digest.copy_from_slice(hexadecimal.as_bytes());
    digest
}

/// The text up to the last line that is no comment.
fn without_last_comments(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(body) = rest.strip_suffix(b"\n") {
        let start = body
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = &body[start..];
        if !line.starts_with(b"-- ") {
            break;
        }
        rest = &body[..start];
    }
    rest
}

/// What Lua says without where it was called.
fn first_line(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => {
            message.clone()
        }
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

/// An error that no script caught, in the server's words.
fn uncaught(version: Version, digest: &Digest, error: &mlua::Error) -> Vec<u8> {
    let digest = String::from_utf8_lossy(digest);
    let (text, line) = match raised(error) {
        Some(raised) => (
            String::from_utf8_lossy(&raised.text).into_owned(),
            raised.line,
        ),
        None => {
            let text = first_line(error);
            let mut parts = text.split(':');
            let line = parts.nth(1).and_then(|line| line.parse().ok()).unwrap_or(0);
            let text = match version {
                Version::V6_2 => text,
                _ => format!("ERR {text}"),
            };
            (text, line)
        }
    };
    let whole = match version {
        Version::V6_2 => {
            format!("ERR Error running script (call to f_{digest}): @user_script:{line}: {text}")
        }
        _ => format!("{text} script: {digest}, on @user_script:{line}."),
    };
    whole.trim_end().as_bytes().to_vec()
}

fn raised(error: &mlua::Error) -> Option<&Raised> {
    error.downcast_ref::<Raised>()
}

/// Makes `redis`, with what scripts may call.
fn provide_redis(lua: &Lua, frame: &Rc<RefCell<Option<Frame>>>) -> mlua::Result<()> {
    let redis = lua.create_table()?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let frame = Rc::clone(frame);
        let function = lua.create_function(move |lua, words: Variadic<Value>| {
            match call_from_script(&frame, &words) {
                Ok((Reply::Error(text), _)) if raises => Err(raise(text, calling_line(lua))),
                Ok((reply, version)) => value_of(lua, reply, version),
                Err((text, version)) => {
                    let line = calling_line(lua);
                    let text = match version {
                        Version::V6_2 => format!("@user_script: {line}: {text}"),
                        _ => text,
                    };
                    match raises {
                        true => Err(raise(text.into_bytes(), line)),
                        false => error_table(lua, text.as_bytes()),
                    }
                }
            }
        })?;
        redis.raw_set(name, function)?;
    }
    redis.raw_set(
        "sha1hex",
        lua.create_function(|lua, text: mlua::LuaString| {
            lua.create_string(digest_of(&text.as_bytes()))
        })?,
    )?;
    redis.raw_set(
        "error_reply",
        lua.create_function(|lua, text: mlua::LuaString| {
            let text = text.as_bytes();
            error_table(lua, text.strip_prefix(b"-").unwrap_or(&text))
        })?,
    )?;
    redis.raw_set(
        "status_reply",
        lua.create_function(|lua, text: mlua::LuaString| {
            let table = lua.create_table()?;
            table.raw_set("ok", text)?;
            Ok(table)
        })?,
    )?;
    lua.globals().raw_set("redis", redis)
}

fn raise(text: Vec<u8>, line: usize) -> mlua::Error {
    mlua::Error::external(Raised { text, line })
}

/// The line of the script from which this function was called.
fn calling_line(lua: &Lua) -> usize {
    let line = lua
        .inspect_stack(1, |caller| caller.current_line())
        .flatten();
    line.unwrap_or(0)
}

fn error_table(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// A command that a script calls: its reply, or why it is not executed; with the server's version.
type Called = Result<(Reply, Version), (String, Version)>;

fn call_from_script(frame: &RefCell<Option<Frame>>, words: &[Value]) -> Called {
    let mut frame = frame.borrow_mut();
    let Some(frame) = frame.as_mut() else {
        unreachable!("a script runs within a call");
    };
    let version = frame.state.settings.version;
    let refuse = |text: &str| Err((text.to_owned(), version));
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        texts.push(match word {
            Value::String(text) => Word::Text(text.as_bytes()),
            Value::Integer(number) => Word::Number(number.to_string()),
            Value::Number(number) => Word::Number(number_text(*number)),
            _ => return refuse(&arguments_must_be_strings(version)),
        });
    }
    let words: Vec<&[u8]> = texts.iter().map(Word::bytes).collect();
    match frame.execute(&words) {
        Ok(reply) => Ok((reply, version)),
        Err(text) => refuse(&text),
    }
}

enum Word {
    Text(mlua::BorrowedBytes),
    Number(String),
}

impl Word {
    fn bytes(&self) -> &[u8] {
        match self {
            Word::Text(text) => text,
            Word::Number(digits) => digits.as_bytes(),
        }
    }
}

fn number_text(number: f64) -> String {
    match number == number.trunc() && number.abs() < 1e17 {
        true => format!("{}", number as i64),
        false => printf_g17(number),
    }
}

fn arguments_must_be_strings(version: Version) -> String {
    match version {
        Version::V6_2 => "Lua redis() command arguments must be strings or integers".to_owned(),
        _ => "ERR Lua redis lib command arguments must be strings or integers".to_owned(),
    }
}

impl Frame {
    /// Executes a command for the script, if this user, and the server as it is, allow it.
    fn execute(&mut self, words: &[&[u8]]) -> Result<Reply, String> {
        let version = self.state.settings.version;
        let command = words.first().and_then(|name| commands::find(version, name));
        let Some(command) = command else {
            return Err(match version {
                Version::V6_2 => "Unknown Redis command called from Lua script".to_owned(),
                _ => "ERR Unknown Redis command called from script".to_owned(),
            });
        };
        if !command.takes(version, words.len()) {
            return Err(match version {
                Version::V6_2 => {
                    "Wrong number of args calling Redis command From Lua script".to_owned()
                }
                _ => "ERR Wrong number of args calling Redis command from script".to_owned(),
            });
        }
        let settings = &self.state.settings;
        if command.writes && settings.replica {
            return Err(shared_error(version, errors::READ_ONLY));
        }
        if command.writes && settings.lacks_replicas && !self.has_written {
            return Err(shared_error(version, errors::NO_REPLICAS));
        }
        if command.needs_memory && self.memory_was_full && !self.has_written {
            return Err(shared_error(version, errors::OUT_OF_MEMORY));
        }
        if let Some(denied) = denied(&self.user, command, words) {
            return Err(denied.in_script(version, &self.user, command.name));
        }
        self.has_written |= command.writes;
        let mut context = Context {
            state: &mut self.state,
            database: self.database,
        };
        Ok((command.execute)(&mut context, words))
    }
}

/// An error that connections get, too. Redis 6 leaves it as it is on the wire.
fn shared_error(version: Version, text: &str) -> String {
    match version {
        Version::V6_2 => format!("-{text}\r\n"),
        _ => text.to_owned(),
    }
}

/// What a user lacks for a command.
pub(super) fn denied(user: &User, command: &commands::Command, words: &[&[u8]]) -> Option<Denied> {
    if !user.may(command.name) {
        return Some(Denied::Command);
    }
    let keys = command.keys_in(words);
    if !keys.iter().all(|key| user.may_use_key(key)) {
        return Some(Denied::Key);
    }
    let is_message = command.name == "publish";
    if is_message && !user.may_use_channel(words[1]) {
        return Some(Denied::Channel);
    }
    None
}

/// A reply as a script sees it, which speaks RESP2.
fn value_of(lua: &Lua, reply: Reply, version: Version) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Integer(number) => Value::Number(number as f64),
        Reply::Bulk(text) => Value::String(lua.create_string(text)?),
        Reply::Double(score) => Value::String(lua.create_string(version.score(score))?),
        Reply::Nil => Value::Boolean(false),
        Reply::Error(text) => return error_table(lua, &text),
        Reply::Status(text) => {
            let table = lua.create_table()?;
            table.raw_set("ok", lua.create_string(text)?)?;
            Value::Table(table)
        }
        Reply::Array(elements) | Reply::Map(elements) | Reply::Push(elements) => {
            let table = lua.create_table_with_capacity(elements.len(), 0)?;
            for (index, element) in elements.into_iter().enumerate() {
                table.raw_set(index + 1, value_of(lua, element, version)?)?;
            }
            Value::Table(table)
        }
        Reply::Scored(members) => {
            let table = lua.create_table_with_capacity(2 * members.len(), 0)?;
            for (index, (member, score)) in members.into_iter().enumerate() {
                table.raw_set(2 * index + 1, lua.create_string(member)?)?;
                table.raw_set(2 * index + 2, lua.create_string(version.score(score))?)?;
            }
            Value::Table(table)
        }
    })
}

/// A number as a machine makes an integer of it: of what is too large, the least there is.
fn truncated(number: f64) -> i64 {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    match (-TOO_LARGE..TOO_LARGE).contains(&number) {
        true => number as i64,
        false => i64::MIN,
    }
}

/// What a script returned, as a reply.
fn reply_of(value: Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Integer(number),
        Value::Number(number) => Reply::Integer(truncated(number)),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Table(table) => {
            if let Value::String(text) = table.raw_get("err")? {
                return Ok(Reply::Error(text.as_bytes().to_vec()));
            }
            if let Value::String(text) = table.raw_get("ok")? {
                return Ok(Reply::Status(text.as_bytes().to_vec()));
            }
            let mut elements = Vec::new();
            loop {
                match table.raw_get(elements.len() + 1)? {
                    Value::Nil => break,
                    element => elements.push(reply_of(element)?),
                }
            }
            Reply::Array(elements)
        }
        _ => Reply::Nil,
    })
}
