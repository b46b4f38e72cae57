//! The asynchronous calls: each returns at once, and its outcome arrives as one event of a queue.

use std::ffi::c_char;
use std::time::Duration;

use super::arguments::{resources, text, wait};
use super::call;
use super::error::redlock_error;
use super::factory::{FactoryHandle, redlock_factory};
use super::handle::find;
use super::lock::{LockHandle, redlock_lock};
use super::queue::{QueueHandle, redlock_queue};
use super::status::redlock_status;

/// Begins to acquire the lock on a resource; the event `REDLOCK_EVENT_ACQUIRE` brings the outcome, as redlock_acquire() would
/// have given it, and the lock.
///
/// When this function succeeds there will be exactly one event; when it fails there will be none. Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param resource the name of the resource, as for redlock_acquire(); not NULL. Copied.
/// @param ttl_ms the TTL in milliseconds, as for redlock_acquire()
/// @param wait_ms how long to try, in milliseconds; 0 tries once, -1 tries for ever
/// @param queue the queue that the event goes to; not NULL
/// @param id a number that no other operation under way on this queue has; the event carries it, and redlock_cancel() takes it. It is
///        free again when the operation has ended.
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the operation has begun; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_submit_acquire(
    factory: *mut redlock_factory,
    resource: *const c_char,
    ttl_ms: u64,
    wait_ms: i64,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let resource = text(resource, "resource")?;
            let (ttl, wait) = (Duration::from_millis(ttl_ms), wait(wait_ms)?);
            let queue = find::<QueueHandle>(queue, "queue")?;
            factory.0.submit_acquire(resource, ttl, wait, &queue.0, id)
        })
    }
}

/// Begins to acquire the locks on several resources as one lock; the event `REDLOCK_EVENT_ACQUIRE` brings the outcome, as
/// redlock_acquire_many() would have given it, and the lock.
///
/// When this function succeeds there will be exactly one event; when it fails there will be none. Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param resources an array of `n` names, each as for redlock_acquire() and different from the others; not NULL. Copied.
/// @param n the number of resources: 1 to 128
/// @param ttl_ms the TTL in milliseconds, as for redlock_acquire()
/// @param wait_ms how long to try, in milliseconds; 0 tries once, -1 tries for ever
/// @param queue the queue that the event goes to; not NULL
/// @param id a number that no other operation under way on this queue has, as for redlock_submit_acquire()
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the operation has begun; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_submit_acquire_many(
    factory: *mut redlock_factory,
    resources: *const *const c_char,
    n: usize,
    ttl_ms: u64,
    wait_ms: i64,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let resources = self::resources(resources, n)?;
            let (ttl, wait) = (Duration::from_millis(ttl_ms), wait(wait_ms)?);
            let queue = find::<QueueHandle>(queue, "queue")?;
            let factory = &factory.0;
            factory.submit_acquire_many(&resources, ttl, wait, &queue.0, id)
        })
    }
}

/// Begins to release a lock; the event `REDLOCK_EVENT_RELEASE` brings the outcome, as redlock_release() would have given it.
///
/// When this function succeeds there will be exactly one event; when it fails there will be none. The lock's handle stays valid
/// until redlock_lock_free(), which may be called before the event has come. Does not block; any thread.
///
/// @param lock the lock; not NULL
/// @param queue the queue that the event goes to; not NULL
/// @param id a number that no other operation under way on this queue has, as for redlock_submit_acquire()
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the operation has begun; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_submit_release(
    lock: *mut redlock_lock,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let lock = find::<LockHandle>(lock, "lock")?;
            let queue = find::<QueueHandle>(queue, "queue")?;
            lock.lock.submit_release(&queue.0, id)
        })
    }
}

/// Begins to extend a lock; the event `REDLOCK_EVENT_EXTEND` brings the outcome, as redlock_extend() would have given it, and the
/// new validity.
///
/// When this function succeeds there will be exactly one event; when it fails there will be none. Does not block; any thread.
///
/// @param lock the lock; not NULL
/// @param ttl_ms for how long it is to last at least, in milliseconds, as for redlock_extend()
/// @param queue the queue that the event goes to; not NULL
/// @param id a number that no other operation under way on this queue has, as for redlock_submit_acquire()
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the operation has begun; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_submit_extend(
    lock: *mut redlock_lock,
    ttl_ms: u64,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let lock = find::<LockHandle>(lock, "lock")?;
            let queue = find::<QueueHandle>(queue, "queue")?;
            let ttl = Duration::from_millis(ttl_ms);
            lock.lock.submit_extend(ttl, &queue.0, id)
        })
    }
}

/// Begins to ask whether a resource is locked; the event `REDLOCK_EVENT_IS_LOCKED` brings the outcome, as redlock_is_locked()
/// would have given it, and the answer.
///
/// When this function succeeds there will be exactly one event; when it fails there will be none. Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param resource the name of the resource, as for redlock_acquire(); not NULL. Copied.
/// @param queue the queue that the event goes to; not NULL
/// @param id a number that no other operation under way on this queue has, as for redlock_submit_acquire()
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the operation has begun; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_submit_is_locked(
    factory: *mut redlock_factory,
    resource: *const c_char,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let resource = text(resource, "resource")?;
            let queue = find::<QueueHandle>(queue, "queue")?;
            factory.0.submit_is_locked(resource, &queue.0, id)
        })
    }
}

/// Cancels the operation `id` of a queue.
///
/// Its event still comes, exactly one. An acquire then ends with `REDLOCK_ERR_CANCELLED`, unless it has failed already, and leaves
/// nothing locked: a lock that was won goes back, also when its event waits to be taken. A question ends with
/// `REDLOCK_ERR_CANCELLED`, or with its answer when that was certain. A release or an extension is not stopped. Does not block; any
/// thread.
///
/// @param queue the queue; not NULL
/// @param id the number that the operation was submitted with
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT` when no operation of the queue has this number (it was never submitted, or
///         its event has been taken), which is harmless; `REDLOCK_ERR_FORKED`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_cancel(
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe { call::status(err, || find::<QueueHandle>(queue, "queue")?.0.cancel(id)) }
}
