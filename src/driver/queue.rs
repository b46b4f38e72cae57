//! Completion queue: outcomes of submitted operations, behind a descriptor that is readable while any wait.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::open_set::OpenSet;
use super::ticket::{Completions, EventKind, Outcome, Ticket};
use crate::descriptors::Ours;
use crate::error::{Error, Result, Status};
use crate::fork;
use crate::sync::lock;

/// The end of one submitted operation, with the outcome as the engine has it.
pub(crate) struct Completed {
    pub(crate) id: u64,
    pub(crate) kind: EventKind,
    pub(crate) outcome: Outcome,
}

/// The queue itself, shared by its handles and by the operations that will end in it.
pub(crate) struct QueueState {
    generation: u64,
    signal: Signal,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Completed>,
    in_flight: HashMap<u64, InFlight>,
    /// Threads that wait for events in `next`. Others wait for the descriptor, and for them no call to the kernel is made.
    waiting: usize,
    closed: bool,
}

struct InFlight {
    ticket: Arc<Ticket>,
    kind: EventKind,
    cancelled: bool,
}

impl Completions for QueueState {
    /// An operation has ended. After a cancellation, or a close, a lock that was won all the same goes back.
    fn complete(&self, id: u64, kind: EventKind, outcome: Outcome) {
        let mut inner = lock(&self.inner);
        let cancelled = inner
            .in_flight
            .remove(&id)
            .is_some_and(|entry| entry.cancelled);
        if inner.closed {
            drop(inner);
            drop(outcome);
            return;
        }
        let (outcome, given_back) = match outcome {
            Outcome::Acquired(_) | Outcome::Locked(_) if cancelled => {
                (cancelled_outcome(), Some(outcome))
            }
            outcome => (outcome, None),
        };
        self.push(inner, Completed { id, kind, outcome });
        drop(given_back);
    }
}

impl QueueState {
    pub(crate) fn new() -> Result<Arc<QueueState>> {
        fork::watch();
        let signal = Signal::new().map_err(|error| {
            Error::new(
                Status::System,
                format!("no descriptor for a completion queue: {error}"),
            )
        })?;
        Ok(Arc::new(QueueState {
            generation: fork::generation(),
            signal,
            inner: Mutex::default(),
            arrived: Condvar::new(),
        }))
    }

    /// Whether the queue was made by the parent of this process.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Readable while events wait.
    pub(crate) fn fd(&self) -> RawFd {
        self.signal.fd()
    }

    /// Books an operation; its outcome will come under `id`, which no other operation in flight may have.
    pub(crate) fn enlist(
        self: &Arc<Self>,
        set: &Arc<OpenSet>,
        id: u64,
        kind: EventKind,
    ) -> Result<Arc<Ticket>> {
        self.check_owner()?;
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(Error::new(
                Status::Closed,
                "the completion queue was closed",
            ));
        }
        if inner.in_flight.contains_key(&id) {
            return Err(Error::invalid(format!(
                "id {id} is in use by an operation of this queue that has not ended yet"
            )));
        }
        let ticket = Ticket::for_queue(set, Arc::<Self>::clone(self), id, kind);
        let entry = InFlight {
            ticket: Arc::clone(&ticket),
            kind,
            cancelled: false,
        };
        inner.in_flight.insert(id, entry);
        Ok(ticket)
    }

    /// Takes a booking back: the operation was never begun and will have no event.
    pub(crate) fn withdraw(&self, id: u64) {
        lock(&self.inner).in_flight.remove(&id);
    }

    pub(crate) fn check_owner(&self) -> Result<()> {
        if self.is_inherited() {
            return Err(Error::new(
                Status::Forked,
                "the completion queue was made before a fork; make a new one in the child",
            ));
        }
        Ok(())
    }

    /// A lock that was kept alive is lost. The id is of its owner's choice, and no operation's.
    pub(crate) fn lost(&self, id: u64, error: Error) {
        let inner = lock(&self.inner);
        if inner.closed {
            return;
        }
        let (kind, outcome) = (EventKind::Lost, Outcome::Failed(error));
        self.push(inner, Completed { id, kind, outcome });
    }

    /// Connections wait for credentials. The id is of the program's choice, and no operation's.
    pub(crate) fn asks(&self, id: u64) {
        let inner = lock(&self.inner);
        if inner.closed {
            return;
        }
        let (kind, outcome) = (EventKind::Credentials, Outcome::Asked);
        self.push(inner, Completed { id, kind, outcome });
    }

    fn push(&self, mut inner: MutexGuard<'_, Inner>, event: Completed) {
        inner.events.push_back(event);
        if inner.events.len() == 1 {
            self.signal.raise();
        }
        let somebody_waits = inner.waiting > 0;
        drop(inner);
        if somebody_waits {
            self.arrived.notify_one();
        }
    }

    /// Moves up to `max` events into `events`; waits for the first one at most `timeout`, or for ever.
    pub(crate) fn next(
        &self,
        events: &mut Vec<Completed>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        self.check_owner()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inner = lock(&self.inner);
        while inner.events.is_empty() && max > 0 {
            if inner.closed {
                return Err(Error::new(
                    Status::Closed,
                    "the completion queue was closed",
                ));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(0);
            }
            inner = self.wait(inner, left);
        }
        let count = max.min(inner.events.len());
        events.extend(inner.events.drain(..count));
        if count > 0 && inner.events.is_empty() {
            self.signal.clear();
        }
        Ok(count)
    }

    fn wait<'a>(
        &self,
        mut inner: MutexGuard<'a, Inner>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        inner.waiting += 1;
        let mut inner = match timeout {
            Some(timeout) => {
                let waited = self.arrived.wait_timeout(inner, timeout);
                waited.unwrap_or_else(|e| e.into_inner()).0
            }
            None => self.arrived.wait(inner).unwrap_or_else(|e| e.into_inner()),
        };
        inner.waiting -= 1;
        inner
    }

    /// Makes sure that the operation ends as cancelled, if it is an acquire or a question: also when it has been won
    /// already and its event waits. Returns the ticket of an operation that is still to be stopped.
    pub(crate) fn cancel(&self, id: u64) -> Result<Option<Arc<Ticket>>> {
        self.check_owner()?;
        let mut inner = lock(&self.inner);
        if let Some(entry) = inner.in_flight.get_mut(&id) {
            if !matches!(entry.kind, EventKind::Acquire | EventKind::IsLocked) {
                return Ok(None);
            }
            entry.cancelled = true;
            return Ok(Some(Arc::clone(&entry.ticket)));
        }
        let Some(waiting) = inner
            .events
            .iter_mut()
            .find(|event| event.id == id && event.kind.ends_operation())
        else {
            return Err(Error::invalid(format!(
                "no operation of this queue has the id {id}: it was never submitted, or its event has been taken"
            )));
        };
        let mut given_back = None;
        if matches!(waiting.outcome, Outcome::Acquired(_) | Outcome::Locked(_)) {
            given_back = Some(std::mem::replace(&mut waiting.outcome, cancelled_outcome()));
        }
        drop(inner);
        drop(given_back);
        Ok(None)
    }

    /// No more events: what is in flight is to be cancelled by the caller, what was won is given back.
    pub(crate) fn close(&self) -> Vec<Arc<Ticket>> {
        if self.is_inherited() {
            return Vec::new();
        }
        let mut inner = lock(&self.inner);
        inner.closed = true;
        let events = std::mem::take(&mut inner.events);
        let stopped =
            |entry: &InFlight| matches!(entry.kind, EventKind::Acquire | EventKind::IsLocked);
        let tickets = inner
            .in_flight
            .values()
            .filter(|entry| stopped(entry))
            .map(|entry| Arc::clone(&entry.ticket))
            .collect();
        drop(inner);
        self.arrived.notify_all();
        drop(events);
        tickets
    }
}

fn cancelled_outcome() -> Outcome {
    Outcome::Failed(Error::new(
        Status::Cancelled,
        "the operation was cancelled by its caller",
    ))
}

/// A descriptor that is readable while it is raised. A pipe, which every event loop takes: libuv's, for one, refuses an eventfd.
///
/// Such loops can't merely wait for a descriptor, they read it too. That does no harm: `raise` comes with every event that meets
/// an empty queue, so whoever reads has only to take all events there are.
struct Signal {
    read: Ours<OwnedFd>,
    write: Ours<OwnedFd>,
}

impl Signal {
    fn new() -> io::Result<Signal> {
        let (read, write) = io::pipe()?;
        let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
        for fd in [read.as_raw_fd(), write.as_raw_fd()] {
            // SAFETY: both descriptors are open and ours.
            if unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Signal {
            read: Ours::that_stays_in_child(read),
            write: Ours::that_stays_in_child(write),
        })
    }

    fn fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    fn raise(&self) {
        if !self.write.is_ours() {
            return;
        }
        // SAFETY: one byte that lives through the call. It cannot block, and a full pipe is readable already.
        unsafe { libc::write(self.write.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
    }

    /// Takes the one byte that a raise left, if nobody else has read it.
    fn clear(&self) {
        if !self.read.is_ours() {
            return;
        }
        let mut byte = [0u8; 1];
        // SAFETY: room for one byte that lives through the call, which cannot block.
        unsafe { libc::read(self.fd(), byte.as_mut_ptr().cast(), 1) };
    }
}
