//! Queues: where the events of submitted operations are collected.

use std::ffi::c_int;
use std::ptr::null_mut;

use super::arguments::out;
use super::call;
use super::error::redlock_error;
use super::guard;
use super::handle::{find, free, handle, publish};
use super::registry::Ends;
use super::status::redlock_status;
use crate::Queue;

/// Collects the events of operations that were submitted to it, each operation's exactly one, of kept locks that are lost, and of
/// factories that ask for credentials.
///
/// Made by redlock_queue_new(), freed by redlock_queue_free(). Any number of threads may submit to it, wait on it and cancel at
/// once. After a fork it belongs to the parent alone: in the child every operation on it answers `REDLOCK_ERR_FORKED`.
pub struct redlock_queue;

pub(super) struct QueueHandle(pub(super) Queue);

handle!(QueueHandle, redlock_queue, 3, "queue");

impl Ends for QueueHandle {
    fn end(&self) {
        self.0.close();
    }
}

/// Makes a queue.
///
/// Does not block; any thread.
///
/// @param out receives the queue, which the caller frees with redlock_queue_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM` when the system refused a descriptor
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_queue_new(
    out: *mut *mut redlock_queue,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            *out = publish(QueueHandle(Queue::new()?))?;
            Ok(())
        })
    }
}

/// Gives a file descriptor that is readable while events wait in a queue: for poll, epoll, kqueue and event loops.
///
/// Only wait for it to be readable; do not write or close it. It belongs to the queue and is closed by redlock_queue_free().
/// When it is readable, take events by redlock_queue_next() with a timeout of 0. It is the reading end of a pipe. An event loop
/// that cannot wait without reading may read a duplicate of it, if it then takes all events that there are. Does not block; any
/// thread.
///
/// @param queue the queue
/// @return the descriptor; -1 when `queue` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_queue_fd(queue: *const redlock_queue) -> c_int {
    guard::value(-1, || {
        find::<QueueHandle>(queue, "queue").map_or(-1, |handle| handle.0.fd())
    })
}

/// Frees a queue and closes its descriptor.
///
/// Operations that are under way are cancelled, and locks that they win are released: no event of them comes any more. Events
/// that nobody took are dropped, their locks released and their errors freed. Threads that wait in redlock_queue_next() return with
/// `REDLOCK_ERR_CLOSED`. NULL, and what is no live queue, is ignored. Does not block; any thread.
///
/// @param queue the queue, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_queue_free(queue: *mut redlock_queue) {
    guard::value((), || free::<QueueHandle>(queue));
}
