//! Where panics stop, and where a cancellation of the thread waits: no exported function runs outside of [`value`] or of
//! [`status`](super::call::status).

use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::defect::said;
use crate::{Error, Result, Status};

/// Runs the body of a function that has no error to give; a panic gives `fallback`.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    contained(|| Ok(body())).unwrap_or(fallback)
}

/// Runs a body; a panic becomes an error.
pub(super) fn contained<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
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
