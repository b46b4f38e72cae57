//! A completion queue: submit any number of operations, and take their outcomes when its descriptor is readable.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use super::lock::Lock;
use super::pending;
use crate::engine::core::Request;
use crate::engine::operation::Operation;
use crate::engine::queue::{Completed, EventKind, QueueState};
use crate::engine::runtime;
use crate::engine::ticket::{Outcome, Ticket};
use crate::error::Result;

/// Where submitted operations end: each in exactly one event, also when it is cancelled. Cheap to clone; clones are
/// the same queue. Can be used from any number of threads at once.
#[derive(Clone)]
pub struct Queue(Arc<Handle>);

struct Handle(Arc<QueueState>);

/// The end of one operation.
#[derive(Debug)]
pub struct Event {
    /// The number that it was submitted under.
    pub id: u64,
    /// What it was.
    pub kind: EventKind,
    /// What came of it.
    pub result: Result<Completion>,
}

/// The success of one operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum Completion {
    /// A lock was taken.
    Acquired(Lock),
    /// A lock was given back.
    Released,
    /// A lock was extended; for how long it was valid when this event was taken.
    Extended(Duration),
    /// Whether a resource is locked.
    IsLocked(bool),
    /// Credentials are asked for: see [`Factory::ask_for_credentials`](crate::Factory::ask_for_credentials).
    Asked,
}

impl Queue {
    /// A new queue; it has one descriptor.
    pub fn new() -> Result<Queue> {
        QueueState::new().map(|state| Queue(Arc::new(Handle(state))))
    }

    fn state(&self) -> &Arc<QueueState> {
        &self.0.0
    }

    /// A descriptor that is readable while events wait, for epoll, an event loop or the like. It stays the queue's:
    /// only wait for it; do not read from it or close it.
    pub fn fd(&self) -> RawFd {
        self.state().fd()
    }

    /// Moves up to `max` events to the end of `events` and returns how many. If there are none yet it blocks, for at
    /// most `timeout`, or until there is one.
    pub fn next(
        &self,
        events: &mut Vec<Event>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let mut completed = Vec::new();
        let count = self.state().next(&mut completed, max, timeout)?;
        events.extend(completed.into_iter().map(Event::from));
        Ok(count)
    }

    /// Cancels an operation. An acquire or a question then ends with [`Cancelled`](crate::Status::Cancelled), unless it
    /// has failed already; a lock that was won is given back, also if its event waits to be taken. A release or an
    /// extension is not stopped. There is an event in any case.
    pub fn cancel(&self, id: u64) -> Result<()> {
        if let Some(ticket) = self.state().cancel(id)? {
            runtime::get()?.send(Request::Cancel(ticket));
        }
        Ok(())
    }

    /// Ends the queue, with all its clones: acquires under way are cancelled, locks that were won and not taken are
    /// given back, and there are no more events. Dropping the last clone does the same.
    pub fn close(&self) {
        self.0.close();
    }

    /// The queue itself, if this process may use it.
    pub(super) fn checked_state(&self) -> Result<Arc<QueueState>> {
        self.state().check_owner()?;
        Ok(Arc::clone(self.state()))
    }

    /// Books the operation that `make` makes, and starts it.
    pub(super) fn submit(
        &self,
        id: u64,
        kind: EventKind,
        make: impl FnOnce(Arc<Ticket>) -> Result<Operation>,
    ) -> Result<()> {
        let ticket = self.state().enlist(id, kind)?;
        let begun = make(ticket).and_then(|operation| {
            runtime::get()?.submit(operation);
            Ok(())
        });
        if begun.is_err() {
            self.state().withdraw(id);
        }
        begun
    }
}

impl Handle {
    fn close(&self) {
        let tickets = self.0.close();
        if let Ok(runtime) = runtime::get() {
            for ticket in tickets {
                runtime.send(Request::Cancel(ticket));
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_inherited() {
            self.close();
        }
    }
}

impl From<Completed> for Event {
    fn from(completed: Completed) -> Event {
        let Completed { id, kind, outcome } = completed;
        let result = match outcome {
            Outcome::Acquired(_) => pending::lock(outcome).map(Completion::Acquired),
            Outcome::Released => Ok(Completion::Released),
            Outcome::Extended(_) => pending::time_left(outcome).map(Completion::Extended),
            Outcome::Locked(is_locked) => Ok(Completion::IsLocked(is_locked)),
            Outcome::Asked => Ok(Completion::Asked),
            other => Err(pending::unexpected(other)),
        };
        Event { id, kind, result }
    }
}
