//! Holders: re-entrant locks, which count.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::Duration;

use super::arguments::{milliseconds, out, text, wait};
use super::call;
use super::error::redlock_error;
use super::factory::{FactoryHandle, redlock_factory};
use super::guard;
use super::handle::{find, free, handle, publish};
use super::queue::{QueueHandle, redlock_queue};
use super::registry::Ends;
use super::status::redlock_status;
use crate::ReentrantLock;

/// A holder of the lock on one resource that may acquire it again while it holds it: a re-entrant lock.
///
/// Made by redlock_reentrant_new(), freed by redlock_reentrant_free(). It counts: the first acquire takes the lock, the last release gives
/// it back, and those between touch no node. Whoever uses the same holder is the same holder, also from another thread; make one for
/// each party that is to be kept apart. Any number of threads may use it at once. It does not need its factory's handle to live, but
/// takes no lock after redlock_factory_free(). After a fork it belongs to the parent alone: in the child every operation on it answers
/// `REDLOCK_ERR_FORKED`.
pub struct redlock_reentrant;

pub(super) struct ReentrantHandle(ReentrantLock);

handle!(ReentrantHandle, redlock_reentrant, 6, "holder");

impl Ends for ReentrantHandle {
    fn end(&self) {
        self.0.close();
    }
}

/// Makes a holder, which holds nothing yet.
///
/// Does not block and asks no node; any thread.
///
/// @param factory the factory; not NULL
/// @param resource the name of what is locked, as for redlock_acquire(); not NULL. Copied.
/// @param ttl_ms the TTL in milliseconds with which the lock is taken, as for redlock_acquire()
/// @param out receives the holder, which the caller frees with redlock_reentrant_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_reentrant_new(
    factory: *mut redlock_factory,
    resource: *const c_char,
    ttl_ms: u64,
    out: *mut *mut redlock_reentrant,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let (resource, ttl) = (text(resource, "resource")?, Duration::from_millis(ttl_ms));
            let holder = ReentrantLock::new(&factory.0, resource, ttl)?;
            *out = publish(ReentrantHandle(holder))?;
            Ok(())
        })
    }
}

/// Acquires the lock through a holder, or counts one more when the holder has it already.
///
/// Each success asks for one redlock_reentrant_release(). The first acquire blocks as redlock_acquire() does; an inner one does not
/// block and asks no node. While another thread is in a first acquire of the same holder, blocks until that has ended, at most for
/// `wait_ms`. Any thread.
///
/// @param holder the holder; not NULL
/// @param wait_ms how long to try, in milliseconds; 0 tries once, -1 tries for ever
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return as redlock_acquire(); also `REDLOCK_ERR_EXPIRED` when the holder has the lock but its validity has ended: the acquires
///         before ask for their releases all the same, and after the last of those the lock can be acquired afresh;
///         `REDLOCK_ERR_CLOSED` when the holder or its factory is freed meanwhile; `REDLOCK_ERR_FORKED`. On failure the count stays as
///         it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_reentrant_acquire(
    holder: *mut redlock_reentrant,
    wait_ms: i64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let holder = find::<ReentrantHandle>(holder, "holder")?;
            holder.0.acquire(wait(wait_ms)?)
        })
    }
}

/// Takes back one acquire of a holder; the last one releases the lock.
///
/// An inner release does not block and asks no node, also when the lock is lost. The last one blocks and has the outcomes of
/// redlock_release(), and whatever they are, the holder holds nothing from then on. Any thread.
///
/// @param holder the holder; not NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_RELEASED` when it holds nothing; for the last release `REDLOCK_ERR_EXPIRED` when the lock had been
///         lost before, and `REDLOCK_ERR_NO_QUORUM` when too few nodes answered to know; `REDLOCK_ERR_FORKED`;
///         `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_reentrant_release(
    holder: *mut redlock_reentrant,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            find::<ReentrantHandle>(holder, "holder")?.0.release()
        })
    }
}

/// Gives the number of acquires of a holder that have not been released yet.
///
/// Does not block; any thread.
///
/// @param holder the holder
/// @return the number; 0 when it holds nothing, belongs to the parent process, or `holder` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_reentrant_count(holder: *const redlock_reentrant) -> usize {
    guard::value(0, || {
        find::<ReentrantHandle>(holder, "holder").map_or(0, |handle| handle.0.count())
    })
}

/// Gives the time for which the lock of a holder is still proven to be held, as redlock_lock_validity_ms() does.
///
/// Does not block and asks no node; any thread.
///
/// @param holder the holder
/// @return the milliseconds; 0 when nothing is held any more, or `holder` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_reentrant_validity_ms(holder: *const redlock_reentrant) -> i64 {
    guard::value(0, || {
        find::<ReentrantHandle>(holder, "holder")
            .map_or(0, |handle| milliseconds(handle.0.validity()))
    })
}

/// Gives the fencing token of the lock that a holder has, as redlock_lock_fence() does: one for all acquires until the last release.
///
/// Does not block and asks no node; any thread.
///
/// @param holder the holder
/// @return the fence; 0 with the option "fencing" set to "off", when nothing is held, or when `holder` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_reentrant_fence(holder: *const redlock_reentrant) -> u64 {
    guard::value(0, || {
        find::<ReentrantHandle>(holder, "holder").map_or(0, |handle| handle.0.fence())
    })
}

/// Keeps the lock of a holder alive until the last release, as redlock_lock_keep_alive() does. To be called anew after each first
/// acquire.
///
/// Does not block; any thread.
///
/// @param holder the holder; not NULL
/// @param queue the queue that the event `REDLOCK_EVENT_LOST` goes to; NULL for no event: redlock_reentrant_validity_ms() tells
/// @param id a number for the event to carry; need not differ from those of operations
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_RELEASED` when it holds nothing; `REDLOCK_ERR_EXPIRED` when its lock is lost;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_reentrant_keep_alive(
    holder: *mut redlock_reentrant,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let holder = find::<ReentrantHandle>(holder, "holder")?;
            if queue.is_null() {
                return holder.0.keep_alive_silently();
            }
            let queue = find::<QueueHandle>(queue, "queue")?;
            holder.0.keep_alive_in(&queue.0, id)
        })
    }
}

/// Frees a holder. What it still holds is released, in the background.
///
/// Acquires of it that wait in other threads end with `REDLOCK_ERR_CLOSED`. NULL, and what is no live holder, is ignored. In a forked
/// child, the parent's lock stays held. Does not block; any thread.
///
/// @param holder the holder, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_reentrant_free(holder: *mut redlock_reentrant) {
    guard::value((), || free::<ReentrantHandle>(holder));
}
