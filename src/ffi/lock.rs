//! Locks: what a held grant says of itself.

use std::ffi::{CString, c_char};
use std::ptr::null;

use once_cell::sync::OnceCell;

use super::arguments::milliseconds;
use super::guard;
use super::handle::{find, handle, take};
use super::string::c_string;
use crate::Lock;

/// One grant of the lock on a resource.
///
/// Made by redlock_acquire(), or given by an event of kind `REDLOCK_EVENT_ACQUIRE`; freed by redlock_lock_free(). Any number of
/// threads may use it at once; operations on one lock follow one after another. It does not need its factory to live. After a
/// fork it belongs to the parent alone: in the child every operation on it answers `REDLOCK_ERR_FORKED`, and freeing it there
/// does not release it.
pub struct redlock_lock;

pub(super) struct LockHandle {
    pub(super) lock: Lock,
    resource: OnceCell<CString>,
    token: OnceCell<CString>,
}

handle!(LockHandle, redlock_lock, 2, "lock");

impl LockHandle {
    pub(super) fn new(lock: Lock) -> LockHandle {
        LockHandle {
            lock,
            resource: OnceCell::new(),
            token: OnceCell::new(),
        }
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

/// Gives the name of the resource that a lock is on.
///
/// Does not block; any thread.
///
/// @param lock the lock
/// @return a string that lives until redlock_lock_free() of the lock; NULL when `lock` is NULL or freed
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_resource(lock: *const redlock_lock) -> *const c_char {
    text(lock, |handle| {
        let make = || c_string(handle.lock.resource());
        handle.resource.get_or_init(make)
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
        handle.token.get_or_init(make)
    })
}

/// Frees a lock, and the strings that were taken from it. When it is still held it is released, in the background.
///
/// NULL, and what is no live lock, is ignored. In a forked child, the parent's lock stays held. Does not block; any thread.
///
/// @param lock the lock, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_lock_free(lock: *mut redlock_lock) {
    guard::value((), || drop(take::<LockHandle>(lock)));
}

fn text(lock: *const redlock_lock, part: impl Fn(&LockHandle) -> &CString) -> *const c_char {
    guard::value(null(), || {
        find::<LockHandle>(lock, "lock").map_or(null(), |handle| part(&handle).as_ptr())
    })
}
