//! The log: a C function as the crate's sink.

use std::ffi::{c_char, c_void};

use super::call;
use super::error::redlock_error;
use super::status::redlock_status;
use super::string::c_string;
use crate::log::{self, Level};
use crate::{Error, Result};

/// Level of a message: something is broken and stays so until somebody acts.
pub const REDLOCK_LOG_ERROR: i32 = 1;
/// Level of a message: something is not as it should be; the library copes.
pub const REDLOCK_LOG_WARN: i32 = 2;
/// Level of a message: a change worth knowing, such as a node that came back.
pub const REDLOCK_LOG_INFO: i32 = 3;
/// Level of a message: everything else.
pub const REDLOCK_LOG_DEBUG: i32 = 4;

/// Receives a message of the log: its level, one line of text that lives until the function returns, and the pointer that was
/// given to redlock_log_set().
///
/// It is called on a thread of the library's own, with one message after the other in the order in which they were written, and with
/// all signals blocked. It may block, and call the library: nothing waits for it. When it is so slow that 1,024 messages wait, later
/// ones are dropped and counted. It must not throw an exception, longjmp or fork.
pub type redlock_log_callback =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Sets the function that receives the log, for the whole process. Without one the library is silent.
///
/// Does not block; any thread. A call of the function set before may still be running in another thread, or about to begin, when
/// this returns: what `user_data` points to has to outlive that. Messages that were written before, and wait, go to the new one.
///
/// @param callback the function; NULL silences the library
/// @param level the least important level to report: `REDLOCK_LOG_ERROR` to `REDLOCK_LOG_DEBUG`
/// @param user_data passed on to the function as it is; may be NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT` for a number that is no level
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_log_set(
    callback: redlock_log_callback,
    level: i32,
    user_data: *mut c_void,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let level = convert(level)?;
            match callback {
                Some(callback) => listen(
                    level,
                    Listener {
                        callback,
                        user_data,
                    },
                ),
                None => log::set(None, level),
            }
            Ok(())
        })
    }
}

struct Listener {
    callback: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the header asks for a callback that can be called from any thread with this pointer.
unsafe impl Send for Listener {}
// SAFETY: as above.
unsafe impl Sync for Listener {}

fn listen(level: Level, listener: Listener) {
    let sink = move |level, message: &str| listener.hear(level, message);
    log::set(Some(Box::new(sink)), level);
}

impl Listener {
    fn hear(&self, level: Level, message: &str) {
        let message = c_string(message);
        // SAFETY: the header asks for a callback that may be called like that; the message lives through the call.
        unsafe { (self.callback)(level as i32, message.as_ptr(), self.user_data) };
    }
}

fn convert(level: i32) -> Result<Level> {
    let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
    let level_or_none = levels.into_iter().find(|known| *known as i32 == level);
    level_or_none.ok_or_else(|| {
        Error::invalid(format!(
            "level is {level}: it must be REDLOCK_LOG_ERROR (1), _WARN (2), _INFO (3) or _DEBUG (4)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_crate_s_levels() {
        let constants = [
            REDLOCK_LOG_ERROR,
            REDLOCK_LOG_WARN,
            REDLOCK_LOG_INFO,
            REDLOCK_LOG_DEBUG,
        ];
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        assert_eq!(constants, levels.map(|level| level as i32));
        assert!(convert(0).is_err() && convert(5).is_err());
    }
}
