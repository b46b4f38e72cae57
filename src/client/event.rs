//! The events in which submitted operations end.

use std::time::Duration;

use super::lock::{self, Lock};
use super::pending;
use super::queue::Queue;
use crate::driver::queue::Completed;
use crate::driver::ticket::{EventKind, Outcome};
use crate::error::Result;

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
}

impl From<Completed> for Event {
    fn from(completed: Completed) -> Event {
        let Completed { id, kind, outcome } = completed;
        let result = match outcome {
            Outcome::Acquired(_) => lock::won(outcome).map(Completion::Acquired),
            Outcome::Released => Ok(Completion::Released),
            Outcome::Extended(_) => pending::time_left(outcome).map(Completion::Extended),
            Outcome::Locked(is_locked) => Ok(Completion::IsLocked(is_locked)),
            Outcome::Asked => Ok(Completion::Asked),
            other => Err(pending::unexpected(other)),
        };
        Event { id, kind, result }
    }
}
