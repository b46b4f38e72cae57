//! A completion queue: submit any number of operations, and take their outcomes when its descriptor is readable.

use std::os::fd::RawFd;
use std::sync::Arc;

use crate::driver::core::{Operation, Request, Threads};
use crate::driver::open_set::OpenSet;
use crate::driver::queue::QueueState;
use crate::driver::runtime;
use crate::driver::ticket::EventKind;
use crate::error::Result;
use crate::protocol::operation::Asker;

/// Where submitted operations end: each in exactly one event, also when it is cancelled. Cheap to clone; clones are
/// the same queue. Can be used from any number of threads at once.
#[derive(Clone)]
pub struct Queue(Arc<Handle>);

struct Handle(Arc<QueueState>);

impl Queue {
    /// A new queue; it has one descriptor.
    pub fn new() -> Result<Queue> {
        QueueState::new().map(|state| Queue(Arc::new(Handle(state))))
    }

    pub(super) fn state(&self) -> &Arc<QueueState> {
        &self.0.0
    }

    /// A descriptor that is readable while events wait, for epoll, an event loop or the like. It stays the queue's:
    /// only wait for it; do not read from it or close it.
    pub fn fd(&self) -> RawFd {
        self.state().fd()
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
        set: &Arc<OpenSet>,
        id: u64,
        kind: EventKind,
        make: impl FnOnce(Asker<Threads>) -> Result<Operation>,
    ) -> Result<()> {
        let ticket = self.state().enlist(set, id, kind)?;
        let begun = make(ticket.asker()).and_then(|operation| {
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
