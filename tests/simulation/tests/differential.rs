//! The simulated node against real servers: random commands, and each reply must be the same, byte by byte.
//!
//! `DIFFERENTIAL_COMMANDS=500000 cargo test -p simulation --test differential -- --nocapture` compares so many for each server;
//! `DIFFERENTIAL_SEED=n` repeats a run.

#[path = "differential/commands.rs"]
mod commands;
#[path = "differential/frames.rs"]
mod frames;
#[path = "differential/real.rs"]
mod real;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use commands::{CHANNELS, Command, Source};
use real::Real;
use simulation::node::{Clock, ConnectionId, Interpreter, Node, Settings, User, Version};
use simulation::random::Random;
use testkit::ServerBinary;

/// 2026-01-01.
const BEGIN_US: u64 = 1_767_225_600_000_000;

/// A real server and a simulated one that are told the same.
struct Pair {
    real: Real,
    node: Node,
    /// The simulated node's connections, in the order of the real one's.
    connections: Vec<ConnectionId>,
    now_us: u64,
    version: Version,
    /// What was sent last, for messages.
    recent: Vec<String>,
}

impl Pair {
    fn start(binary: ServerBinary) -> Option<Pair> {
        let version = Version::of(binary.version())
            .unwrap_or_else(|| panic!("no node is like {}", binary.version()));
        let real = Real::start(binary, BEGIN_US)?;
        let clock = Clock::new(0, BEGIN_US);
        let run_id = "0".repeat(40);
        let node = Node::new(
            &Interpreter::new(),
            Settings::new(version),
            run_id,
            clock,
            0,
        );
        Some(Pair {
            real,
            node,
            connections: Vec::new(),
            now_us: BEGIN_US,
            version,
            recent: Vec::new(),
        })
    }

    fn connect(&mut self) -> usize {
        self.real.connect();
        self.connections.push(self.node.accept());
        self.connections.len() - 1
    }

    /// Sets both clocks. At its very end a key is still there; but Redis 8 may take it away in passing then.
    fn set_time(&mut self, mut us: u64) {
        while self.version == Version::V8_2 && self.some_key_ends_at(us) {
            us += 1_000;
        }
        self.now_us = us;
        self.real.set_clock(us);
        self.node.clock = Clock::new(0, us);
    }

    /// Has both notice what has ended: what was not noticed is there again when the clock is set back.
    fn notice_ends(&mut self) {
        let keys = self.node.state().databases()[0].live(i64::MIN);
        let names = keys.into_iter().map(|(name, _)| name.to_vec());
        let command = [b"EXISTS".to_vec()]
            .into_iter()
            .chain(names)
            .collect::<Command>();
        if command.len() > 1 {
            self.compare(0, &[command]);
        }
    }

    /// Has the real server set a parameter.
    fn set(&self, name: &str, value: &str) {
        self.real
            .server
            .command(&["CONFIG", "SET", name, value])
            .ok();
    }

    /// Both are masters with memory and without need of replicas.
    fn lift_limits(&mut self) {
        let settings = &mut self.node.state_mut().settings;
        if std::mem::take(&mut settings.memory_full) {
            self.set("maxmemory", "0");
        } else if std::mem::take(&mut settings.lacks_replicas) {
            self.set("min-replicas-to-write", "0");
        } else if std::mem::take(&mut settings.replica) {
            self.real.server.command(&["REPLICAOF", "NO", "ONE"]).ok();
        }
    }

    fn some_key_ends_at(&self, us: u64) -> bool {
        let ms = (us / 1_000) as i64;
        let databases = self.node.state().databases().iter();
        databases
            .flat_map(|database| database.live(i64::MIN))
            .any(|(_, entry)| entry.ends == Some(ms))
    }

    /// Sends commands on a connection in one go, and compares what comes back on all of them.
    fn compare(&mut self, connection: usize, commands: &[Command]) {
        let mut bytes = Vec::new();
        self.recent.clear();
        for command in commands {
            self.recent.push(shown(command));
            bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in command {
                bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.real.send(connection, &bytes);
        self.node.received(0, self.connections[connection], &bytes);
        while self.node.take_event().is_some() {}
        for (place, id) in self.connections.clone().into_iter().enumerate() {
            let expected = frames::split(&self.node.take_output(id));
            let mut count = expected.len();
            if place == connection {
                count = count.max(commands.len());
            }
            let found = self.real.replies(place, count);
            self.assert_same(place, &expected, &found);
        }
    }

    fn assert_same(&self, connection: usize, expected: &[Vec<u8>], found: &[Vec<u8>]) {
        let pairs = expected.iter().zip(found);
        let differ = |(expected, found): (&Vec<u8>, &Vec<u8>)| {
            self.comparable(expected) != self.comparable(found)
        };
        let different = pairs.map(differ).position(|differs| differs);
        if different.is_none() && expected.len() == found.len() {
            return;
        }
        let place = different.unwrap_or(expected.len().min(found.len()));
        let show = |replies: &[Vec<u8>]| {
            let text = |reply: &Vec<u8>| String::from_utf8_lossy(reply).into_owned();
            replies.get(place).map(text)
        };
        panic!(
            "{:?} at {}, connection {connection}, reply {place}:\n real     {:?}\n simulated {:?}\n{}",
            self.version,
            self.now_us,
            show(found),
            show(expected),
            self.recent.join("\n")
        );
    }

    /// A reply without what the servers are free to do in any order.
    fn comparable(&self, reply: &[u8]) -> Vec<u8> {
        // The keys that a survey finds.
        if reply.starts_with(b"$") && reply.windows(18).any(|part| part == b"libredlock:ballots") {
            let mut lines: Vec<&[u8]> = reply.split(|byte| *byte == b'\n').collect();
            lines.sort_unstable();
            return lines.concat();
        }
        reply.to_vec()
    }
}

fn shown(command: &Command) -> String {
    let word = |word: &Vec<u8>| {
        let text = String::from_utf8_lossy(word);
        if text.len() > 70 {
            format!("{}...", text.chars().take(60).collect::<String>())
        } else {
            text.into_owned()
        }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> Command {
    text.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// The Redis servers that there is a node like: the one that the tests run on and those that were fetched, each once. (Valkey is
/// none of them: its clock does not stand still, for it counts on by another one between two looks at it.)
fn servers() -> Vec<ServerBinary> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target =
        target.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    let fetched = std::fs::read_dir(target.join("servers"));
    let mut folders: Vec<PathBuf> = fetched
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    let paths = folders.iter().map(|folder| folder.join("redis-server"));
    let found = paths.filter(|path| path.is_file()).map(ServerBinary::at);
    let mut servers: Vec<ServerBinary> = Vec::new();
    for server in [ServerBinary::chosen().clone()].into_iter().chain(found) {
        let is_known = servers
            .iter()
            .any(|known| known.version() == server.version());
        if !is_known && Version::of(server.version()).is_some() {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "no server is like a node");
        eprintln!("skipped: no server is like a node; scripts/fetch-servers fetches some");
    }
    servers
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    number_from("DIFFERENTIAL_SEED").unwrap_or_else(|| {
        use std::hash::{BuildHasher, Hasher, RandomState};
        RandomState::new().build_hasher().finish() % 1_000_000
    })
}

#[test]
fn random_commands_get_the_same_replies_from_a_real_server() {
    let seed = seed();
    let count = number_from("DIFFERENTIAL_COMMANDS").unwrap_or(20_000);
    for binary in servers() {
        println!(
            "DIFFERENTIAL_SEED={seed}: {count} commands on {}",
            binary.version()
        );
        let Some(mut pair) = Pair::start(binary) else {
            return;
        };
        compare_random_commands(&mut pair, &mut Random::new(seed), count);
    }
}

/// The library's scripts: name, text, digest.
fn scripts() -> Vec<(&'static str, String, String)> {
    const NAMES: [&str; 10] = [
        "acquire_waiting",
        "step_back",
        "leave",
        "acquire",
        "acquire_many",
        "release",
        "release_many",
        "extend",
        "extend_many",
        "probe",
    ];
    let (texts, _) = redlock::simulation::scripts("boot", &redlock::Options::new());
    assert_eq!(texts.len(), NAMES.len());
    let survey = include_str!("../../../src/scripts/survey.lua").to_owned();
    let others = [
        ("survey", survey),
        ("witness", "return 1\n-- boot boot\n".to_owned()),
    ];
    let interpreter = Interpreter::new();
    let with_digest = |(name, text): (&'static str, String)| {
        let digest = interpreter.digest(text.as_bytes());
        (name, text, String::from_utf8_lossy(&digest).into_owned())
    };
    NAMES
        .into_iter()
        .zip(texts)
        .chain(others)
        .map(with_digest)
        .collect()
}

fn load(scripts: &[(&'static str, String, String)]) -> Vec<Command> {
    let load = |text: &str| {
        [&b"SCRIPT"[..], b"LOAD", text.as_bytes()]
            .map(<[u8]>::to_vec)
            .into()
    };
    scripts.iter().map(|(_, text, _)| load(text)).collect()
}

fn tokens(random: &mut Random) -> Vec<String> {
    (0..3).map(|_| random.hexadecimal(40)).collect()
}

fn compare_random_commands(pair: &mut Pair, random: &mut Random, count: u64) {
    let (tokens, scripts) = (tokens(random), scripts());
    for channel in &CHANNELS[..2] {
        let connection = pair.connect();
        greet(pair, connection, true);
        pair.compare(connection, &[words(&format!("SUBSCRIBE {channel}"))]);
    }
    let quiet = pair.connect();
    pair.compare(quiet, &[words("PING")]);
    let load = load(&scripts);
    pair.compare(quiet, &load);
    let mut done = 0;
    while done < count {
        let step = match random.below(10) {
            0..4 => 0,
            4 => random.between(1, 10),
            5..9 => random.below(300_000),
            _ => random.below(10_000_000),
        };
        let us = match random.per_mille(5) {
            true => {
                pair.notice_ends();
                pair.now_us - random.below(2_000_000)
            }
            false => pair.now_us + step,
        };
        pair.set_time(us);
        let connection = random.below(3) as usize;
        let mut source = Source {
            random,
            scripts: &scripts,
            now_us: pair.now_us,
            tokens: &tokens,
        };
        let commands = source.commands();
        done += commands.len() as u64;
        pair.compare(connection, &commands);
        if random.per_mille(20) {
            // Nothing was sent that was not expected.
            (0..3).for_each(|connection| pair.compare(connection, &[words("PING")]));
        }
        if random.per_mille(2) {
            pair.compare(quiet, &load);
        }
        if random.per_mille(1) {
            pair.compare(quiet, &[words("FLUSHALL")]);
        }
    }
}

#[test]
fn refusals_are_those_of_a_real_server() {
    let seed = seed();
    let rounds = number_from("DIFFERENTIAL_COMMANDS").unwrap_or(20_000) / 50;
    for binary in servers() {
        println!(
            "DIFFERENTIAL_SEED={seed}: {rounds} rounds of refusals on {}",
            binary.version()
        );
        let Some(mut pair) = Pair::start(binary) else {
            return;
        };
        compare_refusals(&mut pair, &mut Random::new(seed), rounds);
    }
}

/// Commands to servers without memory or replicas, to replicas, and by users who may not do everything.
fn compare_refusals(pair: &mut Pair, random: &mut Random, rounds: u64) {
    let (tokens, scripts) = (tokens(random), scripts());
    let (free, limited) = (pair.connect(), pair.connect());
    greet(pair, free, true);
    pair.compare(free, &load(&scripts));
    for _ in 0..rounds {
        pair.set_time(pair.now_us + random.below(2_000_000));
        let connection = match random.below(5) {
            0 => {
                pair.node.state_mut().settings.memory_full = true;
                pair.set("maxmemory", "1");
                free
            }
            1 => {
                pair.node.state_mut().settings.lacks_replicas = true;
                pair.set("min-replicas-to-write", "1");
                free
            }
            2 => {
                // A replica shows what has ended, until its master says that it has.
                pair.notice_ends();
                pair.node.state_mut().settings.replica = true;
                pair.real
                    .server
                    .command(&["REPLICAOF", "127.0.0.1", "1"])
                    .ok();
                free
            }
            _ => {
                limit(pair, random);
                pair.compare(limited, &[words("AUTH limited secret")]);
                limited
            }
        };
        let mut source = Source {
            random,
            scripts: &scripts,
            now_us: pair.now_us,
            tokens: &tokens,
        };
        let commands = source.commands();
        pair.compare(connection, &commands);
        pair.lift_limits();
        let commands = source.commands();
        pair.compare(free, &commands);
    }
}

/// Gives both a user who may do everything but some of what the library does, with some of its keys.
fn limit(pair: &mut Pair, random: &mut Random) {
    const COMMANDS: [&str; 22] = [
        "get",
        "set",
        "mget",
        "del",
        "exists",
        "pttl",
        "pexpire",
        "zadd",
        "zrem",
        "zrange",
        "zmscore",
        "scan",
        "time",
        "publish",
        "eval",
        "evalsha",
        "script",
        "client",
        "config",
        "ping",
        "script|load",
        "client|kill",
    ];
    let knows_subcommands = pair.version > Version::V6_2;
    let denied: BTreeSet<&'static str> = (0..random.below(4))
        .map(|_| *random.pick::<&'static str>(&COMMANDS))
        .filter(|name| knows_subcommands || !name.contains('|'))
        .collect();
    let keys = match random.below(3) {
        0 => vec!["r".to_owned(), "libredlock:*".to_owned()],
        1 => vec!["[rs]".to_owned(), "libredlock:queue:*".to_owned()],
        _ => vec!["*".to_owned()],
    };
    let channels = match random.below(3) {
        0 => vec!["libredlock:a*".to_owned()],
        _ => vec!["*".to_owned()],
    };
    let rules = [vec![
        "reset".to_owned(),
        "resetchannels".to_owned(),
        "on".to_owned(),
        ">secret".to_owned(),
        "+@all".to_owned(),
    ]]
    .into_iter()
    .flatten()
    .chain(denied.iter().map(|name| format!("-{name}")))
    .chain(keys.iter().map(|pattern| format!("~{pattern}")))
    .chain(channels.iter().map(|pattern| format!("&{pattern}")));
    let command: Vec<String> = ["ACL", "SETUSER", "limited"]
        .map(str::to_owned)
        .into_iter()
        .chain(rules)
        .collect();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    pair.real.server.command(&command).ok();
    let user = User {
        name: "limited".to_owned(),
        password: Some("secret".to_owned()),
        denied,
        keys,
        channels,
    };
    let users = &mut pair.node.state_mut().settings.users;
    users.insert("limited".to_owned(), Rc::new(user));
}

/// Says hello; the reply has the server's own numbers.
fn greet(pair: &mut Pair, connection: usize, resp3: bool) {
    let hello = format!("HELLO {}\r\n", if resp3 { 3 } else { 2 });
    pair.real.send(connection, hello.as_bytes());
    let id = pair.connections[connection];
    pair.node.received(0, id, hello.as_bytes());
    let expected = frames::split(&pair.node.take_output(id));
    let found = pair.real.replies(connection, 1);
    let masked = |reply: &[u8]| {
        let text = String::from_utf8_lossy(reply).into_owned();
        // Some have modules, which nobody asks for.
        let lines = text.split("\r\n").take_while(|line| *line != "modules");
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        for place in 1..lines.len() {
            if lines[place - 1] == "version" {
                lines[place].clear();
                lines[place + 1].clear();
            } else if lines[place - 1] == "id" {
                lines[place].clear();
            }
        }
        lines
    };
    assert_eq!(masked(&expected[0]), masked(&found[0]));
}
