//! The events in which submitted operations end, taken from their queue.

use std::ptr::null_mut;

use super::arguments::{milliseconds, null, out, timeout};
use super::call;
use super::error::{self, redlock_error};
use super::handle::{find, publish};
use super::lock::{LockHandle, redlock_lock};
use super::queue::{QueueHandle, redlock_queue};
use super::status::{REDLOCK_OK, redlock_status};
use crate::{Completion, Error, Event};

/// The kind of event that ends redlock_submit_acquire().
pub const REDLOCK_EVENT_ACQUIRE: u32 = 1;
/// The kind of event that ends redlock_submit_release().
pub const REDLOCK_EVENT_RELEASE: u32 = 2;
/// The kind of event that ends redlock_submit_extend().
pub const REDLOCK_EVENT_EXTEND: u32 = 3;
/// The kind of event that ends redlock_submit_is_locked().
pub const REDLOCK_EVENT_IS_LOCKED: u32 = 4;
/// The kind of event by which redlock_lock_keep_alive() reports that a lock is lost: the end of no operation, so redlock_cancel()
/// does not know it. `status` is `REDLOCK_ERR_EXPIRED` or `REDLOCK_ERR_NO_QUORUM`.
pub const REDLOCK_EVENT_LOST: u32 = 5;
/// The kind of event by which redlock_factory_ask_for_credentials() asks for credentials: the end of no operation, so
/// redlock_cancel() does not know it. `status` is `REDLOCK_OK`.
pub const REDLOCK_EVENT_CREDENTIALS: u32 = 6;

/// The end of one submitted operation, the loss of a lock that was kept alive, or a question for credentials. 96 bytes on every platform with 64-bit pointers, and so in later versions too.
#[repr(C)]
pub struct redlock_event {
    /// The number that was given when the operation was submitted, or to redlock_lock_keep_alive() or
    /// redlock_factory_ask_for_credentials().
    pub id: u64,
    /// How it ended: what the blocking function of the same name would have returned.
    pub status: redlock_status,
    /// Which operation it was: one of the `REDLOCK_EVENT_` constants.
    pub kind: u32,
    /// `REDLOCK_EVENT_ACQUIRE` with `REDLOCK_OK`: the lock, which belongs to the receiver of the event, to be freed with
    /// redlock_lock_free(). Otherwise NULL.
    pub lock: *mut redlock_lock,
    /// The error when `status` is not `REDLOCK_OK`; it belongs to the receiver of the event, to be freed with
    /// redlock_error_free(). Otherwise NULL.
    pub error: *mut redlock_error,
    /// `REDLOCK_EVENT_ACQUIRE` and `REDLOCK_EVENT_EXTEND` with `REDLOCK_OK`: the lock's validity in milliseconds when the event
    /// was taken, at least 1: a lock that has run out by then is a `REDLOCK_ERR_EXPIRED`. Otherwise 0.
    pub validity_ms: i64,
    /// `REDLOCK_EVENT_IS_LOCKED` with `REDLOCK_OK`: 1 when the resource is locked. Otherwise 0.
    pub value: u64,
    /// `REDLOCK_EVENT_ACQUIRE` with `REDLOCK_OK`: the lock's fencing token, as redlock_lock_fence() gives it. Otherwise 0.
    pub fence: u64,
    /// For later versions; 0.
    pub reserved: [u64; 5],
}

/// Takes events from a queue, the oldest first.
///
/// Blocks until there is at least one event, or `timeout_ms` has passed. Any thread; each event goes to one thread only.
///
/// @param queue the queue; not NULL
/// @param events an array with room for `max` events, which need not be initialised; not NULL
/// @param max the most events to take; at least 1
/// @param timeout_ms how long to wait for the first event, in milliseconds; 0 does not wait, -1 waits for ever
/// @param count receives the number of events that were written to `events`: 0 when the time has passed, and on failure; not
///        NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`, also when the time has passed; `REDLOCK_ERR_CLOSED` when the queue is freed meanwhile;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_queue_next(
    queue: *mut redlock_queue,
    events: *mut redlock_event,
    max: usize,
    timeout_ms: i64,
    count: *mut usize,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let count = out(count, 0, "count")?;
            let queue = find::<QueueHandle>(queue, "queue")?;
            let timeout = timeout(timeout_ms, "timeout_ms")?;
            check_room(events, max)?;
            let mut taken = Vec::new();
            queue.0.next(&mut taken, max, timeout)?;
            for event in taken {
                events.add(*count).write(convert(event));
                *count += 1;
            }
            Ok(())
        })
    }
}

fn check_room(events: *mut redlock_event, max: usize) -> crate::Result<()> {
    if events.is_null() {
        return Err(null("events"));
    }
    if max == 0 {
        return Err(Error::invalid("max is 0: there must be room for an event"));
    }
    Ok(())
}

fn convert(event: Event) -> redlock_event {
    let mut converted = redlock_event {
        id: event.id,
        status: REDLOCK_OK,
        kind: event.kind as u32,
        lock: null_mut(),
        error: null_mut(),
        validity_ms: 0,
        value: 0,
        fence: 0,
        reserved: [0; 5],
    };
    if let Err(error) = event
        .result
        .and_then(|completion| fill(&mut converted, completion))
    {
        converted.status = error.status().code();
        converted.error = error::give(error);
    }
    converted
}

fn fill(event: &mut redlock_event, completion: Completion) -> crate::Result<()> {
    match completion {
        Completion::Acquired(lock) => {
            let (validity_ms, fence) = (milliseconds(lock.validity()), lock.fence());
            if validity_ms == 0 {
                let message = format!(
                    "acquiring {:?} failed: its TTL has run out",
                    lock.resource()
                );
                return Err(Error::new(crate::Status::Expired, message));
            }
            event.lock = publish(LockHandle::new(lock))?;
            event.validity_ms = validity_ms;
            event.fence = fence;
        }
        Completion::Extended(validity) => event.validity_ms = milliseconds(validity),
        Completion::IsLocked(locked) => event.value = locked.into(),
        Completion::Released | Completion::Asked => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventKind;

    #[test]
    fn the_constants_are_the_crate_s_kinds() {
        assert_eq!(REDLOCK_EVENT_ACQUIRE, EventKind::Acquire as u32);
        assert_eq!(REDLOCK_EVENT_RELEASE, EventKind::Release as u32);
        assert_eq!(REDLOCK_EVENT_EXTEND, EventKind::Extend as u32);
        assert_eq!(REDLOCK_EVENT_IS_LOCKED, EventKind::IsLocked as u32);
        assert_eq!(REDLOCK_EVENT_LOST, EventKind::Lost as u32);
        assert_eq!(REDLOCK_EVENT_CREDENTIALS, EventKind::Credentials as u32);
    }
}
