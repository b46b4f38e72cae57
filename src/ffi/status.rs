//! Status codes and their strings.

use std::ffi::{CStr, CString, c_char};

use once_cell::sync::Lazy;

use super::guard;
use super::string::c_string;
use crate::Status;

/// The outcome of a function: `REDLOCK_OK` or one of the `REDLOCK_ERR_` constants.
///
/// A plain integer, so that other languages see one. Later versions may add codes: treat an unknown one as a failure.
pub type redlock_status = i32;

/// Success; as a node's status: the node voted for the operation.
pub const REDLOCK_OK: redlock_status = 0;
/// Another owner holds the lock on enough nodes to preclude a quorum. Trying again later may succeed.
pub const REDLOCK_ERR_CONTENDED: redlock_status = 1;
/// Too few nodes could be reached, answered in time or were willing to vote. Look at the nodes' parts in the error.
pub const REDLOCK_ERR_NO_QUORUM: redlock_status = 2;
/// The lock is not held any more: its validity ended, or its keys are gone. Stop using what it protects.
pub const REDLOCK_ERR_EXPIRED: redlock_status = 3;
/// The operation was cancelled by redlock_cancel().
pub const REDLOCK_ERR_CANCELLED: redlock_status = 4;
/// The lock was already released through this handle.
pub const REDLOCK_ERR_RELEASED: redlock_status = 5;
/// An argument is NULL, malformed or out of range, or a handle that was freed. The message names the argument.
pub const REDLOCK_ERR_INVALID_ARGUMENT: redlock_status = 6;
/// The lock or queue was made by the parent process, before a fork, and belongs to it alone.
pub const REDLOCK_ERR_FORKED: redlock_status = 7;
/// The factory or queue was freed while the operation was under way.
pub const REDLOCK_ERR_CLOSED: redlock_status = 8;
/// The operating system refused a thread, a descriptor or memory.
pub const REDLOCK_ERR_SYSTEM: redlock_status = 9;
/// A defect of this library; please report the message.
pub const REDLOCK_ERR_INTERNAL: redlock_status = 10;
/// Only as a node's status: it did not answer within the node timeout.
pub const REDLOCK_ERR_TIMEOUT: redlock_status = 20;
/// Only as a node's status: there is no connection to it.
pub const REDLOCK_ERR_UNREACHABLE: redlock_status = 21;
/// Only as a node's status: it answered with an error, which the node's message quotes.
pub const REDLOCK_ERR_SERVER: redlock_status = 22;
/// Only as a node's status: it is connected but must not vote (yet), for example because it is a replica.
pub const REDLOCK_ERR_NOT_ADMITTED: redlock_status = 23;
/// Only as a node's status: it had not answered when the outcome was already certain.
pub const REDLOCK_ERR_UNANSWERED: redlock_status = 24;

/// Gives the name of a status, such as "REDLOCK_ERR_CONTENDED".
///
/// Does not block; any thread.
///
/// @param status any number
/// @return a static string, never NULL; "REDLOCK_ERR_UNKNOWN" for a number that is no status
#[unsafe(no_mangle)]
pub extern "C" fn redlock_status_name(status: redlock_status) -> *const c_char {
    text(status, c"REDLOCK_ERR_UNKNOWN", |text| &text.name)
}

/// Gives one sentence, in English, that says what a status means.
///
/// Does not block; any thread. The message of an error says more: redlock_error_message().
///
/// @param status any number
/// @return a static string, never NULL; "unknown status" for a number that is no status
#[unsafe(no_mangle)]
pub extern "C" fn redlock_status_message(status: redlock_status) -> *const c_char {
    text(status, c"unknown status", |text| &text.message)
}

struct Text {
    status: Status,
    name: CString,
    message: CString,
}

static TEXTS: Lazy<Vec<Text>> = Lazy::new(|| {
    let texts = Status::ALL.into_iter().map(|status| Text {
        status,
        name: c_string(status.name()),
        message: c_string(status.message()),
    });
    texts.collect()
});

fn text(
    status: redlock_status,
    unknown: &'static CStr,
    part: impl Fn(&Text) -> &CString,
) -> *const c_char {
    guard::value(unknown.as_ptr(), || {
        let text = TEXTS.iter().find(|text| text.status.code() == status);
        text.map_or(unknown, |text| part(text)).as_ptr()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_crate_s_codes() {
        let constants = [
            REDLOCK_OK,
            REDLOCK_ERR_CONTENDED,
            REDLOCK_ERR_NO_QUORUM,
            REDLOCK_ERR_EXPIRED,
            REDLOCK_ERR_CANCELLED,
            REDLOCK_ERR_RELEASED,
            REDLOCK_ERR_INVALID_ARGUMENT,
            REDLOCK_ERR_FORKED,
            REDLOCK_ERR_CLOSED,
            REDLOCK_ERR_SYSTEM,
            REDLOCK_ERR_INTERNAL,
            REDLOCK_ERR_TIMEOUT,
            REDLOCK_ERR_UNREACHABLE,
            REDLOCK_ERR_SERVER,
            REDLOCK_ERR_NOT_ADMITTED,
            REDLOCK_ERR_UNANSWERED,
        ];
        assert_eq!(constants, Status::ALL.map(Status::code));
    }
}
