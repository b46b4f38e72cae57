//! A server that answers from a recorded dialogue, with a session's damage.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::dialogue::{self, Dialogue};
use crate::mutation::{Damage, Plan, place};
use crate::wire;

/// Serves one session at a time, on a port of its own. It ends with the process.
pub struct Replay {
    address: SocketAddr,
    session: Arc<Mutex<Session>>,
}

/// What went over one connection.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// The requests, in their order.
    pub requests: Vec<Vec<Vec<u8>>>,
    /// All that the server sent.
    pub sent: Vec<u8>,
}

struct Session {
    dialogue: Arc<Dialogue>,
    plan: Plan,
    /// Replies so far, over all connections.
    replies: usize,
    tapes: Vec<Arc<Mutex<Tape>>>,
    over: Arc<AtomicBool>,
}

impl Replay {
    /// Starts the server.
    pub fn start() -> Replay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let session = Arc::new(Mutex::new(Session::new(Arc::default(), Plan::none())));
        let serving = Arc::clone(&session);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let session = Arc::clone(&serving);
                // An error is the connection's end.
                std::thread::spawn(move || drop(serve(&client, &session)));
            }
        });
        Replay { address, session }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Begins a session. Connections of the one before are closed.
    pub fn begin(&self, dialogue: &Arc<Dialogue>, plan: Plan) {
        let mut session = lock(&self.session);
        session.over.store(true, Ordering::SeqCst);
        *session = Session::new(Arc::clone(dialogue), plan);
    }

    /// What went over the session's connections so far.
    pub fn tapes(&self) -> Vec<Tape> {
        lock(&self.session)
            .tapes
            .iter()
            .map(|tape| lock(tape).clone())
            .collect()
    }
}

impl Session {
    fn new(dialogue: Arc<Dialogue>, plan: Plan) -> Session {
        Session {
            dialogue,
            plan,
            replies: 0,
            tapes: Vec::new(),
            over: Arc::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The recorded replies of one connection.
struct Script {
    dialogue: Arc<Dialogue>,
    /// For each key, how many of its replies have been given.
    given: HashMap<String, usize>,
}

impl Script {
    /// The next reply to such a request: the recorded ones in their order, and the last for ever.
    fn reply(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let key = dialogue::key(words);
        if let ("SUBSCRIBE", Some(channel)) = (key.as_str(), words.get(1)) {
            // The channel is another in each process.
            return [
                b">3\r\n$9\r\nsubscribe\r\n",
                &wire::bulk_string(channel)[..],
                b":1\r\n",
            ]
            .concat();
        }
        if let ("EVAL" | "EVALSHA", Some(mark)) = (&*wire::name(words), probe_mark(words)) {
            // So is the mark by which the probe's answer is known.
            return wire::bulk_string(mark);
        }
        let count = self.given.entry(key.clone()).or_default();
        let exchanges = &self.dialogue.exchanges;
        let known: Vec<_> = exchanges
            .iter()
            .filter(|exchange| exchange.0 == key)
            .collect();
        let found = known.get(*count).or(known.last());
        *count += 1;
        found.map_or(b"-ERR unknown command\r\n".to_vec(), |exchange| {
            exchange.1.clone()
        })
    }
}

/// The mark of the question by which the set-up learns whether a user may give locks back.
fn probe_mark(words: &[Vec<u8>]) -> Option<&[u8]> {
    match words {
        [_, _, _, key, mark] if key.ends_with(b"libredlock:probe") => Some(mark),
        _ => None,
    }
}

/// Why a connection is left.
enum Left {
    Closed,
}

fn serve(client: &TcpStream, session: &Mutex<Session>) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(Duration::from_millis(20)))?;
    client.set_write_timeout(Some(Duration::from_secs(1)))?;
    let (tape, over, mut script) = {
        let mut session = lock(session);
        let tape = Arc::new(Mutex::new(Tape::default()));
        session.tapes.push(Arc::clone(&tape));
        let script = Script {
            dialogue: Arc::clone(&session.dialogue),
            given: HashMap::new(),
        };
        (tape, Arc::clone(&session.over), script)
    };
    let mut output = Output {
        client,
        tape: &tape,
        held: Vec::new(),
    };
    let (mut input, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    while !over.load(Ordering::SeqCst) {
        match (&*client).read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => input.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        // The replies of a batch leave together, as a server's do.
        while let Some((words, length)) = wire::request(&input) {
            input.drain(..length);
            let reply = script.reply(&words);
            lock(&tape).requests.push(words);
            let damages = {
                let mut session = lock(session);
                let number = session.replies;
                session.replies += 1;
                session.plan.damages(number).cloned().collect::<Vec<_>>()
            };
            if let Err(Left::Closed) = output.reply(reply, &damages) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The way to the client.
struct Output<'a> {
    client: &'a TcpStream,
    tape: &'a Mutex<Tape>,
    /// A reply that comes behind the next.
    held: Vec<u8>,
}

impl Output<'_> {
    fn reply(&mut self, mut reply: Vec<u8>, damages: &[Damage]) -> Result<(), Left> {
        let (mut swapped, mut split, mut closes) = (false, None, false);
        for damage in damages {
            let length = reply.len();
            match damage {
                Damage::Flip { at, bit } if length > 0 => {
                    reply[place(*at, length - 1)] ^= 1 << bit;
                }
                Damage::Flip { .. } => {}
                Damage::Cut { at } => reply.truncate(place(*at, length)),
                Damage::Repeat(times) => reply = reply.repeat(*times),
                Damage::Swap => swapped = true,
                Damage::Insert { at, fragment } => {
                    let at = place(*at, length);
                    reply.splice(at..at, fragment.iter().copied());
                }
                Damage::Replace(fragment) => reply = fragment.to_vec(),
                Damage::Drop => reply.clear(),
                Damage::Split { at, ms } => split = Some((*at, *ms)),
                Damage::Close { at } => {
                    reply.truncate(place(*at, length));
                    closes = true;
                }
            }
        }
        if swapped && self.held.is_empty() {
            self.held = reply;
            return Ok(());
        }
        reply.append(&mut self.held);
        self.send(&reply, split)?;
        if closes { Err(Left::Closed) } else { Ok(()) }
    }

    fn send(&self, bytes: &[u8], split: Option<(usize, u64)>) -> Result<(), Left> {
        let (first, second) = bytes.split_at(split.map_or(0, |(at, _)| place(at, bytes.len())));
        self.write(first)?;
        if let Some((_, ms)) = split {
            std::thread::sleep(Duration::from_millis(ms));
        }
        self.write(second)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Left> {
        // On the tape first: what the client has got is on it.
        lock(self.tape).sent.extend_from_slice(bytes);
        (&*self.client).write_all(bytes).map_err(|_| Left::Closed)
    }
}
