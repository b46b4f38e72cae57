//! The blocking calls: each returns when its outcome is known.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::Duration;

use super::arguments::{out, resources, text, wait};
use super::call;
use super::error::redlock_error;
use super::factory::{FactoryHandle, redlock_factory};
use super::handle::{find, publish};
use super::lock::{LockHandle, redlock_lock};
use super::status::redlock_status;

/// Acquires the lock on a resource.
///
/// Blocks until the lock is held, or is known to be out of reach, or `wait_ms` has passed. A try takes about one round trip to
/// the nodes, and at most the node timeout when too few of them answer; a factory's first may wait for connections, at most the
/// connect timeout. Any thread; other threads can use the factory meanwhile.
///
/// @param factory the factory; not NULL
/// @param resource the name of what is locked: 1 to 512 bytes of UTF-8 without `libredlock:`, which the library's own keys
///   contain; the key on the nodes; not NULL
/// @param ttl_ms the time, in milliseconds, after which the nodes free the lock by themselves: more than the work needs, or
///        extended in time by redlock_extend(). At least 1, and at most 30 days; one longer than the
///        option "max_ttl_ms" is refused with "restart_guard" set to "strict", and otherwise granted with a warning in the log.
/// @param wait_ms how long to try, in milliseconds, while the lock is held by another or too few nodes vote; 0 tries once, -1
///        tries for ever
/// @param out receives the lock, which the caller frees with redlock_lock_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_CONTENDED` when another holds the lock; `REDLOCK_ERR_NO_QUORUM` when too few nodes voted;
///         `REDLOCK_ERR_EXPIRED` when the nodes took so long to answer, or the
///         process stood still for so long, that nothing of the TTL was left; `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM`. On
///         failure nothing stays locked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_acquire(
    factory: *mut redlock_factory,
    resource: *const c_char,
    ttl_ms: u64,
    wait_ms: i64,
    out: *mut *mut redlock_lock,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let resource = text(resource, "resource")?;
            let (ttl, wait) = (Duration::from_millis(ttl_ms), wait(wait_ms)?);
            let lock = factory.0.acquire(resource, ttl, wait)?;
            *out = publish(LockHandle::new(lock))?;
            Ok(())
        })
    }
}

/// Acquires the locks on several resources as one lock, or none of them.
///
/// All or nothing: when one resource is held by another, the others are given back. One try takes one round trip, however many
/// resources there are, and sets that overlap never wait for each other for ever, in whichever order they are named. What releases,
/// extends, keeps or frees the lock does so for all resources at once; it is lost when any of them is. Blocks as redlock_acquire()
/// does; any thread.
///
/// @param factory the factory; not NULL
/// @param resources an array of `n` names, each as for redlock_acquire() and different from the others; not NULL. Copied.
/// @param n the number of resources: 1 to 128
/// @param ttl_ms the TTL in milliseconds, as for redlock_acquire()
/// @param wait_ms how long to try, in milliseconds; 0 tries once, -1 tries for ever
/// @param out receives the lock, which the caller frees with redlock_lock_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return as redlock_acquire(); also `REDLOCK_ERR_INVALID_ARGUMENT` when `n` is 0 or too large, or a name is given twice. On
///         failure nothing stays locked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_acquire_many(
    factory: *mut redlock_factory,
    resources: *const *const c_char,
    n: usize,
    ttl_ms: u64,
    wait_ms: i64,
    out: *mut *mut redlock_lock,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let resources = self::resources(resources, n)?;
            let (ttl, wait) = (Duration::from_millis(ttl_ms), wait(wait_ms)?);
            let lock = factory.0.acquire_many(&resources, ttl, wait)?;
            *out = publish(LockHandle::new(lock))?;
            Ok(())
        })
    }
}

/// Releases a lock. The handle stays valid until redlock_lock_free().
///
/// Blocks for about one round trip to the nodes, and at most the node timeout. Nodes that could not be told free the lock when
/// its TTL ends. Any thread; operations on one lock follow one after another.
///
/// @param lock the lock; not NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK` when the lock was held until now; `REDLOCK_ERR_EXPIRED` when it had been lost before;
///         `REDLOCK_ERR_RELEASED` when it was released already; `REDLOCK_ERR_NO_QUORUM` when too few nodes answered to know;
///         `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_release(
    lock: *mut redlock_lock,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe { call::status(err, || find::<LockHandle>(lock, "lock")?.lock.release()) }
}

/// Extends a lock: it lasts for at least `ttl_ms` from now.
///
/// One that would last longer than that still does: an extension never ends a lock earlier. To end it, release it.
/// A lock that is lost is not taken again, and a failed extension leaves the lock as it is, held until its validity ends. Blocks
/// for about one round trip to the nodes, and at most the node timeout. Any thread; operations on one lock follow one after
/// another.
///
/// @param lock the lock; not NULL
/// @param ttl_ms for how long it is to last at least, in milliseconds, counted from this call; the same limits as for redlock_acquire()
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_EXPIRED` when the lock is not held any more; `REDLOCK_ERR_RELEASED` when it was released
///         already; `REDLOCK_ERR_NO_QUORUM` when too few nodes answered; `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_extend(
    lock: *mut redlock_lock,
    ttl_ms: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let lock = find::<LockHandle>(lock, "lock")?;
            lock.lock.extend(Duration::from_millis(ttl_ms))
        })
    }
}

/// Asks whether a resource is locked, by anybody, on a quorum of the nodes.
///
/// The answer may be out of date when it arrives: for display and diagnosis, not for deciding. Blocks for about one round trip to
/// the nodes, and at most the node timeout. Any thread.
///
/// @param factory the factory; not NULL
/// @param resource the name of the resource, as for redlock_acquire(); not NULL
/// @param out receives 1 when the resource is locked, otherwise 0; not NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_NO_QUORUM` when too few nodes answered; `REDLOCK_ERR_CLOSED`;
///         `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_is_locked(
    factory: *mut redlock_factory,
    resource: *const c_char,
    out: *mut i32,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, 0, "out")?;
            let factory = find::<FactoryHandle>(factory, "factory")?;
            *out = factory.0.is_locked(text(resource, "resource")?)?.into();
            Ok(())
        })
    }
}
