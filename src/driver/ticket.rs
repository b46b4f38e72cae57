//! Where an operation's outcome goes: to a waiting thread, a future, a completion queue, or nowhere.

use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::held::Held;
use super::open_set::OpenSet;
use super::unlocked::Unlocked;
use crate::error::Error;
use crate::fork;
use crate::protocol::grant::Grant;
use crate::protocol::host::Host;
use crate::protocol::nodes::NodeHealth;
use crate::protocol::operation::Asker;
use crate::protocol::outcome;
use crate::protocol::slab::Key;
use crate::sync::{call_out, lock};

/// What an operation came to, for the application. A lock that nobody takes out of it is given back.
pub(crate) enum Outcome {
    Acquired(Held),
    Released,
    /// This lock, whose validity is looked at when the outcome is taken.
    Extended(Arc<Grant>),
    Locked(bool),
    Health(Vec<NodeHealth>),
    /// So many nodes were vouched for.
    Vouched(usize),
    /// For credentials; no operation ends like this.
    Asked,
    Failed(Error),
}

/// What kind of operation an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum EventKind {
    /// An acquire.
    Acquire = 1,
    /// A release.
    Release = 2,
    /// An extension.
    Extend = 3,
    /// A question whether a resource is locked.
    IsLocked = 4,
    /// Not an operation: a lock that was to be kept alive is lost.
    Lost = 5,
    /// Not an operation: a connection waits for credentials.
    Credentials = 6,
}

impl EventKind {
    /// Whether such events end operations: others have ids that no operation is cancelled by.
    pub(super) fn ends_operation(self) -> bool {
        !matches!(self, EventKind::Lost | EventKind::Credentials)
    }
}

/// A queue of outcomes.
pub(crate) trait Completions: Send + Sync {
    /// An operation has ended that was submitted under `id`.
    fn complete(&self, id: u64, kind: EventKind, outcome: Outcome);
}

/// Who is told of an outcome.
pub(crate) enum Caller {
    /// The application.
    Ticket(Arc<Ticket>),
    /// Nobody waits, but the set's closing does, for a moment.
    Background(Arc<OpenSet>),
}

impl Caller {
    /// Delivers the outcome; never under the core's mutex.
    pub(super) fn complete(self, outcome: outcome::Outcome, unlocked: &Unlocked) {
        match self {
            Caller::Ticket(ticket) => ticket.complete(outcome, unlocked),
            Caller::Background(set) => set.background.end(),
        }
    }
}

/// One operation, as its caller knows it.
pub(crate) struct Ticket {
    set: Arc<OpenSet>,
    progress: Mutex<Progress>,
    sink: Sink,
    generation: u64,
}

/// How far the engine has got with an operation.
#[derive(Clone, Copy)]
enum Progress {
    /// It is on its way to the engine.
    Submitted,
    /// So is a request to cancel it, and that one was faster.
    CancelledEarly,
    TakenUp(Key),
}

enum Sink {
    /// A thread or a future.
    Caller(CallerSlot),
    Queue {
        queue: Arc<dyn Completions>,
        id: u64,
        kind: EventKind,
    },
}

#[derive(Default)]
struct CallerSlot {
    state: Mutex<CallerState>,
    arrived: Condvar,
}

#[derive(Default)]
struct CallerState {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// A thread sleeps until the outcome comes; one that drives the engine itself does not.
    sleeps: bool,
}

impl Ticket {
    /// For a thread or a future that waits for an operation on this set.
    pub(crate) fn for_caller(set: &Arc<OpenSet>) -> Arc<Ticket> {
        Ticket::new(set, Sink::Caller(CallerSlot::default()))
    }

    /// For an operation that ends in an event of a queue.
    pub(crate) fn for_queue(
        set: &Arc<OpenSet>,
        queue: Arc<dyn Completions>,
        id: u64,
        kind: EventKind,
    ) -> Arc<Ticket> {
        Ticket::new(set, Sink::Queue { queue, id, kind })
    }

    /// Who asks for the operation that this is for, and waits for it.
    pub(crate) fn asker<H: Host<Caller = Caller>>(self: &Arc<Self>) -> Asker<H> {
        Asker::Waiting(Caller::Ticket(Arc::clone(self)))
    }

    fn new(set: &Arc<OpenSet>, sink: Sink) -> Arc<Ticket> {
        Arc::new(Ticket {
            set: Arc::clone(set),
            progress: Mutex::new(Progress::Submitted),
            sink,
            generation: fork::generation(),
        })
    }

    /// Whether the operation was begun by the parent of this process, whose engine is not this one's.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Whether a request to cancel the operation was faster than the operation itself.
    pub(super) fn is_cancelled_early(&self) -> bool {
        matches!(*lock(&self.progress), Progress::CancelledEarly)
    }

    /// The engine has taken the operation up under this key.
    pub(super) fn taken_up(&self, key: Key) {
        *lock(&self.progress) = Progress::TakenUp(key);
    }

    /// The operation is to be cancelled. Its key in the engine, unless it is still to be taken up; it is cancelled then.
    pub(super) fn cancel(&self) -> Option<Key> {
        let mut progress = lock(&self.progress);
        match *progress {
            Progress::TakenUp(key) => return Some(key),
            _ => *progress = Progress::CancelledEarly,
        }
        None
    }

    /// Delivers the outcome. Called once.
    fn complete(&self, outcome: outcome::Outcome, _: &Unlocked) {
        let outcome = self.for_application(outcome);
        match &self.sink {
            Sink::Caller(slot) => slot.put(outcome),
            Sink::Queue { queue, id, kind } => queue.complete(*id, *kind, outcome),
        }
    }

    /// From here on the lock that was won is the application's to give back.
    fn for_application(&self, outcome: outcome::Outcome) -> Outcome {
        match outcome {
            outcome::Outcome::Acquired(grant) => {
                let set = Arc::clone(&self.set);
                Outcome::Acquired(Held { grant, set })
            }
            outcome::Outcome::Released => Outcome::Released,
            outcome::Outcome::Extended(grant) => Outcome::Extended(grant),
            outcome::Outcome::Locked(is_locked) => Outcome::Locked(is_locked),
            outcome::Outcome::Health(health) => Outcome::Health(health),
            outcome::Outcome::Vouched(count) => Outcome::Vouched(count),
            outcome::Outcome::Failed(error) => Outcome::Failed(error),
        }
    }

    /// Takes the outcome if it is there.
    pub(crate) fn take(&self) -> Option<Outcome> {
        match &self.sink {
            Sink::Caller(slot) => lock(&slot.state).outcome.take(),
            _ => None,
        }
    }

    /// Whether the outcome is there to be taken.
    pub(crate) fn has_outcome(&self) -> bool {
        match &self.sink {
            Sink::Caller(slot) => lock(&slot.state).outcome.is_some(),
            _ => false,
        }
    }

    /// Takes the outcome if it is there, and otherwise has `waker` called when it comes.
    pub(crate) fn take_or_wake(&self, waker: &Waker) -> Option<Outcome> {
        let Sink::Caller(slot) = &self.sink else {
            return None;
        };
        let mut state = lock(&slot.state);
        if state.outcome.is_none() {
            state.waker = Some(waker.clone());
        }
        state.outcome.take()
    }

    /// Blocks until the outcome comes.
    pub(crate) fn wait(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.wait_for(Duration::MAX) {
                return outcome;
            }
        }
    }

    /// Blocks until the outcome comes, but not for longer than this.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Option<Outcome> {
        let Sink::Caller(slot) = &self.sink else {
            unreachable!("only a caller's ticket is waited for");
        };
        let mut state = lock(&slot.state);
        state.sleeps = true;
        let nothing_yet = |state: &mut CallerState| state.outcome.is_none();
        let waited = slot.arrived.wait_timeout_while(state, timeout, nothing_yet);
        let (mut state, _) = waited.unwrap_or_else(|e| e.into_inner());
        state.sleeps = false;
        state.outcome.take()
    }
}

impl CallerSlot {
    fn put(&self, outcome: Outcome) {
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        let (waker, sleeps) = (state.waker.take(), state.sleeps);
        drop(state);
        match waker {
            Some(waker) => call_out(|| waker.wake()),
            None if sleeps => self.arrived.notify_one(),
            None => {}
        }
    }
}
