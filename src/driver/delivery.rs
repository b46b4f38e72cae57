//! What the engine has for others: outcomes, losses and messages. They are delivered when its mutex is free again, because what
//! receives them may be the application's code. [`Locked`] is the only way to the core, and delivers when it is let go.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use super::core::{Core, Output};
use super::unlocked::Unlocked;
use crate::log;
use crate::sync::{lock, try_lock};

/// Deliveries whose room is kept for the next ones.
const KEPT: usize = 1024;

fn deliver(output: Output, unlocked: &Unlocked) {
    match output {
        Output::Done(caller, outcome) => caller.complete(outcome, unlocked),
        Output::Lost(notice, error) => notice.tell(error, unlocked),
        Output::Log(level, message) => log::write(level, || message),
    }
}

/// The core, behind its mutex.
pub(super) struct CoreLock {
    core: Mutex<Core>,
    /// Room for deliveries, so that none is allocated in every turn.
    spare: Mutex<Vec<Output>>,
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
    spare: &'a Mutex<Vec<Output>>,
}

impl Locked<'_> {
    fn deliver_many(&self, mut core: MutexGuard<'_, Core>) {
        let room = std::mem::take(&mut *lock(self.spare));
        let mut deliveries = std::mem::replace(core.outputs(), room);
        let questions = std::mem::take(&mut core.questions);
        drop(core);
        for (queue, id) in questions {
            queue.asks(id);
        }
        for delivery in deliveries.drain(..) {
            deliver(delivery, &Unlocked::new());
        }
        if deliveries.capacity() <= KEPT {
            *lock(self.spare) = deliveries;
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut core) = self.core.take() else {
            return;
        };
        match core.outputs().len() {
            _ if !core.questions.is_empty() => self.deliver_many(core),
            0 => {}
            // A caller's own outcome, which moves no list.
            1 => {
                let only = core.outputs().pop();
                drop(core);
                if let Some(only) = only {
                    deliver(only, &Unlocked::new());
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
