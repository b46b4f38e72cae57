//! Where panics stop, and where a cancellation of the thread waits: no exported function runs outside of `status` or `value`.

use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{self, redlock_error};
use super::status::{REDLOCK_OK, redlock_status};
use crate::defect::said;
use crate::{Error, Result, Status};

/// Runs the body of a function that can fail; a failure, or a panic, becomes the status and, when `err` is not NULL, `*err`.
///
/// # Safety
/// `err` is NULL or can be written to.
pub(super) unsafe fn status(
    err: *mut *mut redlock_error,
    body: impl FnOnce() -> Result<()>,
) -> redlock_status {
    // A caller that tests `*err` instead of the status must not meet what was there before.
    unsafe { error::clear(err) };
    match contained(body) {
        Ok(()) => REDLOCK_OK,
        Err(error) => {
            let code = error.status().code();
            unsafe { error::store(err, error) };
            code
        }
    }
}

/// Runs the body of a function that has no error to give; a panic gives `fallback`.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    contained(|| Ok(body())).unwrap_or(fallback)
}

fn contained<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held_back = Cancellation::hold_back();
    // Unwind safe: what the body shares with others lies behind locks that recover from poison.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(defect(payload)))
}

/// pthread_cancel() takes effect when this is dropped at the earliest: in the middle of a call it would end the thread by
/// unwinding frames that cannot be unwound like that, which ends the process.
struct Cancellation {
    before: c_int,
}

#[cfg(not(target_os = "android"))]
impl Cancellation {
    #[cfg(not(target_vendor = "apple"))]
    const DISABLE: c_int = 1;
    #[cfg(target_vendor = "apple")]
    const DISABLE: c_int = 0;

    fn hold_back() -> Cancellation {
        Cancellation {
            before: Cancellation::set(Cancellation::DISABLE),
        }
    }

    fn set(state: c_int) -> c_int {
        unsafe extern "C" {
            fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
        }
        let mut before = state;
        // SAFETY: a place that lives through the call, which fails only for a number that is no state.
        unsafe { pthread_setcancelstate(state, &mut before) };
        before
    }
}

/// There is no cancellation there.
#[cfg(target_os = "android")]
impl Cancellation {
    fn hold_back() -> Cancellation {
        Cancellation { before: 0 }
    }

    fn set(_: c_int) -> c_int {
        0
    }
}

impl Drop for Cancellation {
    fn drop(&mut self) {
        Cancellation::set(self.before);
    }
}

fn defect(payload: Box<dyn Any + Send>) -> Error {
    let message = format!(
        "a defect of libredlock, please report it: {}",
        said(&*payload)
    );
    // A payload's own drop may panic; it is not worth an abort.
    std::mem::forget(payload);
    Error::new(Status::Internal, message)
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr::null_mut;

    use super::*;
    use crate::ffi::error::{redlock_error_free, redlock_error_message};
    use crate::ffi::status::REDLOCK_ERR_INTERNAL;

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_message() {
        let mut err = null_mut();
        let code = unsafe { status(&mut err, || panic!("the {} broke", "axle")) };
        assert_eq!(code, REDLOCK_ERR_INTERNAL);
        let message = unsafe { CStr::from_ptr(redlock_error_message(err)) };
        assert!(message.to_str().unwrap().ends_with("the axle broke"));
        redlock_error_free(err);
    }

    #[test]
    fn a_panic_is_contained_without_anybody_to_tell() {
        let code = unsafe { status(null_mut(), || std::panic::panic_any(7)) };
        assert_eq!(code, REDLOCK_ERR_INTERNAL);
        assert_eq!(value(5, || panic!("contained")), 5);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Grenade;
        impl Drop for Grenade {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let code = unsafe { status(null_mut(), || std::panic::panic_any(Grenade)) };
        assert_eq!(code, REDLOCK_ERR_INTERNAL);
    }

    #[test]
    fn success_clears_the_error() {
        let mut err = std::ptr::dangling_mut();
        assert_eq!(unsafe { status(&mut err, || Ok(())) }, REDLOCK_OK);
        assert!(err.is_null());
    }
}
