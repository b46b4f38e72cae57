//! Whom the loss of a lock is told that is kept alive.

use std::sync::Arc;

use super::queue::QueueState;
use super::unlocked::Unlocked;
use crate::callbacks;
use crate::error::Error;

/// Whom a loss is told.
pub(crate) enum Notice {
    /// Nobody; the lock's validity tells.
    None,
    /// An event of a queue, under that id.
    Queue(Arc<QueueState>, u64),
    /// A function, on a thread of its own.
    Call(OnLoss),
}

/// A function of the application's, which may block, and so may the end of what it owns: neither happens on the thread
/// that has this.
pub(crate) struct OnLoss {
    function: Option<Box<dyn FnOnce(Error) + Send>>,
    owns_something: bool,
}

impl OnLoss {
    pub(crate) fn new<F: FnOnce(Error) + Send + 'static>(function: F) -> OnLoss {
        OnLoss {
            function: Some(Box::new(function)),
            owns_something: std::mem::needs_drop::<F>(),
        }
    }

    fn call(mut self, error: Error) {
        if let Some(function) = self.function.take() {
            callbacks::run(move || function(error));
        }
    }
}

impl Drop for OnLoss {
    fn drop(&mut self) {
        if let Some(function) = self.function.take()
            && self.owns_something
        {
            callbacks::run_later(move || drop(function));
        }
    }
}

impl Notice {
    pub(super) fn tell(self, error: Error, _: &Unlocked) {
        match self {
            Notice::None => {}
            Notice::Queue(queue, id) => queue.lost(id, error),
            Notice::Call(function) => function.call(error),
        }
    }
}
