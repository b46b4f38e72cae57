//! Small things to wait with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

/// Counts things under way that a closing waits for.
#[derive(Default)]
pub(crate) struct Pending {
    count: Mutex<usize>,
    none: Condvar,
}

impl Pending {
    pub(crate) fn begin(&self) {
        *lock(&self.count) += 1;
    }

    pub(crate) fn end(&self) {
        let mut count = lock(&self.count);
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// Waits until nothing is under way, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let count = lock(&self.count);
        let _ = self
            .none
            .wait_timeout_while(count, timeout, |count| *count > 0);
    }
}

/// A mutex whose holder panicked still guards data that is whole: each critical section here is a few moves.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// As `lock`, unless somebody has it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Calls what the application handed in. Its panic must not stop the engine in the middle of something.
pub(crate) fn call_out(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}

/// A number that one thread sets and others look at, without an order between them.
#[derive(Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
