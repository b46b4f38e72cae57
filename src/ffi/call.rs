//! Calls that can fail: what their bodies give becomes a status and an error object.

use super::error::{self, redlock_error};
use super::guard::contained;
use super::status::{REDLOCK_OK, redlock_status};
use crate::Result;

/// Runs the body of a function that can fail; a failure, or a panic, becomes the status and, when `err` is not NULL, `*err`.
///
/// # Safety
/// `err` is NULL or can be written to.
pub(super) unsafe fn status(
    err: *mut *mut redlock_error,
    body: impl FnOnce() -> Result<()>,
) -> redlock_status {
    // A caller that tests `*err` instead of the status must not meet what was there before.
    // SAFETY: as the caller promises.
    unsafe { error::clear(err) };
    match contained(body) {
        Ok(()) => REDLOCK_OK,
        Err(error) => {
            let code = error.status().code();
            // SAFETY: as the caller promises.
            unsafe { error::store(err, error) };
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr::null_mut;

    use super::*;
    use crate::ffi::error::{redlock_error_free, redlock_error_message};
    use crate::ffi::guard::value;
    use crate::ffi::status::REDLOCK_ERR_INTERNAL;

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_message() {
        let mut err = null_mut();
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        let code = unsafe { status(&mut err, || panic!("the {} broke", "axle")) };
        assert_eq!(code, REDLOCK_ERR_INTERNAL);
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        let message = unsafe { CStr::from_ptr(redlock_error_message(err)) };
        assert!(message.to_str().unwrap().ends_with("the axle broke"));
        redlock_error_free(err);
    }

    #[test]
    fn a_panic_is_contained_without_anybody_to_tell() {
        // SAFETY: it is not NULL, and otherwise as the caller promises.
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
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        let code = unsafe { status(null_mut(), || std::panic::panic_any(Grenade)) };
        assert_eq!(code, REDLOCK_ERR_INTERNAL);
    }

    #[test]
    fn success_clears_the_error() {
        let mut err = std::ptr::dangling_mut();
        // SAFETY: as the caller promises.
        assert_eq!(unsafe { status(&mut err, || Ok(())) }, REDLOCK_OK);
        assert!(err.is_null());
    }
}
