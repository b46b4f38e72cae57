//! Where an operation's outcome goes: to a waiting thread, a future, a completion queue, or nowhere.

use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::core::Request;
use super::delivery::Unlocked;
use super::grant::{Grant, Held};
use super::nodes::{NodeHealth, NodeSet};
use super::queue::{EventKind, QueueState};
use super::runtime::Runtime;
use super::slab::Key;
use super::sync::{call_out, lock};
use crate::error::Error;
use crate::fork;

/// What an operation came to.
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

/// One operation, as its caller knows it.
pub(crate) struct Ticket {
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

/// What becomes of an operation that the engine has just taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakenUp {
    /// It is carried out.
    Wanted,
    /// It was cancelled before.
    Cancelled,
}

enum Sink {
    /// A thread or a future.
    Caller(CallerSlot),
    Queue {
        queue: Arc<QueueState>,
        id: u64,
        kind: EventKind,
    },
    /// Nobody waits, but the set's closing does, for a moment.
    Background(Arc<NodeSet>),
    /// An extension of a lock that is kept alive.
    Kept(&'static Runtime, Key),
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
    pub(crate) fn for_caller() -> Arc<Ticket> {
        Ticket::new(Sink::Caller(CallerSlot::default()))
    }

    pub(crate) fn for_queue(queue: Arc<QueueState>, id: u64, kind: EventKind) -> Arc<Ticket> {
        Ticket::new(Sink::Queue { queue, id, kind })
    }

    pub(crate) fn for_background(set: Arc<NodeSet>) -> Arc<Ticket> {
        set.background.begin();
        Ticket::new(Sink::Background(set))
    }

    pub(crate) fn for_kept(runtime: &'static Runtime, kept: Key) -> Arc<Ticket> {
        Ticket::new(Sink::Kept(runtime, kept))
    }

    fn new(sink: Sink) -> Arc<Ticket> {
        Arc::new(Ticket {
            progress: Mutex::new(Progress::Submitted),
            sink,
            generation: fork::generation(),
        })
    }

    /// Whether the operation was begun by the parent of this process, whose engine is not this one's.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The engine has taken the operation up under this key.
    pub(crate) fn taken_up(&self, key: Key) -> TakenUp {
        let mut progress = lock(&self.progress);
        let before = std::mem::replace(&mut *progress, Progress::TakenUp(key));
        match before {
            Progress::CancelledEarly => TakenUp::Cancelled,
            _ => TakenUp::Wanted,
        }
    }

    /// The operation is to be cancelled. Its key in the engine, unless it is still to be taken up; it is cancelled then.
    pub(crate) fn cancel(&self) -> Option<Key> {
        let mut progress = lock(&self.progress);
        match *progress {
            Progress::TakenUp(key) => return Some(key),
            _ => *progress = Progress::CancelledEarly,
        }
        None
    }

    /// Whether somebody waits for the outcome, as opposed to what goes on in the background.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.sink, Sink::Caller(_) | Sink::Queue { .. })
    }

    /// Delivers the outcome. Called once, and never under the engine's mutex.
    pub(super) fn complete(&self, outcome: Outcome, _: &Unlocked) {
        match &self.sink {
            Sink::Caller(slot) => slot.put(outcome),
            Sink::Queue { queue, id, kind } => queue.complete(*id, *kind, outcome),
            Sink::Background(set) => set.background.end(),
            Sink::Kept(runtime, kept) => runtime.send(Request::Kept {
                kept: *kept,
                outcome,
            }),
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
