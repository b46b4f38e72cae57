//! Queues that end with their thread: for runtimes whose threads can be stopped without a last word, as Node's workers.

use std::cell::RefCell;

use super::error::redlock_error;
use super::guard;
use super::handle::find;
use super::queue::{QueueHandle, redlock_queue, redlock_queue_free};
use super::status::redlock_status;

thread_local! {
    static BOUND: RefCell<Bound> = const { RefCell::new(Bound(Vec::new())) };
}

/// The queues of one thread. It is dropped when the thread ends.
struct Bound(Vec<*mut redlock_queue>);

impl Drop for Bound {
    fn drop(&mut self) {
        for queue in self.0.drain(..) {
            // One that was freed meanwhile is recognised.
            redlock_queue_free(queue);
        }
    }
}

/// Has a queue freed, as by redlock_queue_free(), when the calling thread ends.
///
/// For threads that can be ended without a last word of their own code, such as the workers of a language's runtime: what they
/// were about to acquire would otherwise be won for nobody. The main thread's end is the process's, where nothing is freed. Does
/// not block; any thread.
///
/// @param queue the queue; not NULL. It can still be freed before.
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_queue_free_with_thread(
    queue: *mut redlock_queue,
    err: *mut *mut redlock_error,
) -> redlock_status {
    unsafe {
        guard::status(err, || {
            find::<QueueHandle>(queue, "queue")?;
            BOUND.with_borrow_mut(|bound| bound.0.push(queue));
            Ok(())
        })
    }
}
