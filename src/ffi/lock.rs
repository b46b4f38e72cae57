//! Locks: what a held grant says of itself.

use std::ffi::{CString, c_char};
use std::ptr::null;

use once_cell::sync::OnceCell;

use super::arguments::milliseconds;
use super::call;
use super::error::redlock_error;
use super::guard;
use super::handle::{find, free, handle, take};
use super::queue::{QueueHandle, redlock_queue};
use super::registry::Ends;
use super::status::redlock_status;
use super::string::c_string;
use crate::Lock;

/// One grant of the lock on a resource, or on several.
///
/// Made by redlock_acquire() or redlock_acquire_many(), or given by an event of kind `REDLOCK_EVENT_ACQUIRE`; freed by
/// redlock_lock_free(), which releases it, or by redlock_lock_detach(), which leaves it held. Any number of threads may use it at
/// once; operations on one lock follow one after another. It does not need its factory to live. After a fork it belongs to the
/// parent alone: in the child every operation on it answers `REDLOCK_ERR_FORKED`, and freeing it there does not release it.
pub struct redlock_lock;

pub(super) struct LockHandle {
    pub(super) lock: Lock,
    // Made when first asked for.
    resources: OnceCell<Box<[CString]>>,
    token: OnceCell<CString>,
}

handle!(LockHandle, redlock_lock, 2, "lock");

impl Ends for LockHandle {}

impl LockHandle {
    pub(super) fn new(lock: Lock) -> LockHandle {
        LockHandle {
            lock,
            resources: OnceCell::new(),
            token: OnceCell::new(),
        }
    }

    fn resource(&self, i: usize) -> Option<&CString> {
        let make = || self.lock.resources().map(c_string).collect();
        self.resources.get_or_init(make).get(i)
    }
}

/// Gives the time for which a lock is still proven to be held, in milliseconds, rounded down.
///
/// It counts from before the first command was sent, and allows for the drift of the clocks. Does not block and asks no node; any
/// thread.
///
/// @param lock the lock
/// @return the milliseconds; 0 when its validity has ended, it was released, it belongs to the parent process, or `lock` is NULL
///         or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_validity_ms(lock: *const redlock_lock) -> i64 {
    guard::value(0, || {
        find::<LockHandle>(lock, "lock").map_or(0, |handle| milliseconds(handle.lock.validity()))
    })
}

/// Gives the fencing token of a lock: a number that is larger than that of every lock on the same resource whose acquire had
/// succeeded before this one's began.
///
/// Send it along with each write to what the lock protects, and have the storage refuse a number below the highest that it has seen:
/// so a writer that does not know yet that it lost its lock does no harm. It is below 2^53, and no two locks on a resource have the
/// same. An extension does not change it. Does not block and asks no node; any thread.
///
/// @param lock the lock
/// @return the fence, also when the lock is lost or released; 0 with the option "fencing" set to "off", or when `lock` is NULL or
///         freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_fence(lock: *const redlock_lock) -> u64 {
    guard::value(0, || {
        find::<LockHandle>(lock, "lock").map_or(0, |handle| handle.lock.fence())
    })
}

/// Gives the name of the resource that a lock is on; of several, the first.
///
/// Does not block; any thread.
///
/// @param lock the lock
/// @return a string that lives until redlock_lock_free() of the lock; NULL when `lock` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_resource(lock: *const redlock_lock) -> *const c_char {
    text(lock, |handle| handle.resource(0))
}

/// Gives the number of resources that a lock is on: 1, or as many as redlock_acquire_many() was given.
///
/// Does not block; any thread.
///
/// @param lock the lock
/// @return the number; 0 when `lock` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_resource_count(lock: *const redlock_lock) -> usize {
    guard::value(0, || {
        find::<LockHandle>(lock, "lock").map_or(0, |handle| handle.lock.resources().len())
    })
}

/// Gives the name of the resource `i` of a lock.
///
/// Does not block; any thread.
///
/// @param lock the lock
/// @param i 0 to redlock_lock_resource_count() - 1; the order is that in which redlock_acquire_many() was given them
/// @return a string that lives until redlock_lock_free() of the lock; NULL when there is no such resource, or `lock` is NULL or
///         freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_resource_at(lock: *const redlock_lock, i: usize) -> *const c_char {
    text(lock, |handle| handle.resource(i))
}

/// Gives the fencing token for the resource `i` of a lock, as redlock_lock_fence() does for one resource.
///
/// Does not block and asks no node; any thread.
///
/// @param lock the lock
/// @param i 0 to redlock_lock_resource_count() - 1; the order is that in which redlock_acquire_many() was given them
/// @return the fence; 0 with the option "fencing" set to "off", when there is no such resource, or when `lock` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_fence_at(lock: *const redlock_lock, i: usize) -> u64 {
    guard::value(0, || {
        find::<LockHandle>(lock, "lock").map_or(0, |handle| fence_at(&handle.lock, i))
    })
}

/// Gives the token of a lock: the value that its key has on the nodes, unique to this grant.
///
/// Does not block; any thread.
///
/// @param lock the lock
/// @return a string that lives until redlock_lock_free() of the lock; NULL when `lock` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_token(lock: *const redlock_lock) -> *const c_char {
    text(lock, |handle| {
        let make = || c_string(handle.lock.token());
        Some(handle.token.get_or_init(make))
    })
}

/// Keeps a lock alive: it is extended in time, at a third of its TTL, until it is released, freed or lost, or its factory is freed.
///
/// When it can't be extended any more, the event `REDLOCK_EVENT_LOST` comes, a tenth of the TTL before the validity ends at the
/// latest, so that its owner can stop in time: at most one for each call, and none after the lock was released or freed by its owner.
/// The event brings no lock; the handle stays the caller's to free. A further call takes the place of the one before, with its queue and
/// `id`. The TTL is that of the acquire, or of the last redlock_extend() that succeeded. A lock that is lost is not taken again. One
/// timer serves all locks. Does not block; any thread.
///
/// @param lock the lock; not NULL
/// @param queue the queue that the event goes to; NULL for no event: redlock_lock_validity_ms() tells
/// @param id a number for the event to carry; need not differ from those of operations
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_EXPIRED` when the lock is not held any more; `REDLOCK_ERR_RELEASED` when it was released
///         already; `REDLOCK_ERR_FORKED`; `REDLOCK_ERR_INVALID_ARGUMENT`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_lock_keep_alive(
    lock: *mut redlock_lock,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let lock = find::<LockHandle>(lock, "lock")?;
            if queue.is_null() {
                return lock.lock.keep_alive_silently();
            }
            let queue = find::<QueueHandle>(queue, "queue")?;
            lock.lock.keep_alive_in(&queue.0, id)
        })
    }
}

/// Frees a lock's handle and leaves the lock held until its TTL ends, for work that is to be done at most once in a period.
///
/// The strings that were taken from the lock are freed. Keeping alive ends, and no loss is reported any more; an extension that
/// is under way still takes effect. Nobody can extend or release the lock afterwards. Call it instead of redlock_lock_free(),
/// which releases a lock that is held. NULL, and what is no live lock, is ignored; a lock that was released or lost is only
/// freed. In a forked child, the parent's lock is left as it is. Does not block and asks no node; any thread.
///
/// @param lock the lock, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_detach(lock: *mut redlock_lock) {
    guard::value((), || {
        // Another thread may still be in a call with this lock, so it may be dropped after this.
        if let Some(handle) = take::<LockHandle>(lock) {
            handle.lock.let_go();
        }
    });
}

/// Frees a lock, and the strings that were taken from it. When it is still held it is released, in the background;
/// redlock_lock_detach() leaves it held.
///
/// NULL, and what is no live lock, is ignored. In a forked child, the parent's lock stays held. Does not block; any thread.
///
/// @param lock the lock, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_free(lock: *mut redlock_lock) {
    guard::value((), || free::<LockHandle>(lock));
}

fn text(
    lock: *const redlock_lock,
    part: impl Fn(&LockHandle) -> Option<&CString>,
) -> *const c_char {
    guard::value(null(), || {
        find::<LockHandle>(lock, "lock").map_or(null(), |handle| {
            part(&handle).map_or(null(), |text| text.as_ptr())
        })
    })
}

/// All resources of a lock have the same fence.
fn fence_at(lock: &Lock, i: usize) -> u64 {
    if i < lock.resources().len() {
        lock.fence()
    } else {
        0
    }
}
