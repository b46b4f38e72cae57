//! One connection from its first byte to its last: the set-up and the locks over one stream, with a server that answers well,
//! badly or with anything.
//!
//! The bytes are a program of the server and of the library's user. The commands that leave are read by a little server, which
//! answers them as Redis would, with what the program decides. As long as the program puts no bytes of its own into the stream,
//! what the library makes of the answers must be what the server meant, wherever the stream is cut and whatever is published
//! meanwhile.

use std::collections::VecDeque;

use super::{Input, assert_presentable};
use crate::clock::{MILLISECOND, Nanos};
use crate::driver::address::parse;
use crate::driver::tls::TlsOptions;
use crate::protocol::node::command::{Answer, Form, Question, Terms};
use crate::protocol::node::config::Protocol;
use crate::protocol::node::connection::{Asked, Connection};
use crate::protocol::node::resp::{self, Reply};
use crate::protocol::node::setup::{Progress, Ready, Setup};
use crate::protocol::node::target::Target;
use crate::protocol::rules::quorum::Vote;

const URLS: [&str; 4] = [
    "redis://127.0.0.1/",
    "redis://ann:s3cret@127.0.0.1/3",
    "redis://:s3cret@127.0.0.1/?protocol=resp2",
    "redis://:s3cret@127.0.0.1/?protocol=resp3",
];
const CHANNEL: &str = "redlock:fuzz";
const TOKEN: &[u8] = b"0123456789abcdef";
/// The longest program, in steps.
const MAX_STEPS: usize = 400;
/// How much may be asked before it is answered.
const MAX_ASKED: usize = 64;

/// What is published, if it is not bytes of the program: what a forger would try.
const MESSAGES: [&[u8]; 5] = [
    b":0\r\n:0\r\n:0\r\n",
    b"+OK\r\n+OK\r\n",
    b"1 wake 17",
    b"$-1\r\n",
    b"",
];

/// Runs the program.
pub(super) fn run(data: &[u8]) {
    play(data);
}

/// How many answers it had, after the set-up.
fn play(data: &[u8]) -> usize {
    let mut input = Input(data);
    let url = input.one_of(&URLS);
    let chunk = usize::from(input.byte()) + 1;
    let address = parse(url, &TlsOptions::default(), Protocol::Auto).expect("the URL is one");
    let terms = Terms {
        max_ttl_ms: 120_000,
        ballot_retention_ms: 120_000,
        fair_grace_ms: 50,
        fencing: true,
        key_prefix: "".into(),
        channel: CHANNEL.into(),
    };
    let mut setup = Setup::new(address.node, address.login, terms, None, MILLISECOND, 7);
    let mut server = Server::default();
    let mut steps = 0;
    let ready = loop {
        steps += 1;
        server.read(setup.unsent());
        let count = setup.unsent().len();
        setup.sent(count);
        if input.is_empty() || steps > MAX_STEPS {
            assert_presentable(&setup.closed(true).message);
            return 0;
        }
        server.step(&mut input);
        match feed_setup(&mut setup, &mut server, chunk) {
            Ok(Some(ready)) => break ready,
            Ok(None) => {}
            Err(message) => {
                assert_presentable(&message);
                return 0;
            }
        }
    };
    use_connection(*ready, server, &mut input, chunk)
}

/// Passes on what the server has sent, part by part; what comes behind the last answer stays with the server.
fn feed_setup(
    setup: &mut Setup,
    server: &mut Server,
    chunk: usize,
) -> Result<Option<Box<Ready>>, String> {
    while !server.out.is_empty() {
        let part: Vec<u8> = server.out.drain(..chunk.min(server.out.len())).collect();
        setup.room()[..part.len()].copy_from_slice(&part);
        match setup.received(part.len(), 3 * MILLISECOND) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::NextFlight) => {
                server.read(setup.unsent());
                let count = setup.unsent().len();
                setup.sent(count);
            }
            Ok(Progress::Done(ready)) => return Ok(Some(ready)),
            Err(error) => return Err(error.message),
        }
    }
    Ok(None)
}

/// What was asked over the connection, and what came back.
#[derive(Default)]
struct Ledger {
    /// The numbers of the questions without an answer, in order.
    open: VecDeque<u32>,
    asked: u32,
    answers: Vec<(Asked<u32>, Answer)>,
    calls: Vec<Vec<u8>>,
}

fn use_connection(ready: Ready, mut server: Server, input: &mut Input<'_>, chunk: usize) -> usize {
    for text in [&*ready.server.version, &format!("{:?}", ready.server)] {
        assert_presentable(text);
        assert!(!text.contains("s3cret"), "{text}");
    }
    let Ready {
        wire,
        server: info,
        scripts,
        password,
    } = ready;
    let mut connection = Connection::new(wire, info, scripts, password, 3 * MILLISECOND);
    let (mut ledger, mut now) = (Ledger::default(), 4 * MILLISECOND);
    // What the set-up left.
    let mut result = take(&mut connection, &mut ledger, &server, &[], now);
    let mut steps = 0;
    while result.is_ok() && !input.is_empty() && steps < MAX_STEPS {
        steps += 1;
        now += MILLISECOND * Nanos::from(input.byte() % 8);
        if input.one_in(2) && ledger.open.len() < MAX_ASKED {
            ask(&mut connection, &mut ledger, input, now);
        }
        if input.one_in(2) {
            connection.pack(now);
            server.read(connection.unsent());
            let count = connection.unsent().len();
            connection.sent(count);
        }
        server.step(input);
        while result.is_ok() && !server.out.is_empty() {
            let part: Vec<u8> = server.out.drain(..chunk.min(server.out.len())).collect();
            result = take(&mut connection, &mut ledger, &server, &part, now);
        }
    }
    assert!(result.is_err() || connection.last_heard() <= now);
    // What has no answer is given back, each once, and nothing else.
    let mut left: Vec<u32> = connection.abandon().map(|asked| asked.mark).collect();
    left.sort_unstable();
    assert_eq!(left, Vec::from(ledger.open));
    ledger.asked as usize - left.len()
}

fn ask(connection: &mut Connection<u32>, ledger: &mut Ledger, input: &mut Input<'_>, now: Nanos) {
    let mark = ledger.asked;
    ledger.asked += 1;
    ledger.open.push_back(mark);
    let (ttl_ms, ballot) = (1_000, u64::from(input.byte() % 2) * 1_700_000_000_000_001);
    let (waiter, arrival) = (u64::from(mark), 1);
    let question = match input.byte() % 10 {
        0..=2 => Question::Acquire { ttl_ms, ballot },
        3 => Question::AcquireAgain { ttl_ms, ballot },
        4 => Question::AcquireOrWait {
            ttl_ms,
            ballot,
            waiter,
            arrival,
        },
        5 => Question::StepBack { waiter, arrival },
        6 => Question::Release { window_ms: 0 },
        7 => Question::Extend { ttl_ms },
        8 => Question::IsFree,
        _ => return connection.ask_server((mark, Question::Identify), now),
    };
    let form = input.one_of(&[Form::Brief, Form::Brief, Form::Whole]);
    let names = [format!("r{mark}"), format!("s{mark}")];
    let count = if input.one_in(8) { 2 } else { 1 };
    let target = Target::many("".into(), &names[..count]);
    connection.ask((mark, question), &target, TOKEN, form, now);
}

/// Passes on a part of the stream, and judges what comes of it.
fn take(
    connection: &mut Connection<u32>,
    ledger: &mut Ledger,
    server: &Server,
    part: &[u8],
    now: Nanos,
) -> Result<(), ()> {
    connection.room()[..part.len()].copy_from_slice(part);
    let result = connection.received(part.len(), now, &mut ledger.answers, &mut ledger.calls);
    for (asked, answer) in ledger.answers.drain(..) {
        let due = ledger.open.iter().position(|mark| *mark == asked.mark);
        ledger
            .open
            .remove(due.expect("what is answered was asked, and not answered before"));
        if let Answer::Error(text) = &answer {
            assert_presentable(text);
            assert!(!text.contains("s3cret"), "{text}");
        }
        if server.is_honest
            && matches!(
                asked.question,
                Question::Acquire { .. } | Question::AcquireAgain { .. }
            )
        {
            let is_won = answer == Answer::Vote(Vote::Yes);
            assert!(
                !is_won || server.granted.contains(&asked.mark),
                "{asked:?} was not granted"
            );
        }
    }
    assert!(server.is_honest || ledger.calls.len() < 1 << 16);
    ledger.calls.clear();
    assert!(
        !server.is_honest || result.is_ok(),
        "{result:?} from a server that errs in nothing"
    );
    result.map_err(|error| assert_presentable(error.message()))
}

/// The other end: reads commands, and answers them as the program decides.
struct Server {
    /// Commands that have not been answered, in their words.
    commands: VecDeque<Vec<Vec<u8>>>,
    /// What has been sent and not arrived.
    out: VecDeque<u8>,
    resp3: bool,
    /// Whether all that was sent were answers to commands, and messages.
    is_honest: bool,
    /// The questions whose locks were granted.
    granted: Vec<u32>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            commands: VecDeque::new(),
            out: VecDeque::new(),
            resp3: false,
            is_honest: true,
            granted: Vec::new(),
        }
    }
}

impl Server {
    /// Takes what the library has sent, which is whole commands.
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Ok(Some((Reply::Array(words), length))) = resp::parse(bytes) else {
                panic!("no command: {:?}", String::from_utf8_lossy(bytes));
            };
            let word = |word| match word {
                Reply::Bulk(word) => word.to_vec(),
                other => panic!("no word: {other:?}"),
            };
            self.commands
                .push_back(resp::elements(words).map(word).collect());
            bytes = &bytes[length..];
        }
    }

    /// One step of the program: an answer, several, a message, or bytes of any kind.
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=5 => self.answer_next(input),
            6..=9 => (0..input.byte()).for_each(|_| self.answer_next(input)),
            10 | 11 => {
                let message = match input.byte() {
                    length @ 128.. => input.take(usize::from(length - 128)),
                    choice => MESSAGES[usize::from(choice) % MESSAGES.len()],
                };
                self.publish(message);
            }
            12 => self.send_error(input),
            13 => {
                let count = usize::from(input.byte());
                let bytes = input.take(count).to_vec();
                self.is_honest &= bytes.is_empty();
                self.out.extend(bytes);
            }
            14 => {
                if let Some(byte) = self.out.back_mut() {
                    *byte = input.byte();
                    self.is_honest = false;
                }
            }
            _ => {}
        }
    }

    fn publish(&mut self, message: &[u8]) {
        if self.resp3 {
            let push = [
                b">3\r\n".to_vec(),
                bulk(b"message"),
                bulk(CHANNEL.as_bytes()),
                bulk(message),
            ];
            self.out.extend(push.concat());
        }
    }

    /// Refuses the next command, in words that quote it.
    fn send_error(&mut self, input: &mut Input<'_>) {
        if let Some(words) = self.commands.pop_front() {
            let code = input.one_of(&[
                &b"ERR"[..],
                b"NOPERM",
                b"NOSCRIPT",
                b"WRONGTYPE",
                b"NOAUTH",
                b"LOADING",
            ]);
            let quoted: Vec<u8> = words
                .join(&b' ')
                .into_iter()
                .filter(|byte| *byte >= b' ')
                .take(128)
                .collect();
            self.out
                .extend([b"-", code, b" unknown command ", &quoted, b"\r\n"].concat());
            // That a script is not known although its text came with it is no answer of an honest server.
            self.is_honest &= code != b"NOSCRIPT";
        }
    }

    fn answer_next(&mut self, input: &mut Input<'_>) {
        let Some(words) = self.commands.pop_front() else {
            return;
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let decision = input.byte();
        let reply = self.reply(&words, decision);
        self.out.extend(reply);
    }

    fn reply(&mut self, words: &[&[u8]], decision: u8) -> Vec<u8> {
        match words {
            [b"HELLO", ..] => {
                self.resp3 = true;
                [b"%3\r\n".to_vec(), bulk(b"version"), bulk(b"7.0.15"), bulk(b"proto"), b":3\r\n".to_vec(), bulk(b"id"), b":7\r\n".to_vec()].concat()
            }
            [b"INFO", ..] => bulk(b"# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\nuptime_in_seconds:1000\r\nrole:master\r\n"),
            [b"PING"] => b"+PONG\r\n".to_vec(),
            [b"CLIENT", b"ID"] => b":7\r\n".to_vec(),
            [b"CLIENT", b"KILL", ..] => b":0\r\n".to_vec(),
            [b"CONFIG", ..] => [b"*2\r\n".to_vec(), bulk(b"appendfsync"), bulk(b"always")].concat(),
            [b"TIME"] => [b"*2\r\n".to_vec(), bulk(b"1700000000"), bulk(b"1")].concat(),
            [b"SUBSCRIBE", channel] => [b">3\r\n".to_vec(), bulk(b"subscribe"), bulk(channel), b":1\r\n".to_vec()].concat(),
            [b"SCRIPT", b"EXISTS", ..] => [b"*1\r\n:0\r\n", b"*1\r\n:1\r\n"][usize::from(decision % 2)].to_vec(),
            [b"SCRIPT", b"LOAD", text] => {
                let script = redis::Script::new(&String::from_utf8_lossy(text));
                bulk(script.get_hash().as_bytes())
            }
            [b"SET", key, ..] => match decision % 2 {
                0 => b"$-1\r\n".to_vec(),
                _ => {
                    self.grant(key);
                    b"+OK\r\n".to_vec()
                }
            },
            [b"ZADD", ..] => format!(":{}\r\n", ((words.len() - 4) / 2).saturating_sub(usize::from(decision == 0))).into_bytes(),
            [b"PEXPIRE" | b"EXISTS", ..] => format!(":{}\r\n", decision % 2).into_bytes(),
            // The probe of the set-up, for which all is permitted.
            [b"EVAL" | b"EVALSHA", _, _, key, mark] if key.ends_with(b"libredlock:probe") => {
                bulk(mark)
            }
            [b"EVAL" | b"EVALSHA", _, _, key, ..] => self.reply_of_script(words, key, decision),
            _ => b"+OK\r\n".to_vec(),
        }
    }

    /// Which script it is shows in what is asked only; all of them return 0 or 1, and some numbers below 0 or above 1.
    fn reply_of_script(&mut self, words: &[&[u8]], key: &[u8], decision: u8) -> Vec<u8> {
        let _ = words;
        match decision % 2 {
            0 => {
                self.grant(key);
                b":0\r\n".to_vec()
            }
            _ => b":1\r\n".to_vec(),
        }
    }

    /// The keys are `r` or `s` and the number of the question.
    fn grant(&mut self, key: &[u8]) {
        let mark: Option<u32> = std::str::from_utf8(&key[1..])
            .ok()
            .and_then(|mark| mark.parse().ok());
        self.granted.extend(mark);
    }
}

fn bulk(text: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the fuzzer would not get past the set-up.
    #[test]
    fn honest_programs_of_the_corpus_have_answers() {
        for (number, url) in URLS.iter().enumerate() {
            let path = format!(
                "{}/fuzz/corpus/connection/honest-{number}-255",
                env!("CARGO_MANIFEST_DIR")
            );
            assert_ne!(play(&std::fs::read(path).unwrap()), 0, "{url}");
        }
    }
}
