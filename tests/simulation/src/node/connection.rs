//! A connection to a node: the commands that are about it, and which others it may use.

use std::ops::Range;
use std::rc::Rc;

use super::commands::{self, Context, integer};
use super::errors::{self, Denied};
use super::info;
use super::lua::{self, Call, Interpreter};
use super::reply::Reply;
use super::request::{self, ProtocolError};
use super::state::{ConnectionId, Digest, State};
use super::user::User;
use super::version::Version;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether it was told already that there is output.
    is_announced: bool,
    resp3: bool,
    database: usize,
    /// `None` before it has logged in.
    user: Option<Rc<User>>,
    name: Vec<u8>,
    subscriptions: usize,
    is_closing: bool,
}

/// What a command that is about its connection does to it.
enum Effect {
    Reply(Reply),
    /// Several replies, one for each channel.
    Replies(Vec<Reply>),
    /// Another connection is to end.
    Kill(ConnectionId),
}

/// Commands that are about a connection, or need Lua: name, number of words, and whether they are allowed before a login.
const OWN: [(&str, i32, bool); 14] = [
    ("hello", -1, true),
    ("auth", -2, true),
    ("select", 2, false),
    ("client", -2, false),
    ("info", -1, false),
    ("config", -2, false),
    ("script", -2, false),
    ("eval", -3, false),
    ("evalsha", -3, false),
    ("subscribe", -2, false),
    ("unsubscribe", -1, false),
    ("quit", -1, true),
    ("reset", 1, true),
    ("command", -1, false),
];

fn find_own(name: &[u8]) -> Option<(&'static str, i32, bool)> {
    let is_called = |command: &&(&str, i32, bool)| command.0.as_bytes().eq_ignore_ascii_case(name);
    OWN.iter().find(is_called).copied()
}

/// Subcommands: whose, name, and number of words.
const SUBCOMMANDS: [(&str, &str, i32); 8] = [
    ("client", "id", 2),
    ("client", "setname", 3),
    ("client", "getname", 2),
    ("client", "kill", -3),
    ("config", "get", -3),
    ("script", "load", 3),
    ("script", "exists", -3),
    ("script", "flush", -2),
];

/// Which commands have subcommands that permissions speak of.
fn has_subcommands(name: &str) -> bool {
    matches!(name, "client" | "config" | "script")
}

/// What is wrong with a command's subcommand.
fn wrong_subcommand(version: Version, name: &str, words: &[&[u8]]) -> Option<String> {
    if !has_subcommands(name) {
        return None;
    }
    let is_meant = |known: &&(&str, &str, i32)| {
        known.0 == name && known.1.as_bytes().eq_ignore_ascii_case(words[1])
    };
    let Some((_, subcommand, arity)) = SUBCOMMANDS.iter().find(is_meant) else {
        return Some(errors::unknown_subcommand(version, name, words[1]));
    };
    match (fits(*arity, words.len()), version) {
        (true, _) => None,
        // It asks for no script, and is told of none.
        (false, Version::V6_2) if *subcommand == "exists" => None,
        (false, Version::V6_2) => Some(errors::unknown_subcommand(version, name, words[1])),
        (false, _) => Some(errors::wrong_number(
            version,
            &format!("{name}|{subcommand}"),
        )),
    }
}

/// Whether a command of this arity may have so many words.
fn fits(arity: i32, words: usize) -> bool {
    match usize::try_from(arity) {
        Ok(exactly) => words == exactly,
        Err(_) => words >= arity.unsigned_abs() as usize,
    }
}

impl Connection {
    pub(super) fn new(id: ConnectionId, user: Option<Rc<User>>) -> Connection {
        Connection {
            id,
            input: Vec::new(),
            output: Vec::new(),
            is_announced: false,
            resp3: false,
            database: 0,
            user,
            name: Vec::new(),
            subscriptions: 0,
            is_closing: false,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    pub(super) fn next_command(
        &self,
        words: &mut Vec<Range<usize>>,
    ) -> Result<Option<usize>, ProtocolError> {
        request::parse(&self.input, words)
    }

    /// Takes the input, whose first command has so many bytes.
    pub(super) fn take_command(&mut self, length: usize) -> Input {
        Input {
            bytes: std::mem::take(&mut self.input),
            length,
        }
    }

    /// Gives it back, the command left out.
    pub(super) fn give_back(&mut self, mut input: Input) {
        input.bytes.drain(..input.length);
        self.input = input.bytes;
    }

    /// Whether there is output that was not announced yet; it is then.
    pub(super) fn has_news(&mut self) -> bool {
        let is_news = !self.output.is_empty() && !self.is_announced;
        self.is_announced |= is_news;
        is_news
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.is_announced = false;
        std::mem::take(&mut self.output)
    }

    pub(super) fn push(&mut self, message: &Reply, version: Version) {
        message.write(&mut self.output, self.resp3, version);
    }

    pub(super) fn hang_up(&mut self, reply: &Reply, version: Version) {
        reply.write(&mut self.output, self.resp3, version);
        self.is_closing = true;
    }

    /// Executes a command and puts the reply into the output. Returns another connection that is to end.
    pub(super) fn execute(
        &mut self,
        state: &mut Option<Box<State>>,
        interpreter: &Interpreter,
        words: &[&[u8]],
    ) -> Option<ConnectionId> {
        let version = state.as_ref()?.settings.version;
        let effect = self.answer(state, interpreter, words);
        let (replies, killed) = match effect {
            Effect::Reply(reply) => (vec![reply], None),
            Effect::Replies(replies) => (replies, None),
            Effect::Kill(id) => {
                let is_there = state.as_ref()?.connections.contains(&id);
                (vec![Reply::Integer(is_there.into())], Some(id))
            }
        };
        let state = state.as_mut()?;
        if version < Version::V8_2 {
            // Messages to itself come before the reply to the command that sent them.
            self.take_own_pushes(state, version);
        }
        for reply in replies {
            reply.write(&mut self.output, self.resp3, version);
        }
        killed
    }

    fn take_own_pushes(&mut self, state: &mut State, version: Version) {
        let own = self.id;
        let (mine, others) = std::mem::take(&mut state.pushes)
            .into_iter()
            .partition(|(id, _)| *id == own);
        state.pushes = others;
        let mine: Vec<(ConnectionId, Reply)> = mine;
        for (_, push) in mine {
            self.push(&push, version);
        }
    }

    fn answer(
        &mut self,
        state: &mut Option<Box<State>>,
        interpreter: &Interpreter,
        words: &[&[u8]],
    ) -> Effect {
        let Some(known) = state.as_mut() else {
            unreachable!("no script is running");
        };
        let version = known.settings.version;
        if let Some(command) = commands::find(version, words[0]) {
            return Effect::Reply(self.plain(known, command, words));
        }
        let Some((name, arity, before_login)) = find_own(words[0]) else {
            return error(errors::unknown_command(version, words));
        };
        if !fits(arity, words.len()) {
            return error(errors::wrong_number(version, name));
        }
        let wrong = wrong_subcommand(version, name, words);
        let refusal = (!before_login).then(|| self.refusal(known, name, words));
        let refusal = refusal.flatten();
        // Redis 6 looks at subcommands when it executes them.
        let first = match version {
            Version::V6_2 => refusal.or(wrong),
            _ => wrong.or(refusal),
        };
        if let Some(first) = first {
            return error(first);
        }
        match name {
            "eval" | "evalsha" => {
                Effect::Reply(self.script_call(state, interpreter, name == "eval", words))
            }
            "script" => Effect::Reply(script(known, interpreter, words)),
            _ => self.about_itself(known, name, words),
        }
    }

    /// Why a command about the connection is refused.
    fn refusal(&self, state: &State, name: &'static str, words: &[&[u8]]) -> Option<String> {
        let Some(user) = &self.user else {
            return Some(errors::NOAUTH.to_owned());
        };
        let version = state.settings.version;
        if !user.may(name) {
            return Some(Denied::Command.text(version, user, &whole_name(name, words)));
        }
        let whole = whole_name(name, words);
        if has_subcommands(name) && !user.may(&whole) {
            return Some(Denied::Command.text(version, user, &whole));
        }
        if name == "subscribe"
            && !words[1..]
                .iter()
                .all(|channel| user.may_use_channel(channel))
        {
            return Some(Denied::Channel.text(version, user, name));
        }
        if state.settings.loading && name != "info" {
            return Some(errors::LOADING.to_owned());
        }
        None
    }

    /// A command that scripts may use, too.
    fn plain(&self, state: &mut State, command: &commands::Command, words: &[&[u8]]) -> Reply {
        let version = state.settings.version;
        if !command.takes(version, words.len()) {
            return Reply::error(errors::wrong_number(version, command.name));
        }
        let Some(user) = &self.user else {
            return Reply::error(errors::NOAUTH);
        };
        if let Some(denied) = lua::denied(user, command, words) {
            return Reply::error(denied.text(version, user, command.name));
        }
        let settings = &state.settings;
        if command.needs_memory && settings.memory_full {
            return Reply::error(errors::OUT_OF_MEMORY);
        }
        if command.writes && settings.lacks_replicas {
            return Reply::error(errors::NO_REPLICAS);
        }
        if command.writes && settings.replica {
            return Reply::error(errors::READ_ONLY);
        }
        if settings.loading {
            return Reply::error(errors::LOADING);
        }
        if !self.resp3 && self.subscriptions > 0 {
            return self.while_subscribed(command.name, words);
        }
        let mut context = Context {
            state,
            database: self.database,
        };
        (command.execute)(&mut context, words)
    }

    /// Over RESP2 a connection that listens may do nothing else.
    fn while_subscribed(&self, name: &str, words: &[&[u8]]) -> Reply {
        if name == "ping" {
            let text = words.get(1).copied().unwrap_or_default();
            return Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(text)]);
        }
        Reply::error(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    }

    fn about_itself(&mut self, state: &mut State, name: &str, words: &[&[u8]]) -> Effect {
        match name {
            "hello" => Effect::Reply(self.hello(state, words)),
            "auth" => Effect::Reply(self.auth(state, words)),
            "select" => Effect::Reply(self.select(state, words)),
            "client" => self.client(state.settings.version, words),
            "info" => Effect::Reply(Reply::bulk(info::text(state))),
            "config" => Effect::Reply(config(state, words)),
            "subscribe" => self.subscribe(state, &words[1..]),
            "unsubscribe" => self.unsubscribe(state, &words[1..]),
            "quit" => {
                self.is_closing = true;
                Effect::Reply(Reply::ok())
            }
            _ => error(errors::unknown_command(state.settings.version, words)),
        }
    }

    fn hello(&mut self, state: &State, words: &[&[u8]]) -> Reply {
        let mut rest = &words[1..];
        let mut resp3 = self.resp3;
        if let Some((protocol, options)) = rest.split_first() {
            match integer(protocol) {
                Some(number @ 2..=3) => resp3 = number == 3,
                Some(_) => return Reply::error("NOPROTO unsupported protocol version"),
                None => {
                    return Reply::error("ERR Protocol version is not an integer or out of range");
                }
            }
            rest = options;
        }
        while let Some((option, values)) = rest.split_first() {
            let option_name = option.to_ascii_uppercase();
            rest = match (option_name.as_slice(), values) {
                (b"AUTH", [user, password, rest @ ..]) => {
                    if let Some(refusal) = self.log_in(state, user, password) {
                        return refusal;
                    }
                    rest
                }
                (b"SETNAME", [name, rest @ ..]) => {
                    self.name = name.to_vec();
                    rest
                }
                _ => {
                    let option = String::from_utf8_lossy(option);
                    return Reply::error(format!("ERR Syntax error in HELLO option '{option}'"));
                }
            };
        }
        if self.user.is_none() {
            return Reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
                 <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            );
        }
        self.resp3 = resp3;
        self.greeting(state)
    }

    fn greeting(&self, state: &State) -> Reply {
        let settings = &state.settings;
        let role = if settings.replica {
            "replica"
        } else {
            "master"
        };
        Reply::Map(vec![
            Reply::bulk("server"),
            Reply::bulk("redis"),
            Reply::bulk("version"),
            Reply::bulk(settings.version.number()),
            Reply::bulk("proto"),
            Reply::Integer(if self.resp3 { 3 } else { 2 }),
            Reply::bulk("id"),
            Reply::Integer(self.id as i64),
            Reply::bulk("mode"),
            Reply::bulk("standalone"),
            Reply::bulk("role"),
            Reply::bulk(role),
            Reply::bulk("modules"),
            Reply::Array(Vec::new()),
        ])
    }

    fn auth(&mut self, state: &State, words: &[&[u8]]) -> Reply {
        let (user, password) = match words {
            [_, password] => {
                let default = state.settings.users.get("default");
                if default.is_some_and(|user| user.password.is_none()) {
                    return Reply::error(
                        "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                         configuration is correct?",
                    );
                }
                (&b"default"[..], *password)
            }
            [_, user, password] => (*user, *password),
            _ => return Reply::error("ERR syntax error"),
        };
        self.log_in(state, user, password).unwrap_or_else(Reply::ok)
    }

    fn log_in(&mut self, state: &State, name: &[u8], password: &[u8]) -> Option<Reply> {
        let name = String::from_utf8_lossy(name);
        let user = state.settings.users.get(&*name);
        let is_right = |user: &&Rc<User>| {
            let expected = user.password.as_ref();
            expected.is_none_or(|expected| expected.as_bytes() == password)
        };
        match user.filter(is_right) {
            Some(user) => {
                self.user = Some(Rc::clone(user));
                None
            }
            None => Some(Reply::error(errors::WRONGPASS)),
        }
    }

    fn select(&mut self, state: &mut State, words: &[&[u8]]) -> Reply {
        let Some(number) = integer(words[1]) else {
            return match state.settings.version {
                Version::V6_2 => Reply::error("ERR invalid DB index"),
                _ => Reply::error("ERR value is not an integer or out of range"),
            };
        };
        match usize::try_from(number) {
            Ok(number) if state.database(number).is_some() => {
                self.database = number;
                Reply::ok()
            }
            _ => Reply::error("ERR DB index is out of range"),
        }
    }

    fn client(&mut self, version: Version, words: &[&[u8]]) -> Effect {
        let subcommand = words[1].to_ascii_lowercase();
        Effect::Reply(match (subcommand.as_slice(), &words[2..]) {
            (b"id", []) => Reply::Integer(self.id as i64),
            (b"setname", [name]) => {
                self.name = name.to_vec();
                Reply::ok()
            }
            (b"getname", []) if self.name.is_empty() => Reply::Nil,
            (b"getname", []) => Reply::bulk(&self.name),
            (b"kill", [filter, id]) if filter.eq_ignore_ascii_case(b"id") => match integer(id) {
                Some(id @ 1..) => return self.kill(id as ConnectionId),
                Some(_) if version == Version::V6_2 => Reply::Integer(0),
                None if version == Version::V6_2 => {
                    Reply::error("ERR value is not an integer or out of range")
                }
                _ => Reply::error("ERR client-id should be greater than 0"),
            },
            // An address, and nobody has one here.
            (b"kill", [_]) => Reply::error("ERR No such client"),
            _ => Reply::error("ERR syntax error"),
        })
    }

    fn kill(&mut self, id: ConnectionId) -> Effect {
        if id == self.id {
            self.is_closing = true;
            return Effect::Reply(Reply::Integer(1));
        }
        Effect::Kill(id)
    }

    fn subscribe(&mut self, state: &mut State, channels: &[&[u8]]) -> Effect {
        let confirm = |channel: &&[u8]| {
            let listeners = state.channels.entry(channel.to_vec()).or_default();
            self.subscriptions += usize::from(listeners.insert(self.id));
            confirmation("subscribe", Reply::bulk(channel), self.subscriptions)
        };
        Effect::Replies(channels.iter().map(confirm).collect())
    }

    fn unsubscribe(&mut self, state: &mut State, channels: &[&[u8]]) -> Effect {
        let mut own: Vec<Vec<u8>> = channels.iter().map(|channel| channel.to_vec()).collect();
        if own.is_empty() {
            let listened = state
                .channels
                .iter()
                .filter(|(_, who)| who.contains(&self.id));
            own = listened.map(|(channel, _)| channel.clone()).collect();
        }
        if own.is_empty() {
            return Effect::Reply(confirmation("unsubscribe", Reply::Nil, self.subscriptions));
        }
        let confirm = |channel: Vec<u8>| {
            if let Some(listeners) = state.channels.get_mut(&channel) {
                self.subscriptions -= usize::from(listeners.remove(&self.id));
                if listeners.is_empty() {
                    state.channels.remove(&channel);
                }
            }
            confirmation("unsubscribe", Reply::Bulk(channel), self.subscriptions)
        };
        Effect::Replies(own.into_iter().map(confirm).collect())
    }

    fn script_call(
        &self,
        state: &mut Option<Box<State>>,
        interpreter: &Interpreter,
        has_text: bool,
        words: &[&[u8]],
    ) -> Reply {
        let Some(known) = state.as_mut() else {
            unreachable!("no script is running");
        };
        let user = self
            .user
            .clone()
            .expect("who is not logged in is refused before");
        if !seeming_keys(words).iter().all(|key| user.may_use_key(key)) {
            let name = if has_text { "eval" } else { "evalsha" };
            return Reply::error(Denied::Key.text(known.settings.version, &user, name));
        }
        if !has_text && words[1].len() != 40 {
            return no_script();
        }
        let (keys, arguments) = match keys_and_arguments(words) {
            Ok(both) => both,
            Err(refusal) => return refusal,
        };
        let digest = match has_text {
            true => interpreter
                .learn(words[1])
                .map_err(|error| Reply::error(does_not_compile(&error))),
            false => known_digest(known, words[1]),
        };
        let digest = match digest {
            Ok(digest) => digest,
            Err(refusal) => return refusal,
        };
        known.scripts.insert(digest);
        let call = Call {
            digest: &digest,
            keys,
            arguments,
            database: self.database,
            user: &user,
        };
        interpreter.call(state, &call)
    }
}

/// Input that a command is being read from.
pub(super) struct Input {
    bytes: Vec<u8>,
    length: usize,
}

impl std::ops::Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

fn error(text: impl Into<Vec<u8>>) -> Effect {
    Effect::Reply(Reply::error(text))
}

fn confirmation(what: &str, channel: Reply, count: usize) -> Reply {
    Reply::Push(vec![
        Reply::bulk(what),
        channel,
        Reply::Integer(count as i64),
    ])
}

/// `client|kill` of `CLIENT KILL`.
fn whole_name(name: &str, words: &[&[u8]]) -> String {
    match (has_subcommands(name), words.get(1)) {
        (true, Some(subcommand)) => {
            let subcommand = String::from_utf8_lossy(subcommand).to_ascii_lowercase();
            format!("{name}|{subcommand}")
        }
        _ => name.to_owned(),
    }
}

/// What the permissions take for the keys of a script, however wrong their number is written.
fn seeming_keys<'a>(words: Words<'a>) -> Words<'a> {
    let digits = words[2].iter().take_while(|byte| byte.is_ascii_digit());
    let count = digits.fold(0_usize, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    });
    words[3..].get(..count).unwrap_or_default()
}

type Words<'a> = &'a [&'a [u8]];

fn keys_and_arguments<'a>(words: Words<'a>) -> Result<(Words<'a>, Words<'a>), Reply> {
    let Some(count) = integer(words[2]) else {
        return Err(Reply::error("ERR value is not an integer or out of range"));
    };
    let Ok(count) = usize::try_from(count) else {
        return Err(Reply::error("ERR Number of keys can't be negative"));
    };
    if count > words.len() - 3 {
        return Err(Reply::error(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    Ok(words[3..].split_at(count))
}

fn known_digest(state: &State, word: &[u8]) -> Result<Digest, Reply> {
    let digest = Digest::try_from(word.to_ascii_lowercase().as_slice()).ok();
    digest
        .filter(|digest| state.scripts.contains(digest))
        .ok_or_else(no_script)
}

fn no_script() -> Reply {
    Reply::error("NOSCRIPT No matching script. Please use EVAL.")
}

fn does_not_compile(error: &str) -> String {
    format!("ERR Error compiling script (new function): {error}")
}

fn script(state: &mut State, interpreter: &Interpreter, words: &[&[u8]]) -> Reply {
    let subcommand = words[1].to_ascii_lowercase();
    match (subcommand.as_slice(), &words[2..]) {
        (b"load", [text]) => match interpreter.learn(text) {
            Ok(digest) => {
                state.scripts.insert(digest);
                Reply::bulk(digest)
            }
            Err(error) => Reply::error(does_not_compile(&error)),
        },
        (b"exists", digests) => {
            let is_there =
                |digest: &&[u8]| Reply::Integer(known_digest(state, digest).is_ok().into());
            Reply::Array(digests.iter().map(is_there).collect())
        }
        (b"flush", []) => flush(state),
        (b"flush", [how])
            if how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async") =>
        {
            flush(state)
        }
        _ if state.settings.version == Version::V6_2 && words.len() > 3 => Reply::error(
            errors::unknown_subcommand(state.settings.version, "script", words[1]),
        ),
        _ => Reply::error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    }
}

fn flush(state: &mut State) -> Reply {
    state.scripts.clear();
    Reply::ok()
}

fn config(state: &State, words: &[&[u8]]) -> Reply {
    let settings = &state.settings;
    let value = |name: &str| match name {
        "appendfsync" => Some(settings.appendfsync),
        "appendonly" if settings.aof => Some("yes"),
        "appendonly" => Some("no"),
        "maxmemory-policy" => Some(settings.maxmemory_policy),
        _ => None,
    };
    if words.len() > 3 && settings.version == Version::V6_2 {
        return Reply::error(errors::unknown_subcommand(
            settings.version,
            "config",
            words[1],
        ));
    }
    let names = words[2..]
        .iter()
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    let pairs = names.filter_map(|name| Some([Reply::bulk(&name), Reply::bulk(value(&name)?)]));
    Reply::Map(pairs.flatten().collect())
}
