//! The threads that carry one connection's bytes, each way, through the fault of the moment.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::{Connection, Fault, Shared, State};

/// A direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

/// Bytes under way, and when they were read. No bytes: the sender has closed its side.
struct Parcel {
    bytes: Vec<u8>,
    sent: Instant,
}

/// What is to be done with a parcel whose time has come.
enum Verdict {
    Deliver,
    Swallow,
    /// Deliver so many bytes of it, then cut the connection.
    Cut(usize),
    /// The connection is at its end.
    End,
}

/// Starts a reading and a writing thread for each way that the connection has.
pub(super) fn start(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let ways: &[Way] = if connection.server.is_some() {
        &[Way::Request, Way::Answer]
    } else {
        &[Way::Request]
    };
    let unfinished = Arc::new(AtomicUsize::new(ways.len()));
    for &way in ways {
        let (sender, parcels) = channel();
        spawn({
            let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
            move || read(&shared, &connection, way, &sender)
        });
        let mut writer = Writer {
            shared: Arc::clone(shared),
            connection: Arc::clone(connection),
            way,
            era: 0,
            counted: 0,
        };
        let unfinished = Arc::clone(&unfinished);
        spawn(move || {
            let done = writer.run(&parcels);
            if !done {
                writer.connection.cut();
            }
            if unfinished.fetch_sub(1, Ordering::SeqCst) == 1 || !done {
                writer.shared.forget(&writer.connection);
            }
        });
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    Builder::new()
        .name("testkit-pump".into())
        .spawn(work)
        .expect("a thread can be started");
}

/// Reads all that comes one way, to the end.
fn read(shared: &Shared, connection: &Connection, way: Way, parcels: &Sender<Parcel>) {
    let Some(mut source) = source(connection, way) else {
        return;
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match source.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A connection that was reset has ended, too.
            Err(_) => 0,
        };
        let parcel = Parcel {
            bytes: buffer[..length].to_vec(),
            sent: Instant::now(),
        };
        if way == Way::Request {
            shared.held.fetch_add(length, Ordering::SeqCst);
        }
        if parcels.send(parcel).is_err() || length == 0 {
            return;
        }
    }
}

fn source(connection: &Connection, way: Way) -> Option<&TcpStream> {
    match way {
        Way::Request => Some(&connection.client),
        Way::Answer => connection.server.as_ref(),
    }
}

fn target(connection: &Connection, way: Way) -> Option<&TcpStream> {
    match way {
        Way::Request => connection.server.as_ref(),
        Way::Answer => Some(&connection.client),
    }
}

/// What delivers one way's bytes.
struct Writer {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    way: Way,
    /// The era in which `counted` was begun.
    era: u64,
    /// Bytes delivered in that era.
    counted: usize,
}

impl Writer {
    /// Delivers what it gets, until the sender's end has been passed on (true) or the connection must be cut (false).
    fn run(&mut self, parcels: &Receiver<Parcel>) -> bool {
        while let Ok(mut parcel) = parcels.recv() {
            let verdict = self.verdict(&parcel);
            let mut last = parcel.bytes.is_empty();
            if matches!(verdict, Verdict::Deliver) && !last && self.way == Way::Request {
                last = self.add_waiting(&mut parcel, parcels);
            }
            if self.way == Way::Request {
                self.shared
                    .held
                    .fetch_sub(parcel.bytes.len(), Ordering::SeqCst);
            }
            let delivered = match verdict {
                Verdict::Deliver if last && !parcel.bytes.is_empty() => {
                    self.deliver(&parcel.bytes) && self.deliver(&[])
                }
                Verdict::Deliver => self.deliver(&parcel.bytes),
                Verdict::Swallow => !last || self.connection.server.is_some(),
                Verdict::Cut(length) => {
                    // The connection is cut, whether these bytes still arrived or not.
                    self.deliver(&parcel.bytes[..length]);
                    false
                }
                Verdict::End => false,
            };
            if !delivered || last {
                return delivered;
            }
        }
        false
    }

    /// Adds what has come since, unless each parcel has a delay of its own: a server shall get at once what was held up
    /// together. Gives whether the sender has closed its side meanwhile.
    fn add_waiting(&self, parcel: &mut Parcel, parcels: &Receiver<Parcel>) -> bool {
        if matches!(
            self.shared.state().fault,
            Fault::Delay { .. } | Fault::Link(_)
        ) {
            return false;
        }
        while let Ok(next) = parcels.try_recv() {
            if next.bytes.is_empty() {
                return true;
            }
            parcel.bytes.extend(next.bytes);
        }
        false
    }

    /// Waits until the fault of the moment lets the parcel go one way or another.
    fn verdict(&mut self, parcel: &Parcel) -> Verdict {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let mut delay = None;
        loop {
            if state.closing || self.connection.is_cut.load(Ordering::SeqCst) {
                return Verdict::End;
            }
            let due = match state.fault {
                Fault::Pass => return Verdict::Deliver,
                Fault::Refuse => return Verdict::End,
                Fault::BlackHole => {
                    self.connection.has_lost.store(true, Ordering::Relaxed);
                    return Verdict::Swallow;
                }
                Fault::HoldOpen if self.connection.era >= state.era => return Verdict::Deliver,
                Fault::Hold | Fault::HoldOpen => None,
                Fault::Delay { request, answer } => Some(
                    parcel.sent
                        + if self.way == Way::Request {
                            request
                        } else {
                            answer
                        },
                ),
                Fault::Link(link) => Some(parcel.sent + *delay.get_or_insert_with(|| link.delay())),
                Fault::CutAfter(limit) | Fault::CutOnceAfter(limit) => {
                    return self.count(&mut state, parcel, limit);
                }
            };
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                return Verdict::Deliver;
            }
            state = wait(&shared, state, due.map(|due| due - now));
        }
    }

    /// Counts an answer's bytes towards the limit after which the connection is cut.
    fn count(&mut self, state: &mut State, parcel: &Parcel, limit: usize) -> Verdict {
        if self.way == Way::Request || parcel.bytes.is_empty() {
            return Verdict::Deliver;
        }
        if self.era != state.era {
            (self.era, self.counted) = (state.era, 0);
        }
        let left = limit - self.counted;
        if parcel.bytes.len() < left {
            self.counted += parcel.bytes.len();
            return Verdict::Deliver;
        }
        if matches!(state.fault, Fault::CutOnceAfter(_)) {
            state.fault = Fault::Pass;
            state.era += 1;
            self.shared.changed.notify_all();
        }
        Verdict::Cut(left)
    }

    /// Writes the bytes, or closes the receiver's side when there are none.
    fn deliver(&self, bytes: &[u8]) -> bool {
        let Some(mut target) = target(&self.connection, self.way) else {
            return false;
        };
        if bytes.is_empty() {
            return target.shutdown(Shutdown::Write).is_ok();
        }
        target.write_all(bytes).is_ok()
    }
}

/// Waits for a change of the fault, or for so long.
fn wait<'a>(
    shared: &Shared,
    state: MutexGuard<'a, State>,
    limit: Option<Duration>,
) -> MutexGuard<'a, State> {
    match limit {
        None => shared
            .changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner),
        Some(limit) => {
            shared
                .changed
                .wait_timeout(state, limit)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
    }
}
