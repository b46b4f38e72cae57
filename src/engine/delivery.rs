//! What the engine has for others: outcomes and losses. They are delivered when its mutex is free again, because what
//! receives them may be the application's code. [`Locked`] is the only way to the core, and delivers when it is let go.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use super::core::Core;
use super::kept::Notice;
use super::queue::QueueState;
use super::sync::{lock, try_lock};
use super::ticket::{Outcome, Ticket};
use crate::error::Error;

/// Deliveries whose room is kept for the next ones.
const KEPT: usize = 1024;

/// Says that the core's mutex is not held by this thread. Made here only, where it has been let go.
pub(super) struct Unlocked(());

/// Something for somebody.
enum Delivery {
    Outcome(Arc<Ticket>, Outcome),
    Loss(Notice, Error),
    /// Credentials are asked for on this queue, under that number.
    Asks(Arc<QueueState>, u64),
}

impl Delivery {
    fn deliver(self, unlocked: &Unlocked) {
        match self {
            Delivery::Outcome(ticket, outcome) => ticket.complete(outcome, unlocked),
            Delivery::Loss(notice, error) => notice.tell(error, unlocked),
            Delivery::Asks(queue, id) => queue.asks(id),
        }
    }
}

/// Everything that waits to be delivered, in its order.
#[derive(Default)]
pub(super) struct Deliveries(Vec<Delivery>);

impl Deliveries {
    pub(super) fn outcome(&mut self, ticket: Arc<Ticket>, outcome: Outcome) {
        self.0.push(Delivery::Outcome(ticket, outcome));
    }

    pub(super) fn asks(&mut self, queue: Arc<QueueState>, id: u64) {
        self.0.push(Delivery::Asks(queue, id));
    }

    pub(super) fn loss(&mut self, notice: Notice, error: Error) {
        self.0.push(Delivery::Loss(notice, error));
    }
}

/// The core, behind its mutex.
pub(super) struct CoreLock {
    core: Mutex<Core>,
    /// Room for deliveries, so that none is allocated in every turn.
    spare: Mutex<Deliveries>,
}

impl CoreLock {
    pub(super) fn new(core: Core) -> CoreLock {
        CoreLock {
            core: Mutex::new(core),
            spare: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            core: Some(lock(&self.core)),
            spare: &self.spare,
        }
    }

    /// As `lock`, unless somebody has it.
    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        Some(Locked {
            core: Some(try_lock(&self.core)?),
            spare: &self.spare,
        })
    }
}

/// The core, for as long as this lives. Then the mutex is let go, and what has come up meanwhile is delivered.
pub(super) struct Locked<'a> {
    /// There until this is dropped.
    core: Option<MutexGuard<'a, Core>>,
    spare: &'a Mutex<Deliveries>,
}

impl Locked<'_> {
    fn deliver_many(&self, mut core: MutexGuard<'_, Core>) {
        let room = std::mem::take(&mut *lock(self.spare));
        let mut deliveries = std::mem::replace(&mut core.deliveries, room);
        drop(core);
        for delivery in deliveries.0.drain(..) {
            delivery.deliver(&Unlocked(()));
        }
        if deliveries.0.capacity() <= KEPT {
            *lock(self.spare) = deliveries;
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut core) = self.core.take() else {
            return;
        };
        match core.deliveries.0.len() {
            0 => {}
            // A caller's own outcome, which moves no list.
            1 => {
                let only = core.deliveries.0.pop();
                drop(core);
                if let Some(only) = only {
                    only.deliver(&Unlocked(()));
                }
            }
            _ => self.deliver_many(core),
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Core;

    fn deref(&self) -> &Core {
        self.core.as_ref().expect("it is let go in drop only")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Core {
        self.core.as_mut().expect("it is let go in drop only")
    }
}
