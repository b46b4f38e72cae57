//! Error objects: a code, a message, and each node's part.

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

use once_cell::sync::OnceCell;

use super::guard;
use super::handle::{find, free, handle, publish};
use super::registry::Ends;
use super::status::{REDLOCK_ERR_INVALID_ARGUMENT, REDLOCK_OK, redlock_status};
use super::string::c_string;
use crate::Error;

/// Why a function failed: a status, a message, and what each node had to say about it.
///
/// Made by the library, through the last parameter of the functions that can fail and in events; it belongs to the caller,
/// who frees it with redlock_error_free(). It never changes, so any number of threads may read it at once.
pub struct redlock_error;

pub(super) struct ErrorHandle {
    error: Error,
    // Made when first asked for: most errors are looked at by their code alone.
    texts: OnceCell<Texts>,
}

handle!(ErrorHandle, redlock_error, 5, "error");

impl Ends for ErrorHandle {}

struct Texts {
    message: CString,
    nodes: Vec<NodeTexts>,
}

struct NodeTexts {
    address: CString,
    message: CString,
}

/// Gives the code of an error; it is the status that the function returned.
///
/// Does not block; any thread.
///
/// @param error the error; NULL gives `REDLOCK_OK`, and what is no live error `REDLOCK_ERR_INVALID_ARGUMENT`
/// @return the code
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_code(error: *const redlock_error) -> redlock_status {
    guard::value(REDLOCK_ERR_INVALID_ARGUMENT, || {
        if error.is_null() {
            return REDLOCK_OK;
        }
        look(error, REDLOCK_ERR_INVALID_ARGUMENT, |handle| {
            handle.error.status().code()
        })
    })
}

/// Gives the message of an error: one line, in English, that says what failed, why, and what each failing node said.
///
/// Passwords never appear in it. Does not block; any thread.
///
/// @param error the error, or NULL
/// @return a string that lives until redlock_error_free() of the error; never NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_message(error: *const redlock_error) -> *const c_char {
    guard::value(c"no message".as_ptr(), || {
        if error.is_null() {
            return c"no error".as_ptr();
        }
        let unknown = c"the error handle was freed or never existed".as_ptr();
        look(error, unknown, |handle| handle.texts().message.as_ptr())
    })
}

/// Gives the number of nodes whose part an error tells: all nodes of the factory, or 0 where no node was asked.
///
/// Does not block; any thread.
///
/// @param error the error, or NULL
/// @return the number; 0 for NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_node_count(error: *const redlock_error) -> usize {
    guard::value(0, || look(error, 0, |handle| handle.error.nodes().len()))
}

/// Gives the address of the node `i`: its URL, without user and password.
///
/// Does not block; any thread.
///
/// @param error the error, or NULL
/// @param i 0 to redlock_error_node_count() - 1; the order is that of the factory's URLs
/// @return a string that lives until redlock_error_free() of the error; NULL when there is no such node
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_node_address(
    error: *const redlock_error,
    i: usize,
) -> *const c_char {
    node_text(error, i, |node| &node.address)
}

/// Gives what the node `i` did: `REDLOCK_OK` when it voted for the operation, `REDLOCK_ERR_CONTENDED` when another owner
/// holds the lock there, or one of the codes from `REDLOCK_ERR_TIMEOUT` on.
///
/// Does not block; any thread.
///
/// @param error the error, or NULL
/// @param i 0 to redlock_error_node_count() - 1; the order is that of the factory's URLs
/// @return the node's status; `REDLOCK_ERR_INVALID_ARGUMENT` when there is no such node
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_node_status(
    error: *const redlock_error,
    i: usize,
) -> redlock_status {
    guard::value(REDLOCK_ERR_INVALID_ARGUMENT, || {
        look(error, REDLOCK_ERR_INVALID_ARGUMENT, |handle| {
            let node = handle.error.nodes().get(i);
            node.map_or(REDLOCK_ERR_INVALID_ARGUMENT, |node| node.status.code())
        })
    })
}

/// Gives what happened at the node `i`, in one line; the server's own words where there are some.
///
/// Does not block; any thread.
///
/// @param error the error, or NULL
/// @param i 0 to redlock_error_node_count() - 1; the order is that of the factory's URLs
/// @return a string that lives until redlock_error_free() of the error; NULL when there is no such node
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_node_message(
    error: *const redlock_error,
    i: usize,
) -> *const c_char {
    node_text(error, i, |node| &node.message)
}

/// Frees an error, and with it every string that was taken from it.
///
/// NULL, and what is no live error, is ignored. Does not block; any thread.
///
/// @param error the error, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_error_free(error: *mut redlock_error) {
    guard::value((), || free::<ErrorHandle>(error));
}

/// Sets `*err` to NULL.
///
/// # Safety
/// `err` is NULL or can be written to.
pub(super) unsafe fn clear(err: *mut *mut redlock_error) {
    if !err.is_null() {
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        unsafe { err.write(null_mut()) };
    }
}

/// Gives an error to the caller through `*err`, if the caller wants it.
///
/// # Safety
/// `err` is NULL or can be written to.
pub(super) unsafe fn store(err: *mut *mut redlock_error, error: Error) {
    if !err.is_null() {
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        unsafe { err.write(give(error)) };
    }
}

/// Gives an error to the caller; NULL when there are no handles left, and only the status tells.
pub(super) fn give(error: Error) -> *mut redlock_error {
    let texts = OnceCell::new();
    publish(ErrorHandle { error, texts }).unwrap_or(null_mut())
}

impl ErrorHandle {
    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            message: c_string(self.error.to_string()),
            nodes: self.nodes(),
        })
    }

    fn nodes(&self) -> Vec<NodeTexts> {
        let nodes = self.error.nodes().iter().map(|node| NodeTexts {
            address: c_string(node.address.as_str()),
            message: c_string(node.message.as_str()),
        });
        nodes.collect()
    }
}

fn look<T>(error: *const redlock_error, otherwise: T, part: impl Fn(&ErrorHandle) -> T) -> T {
    match find::<ErrorHandle>(error, "error") {
        Ok(handle) => part(&handle),
        Err(_) => otherwise,
    }
}

fn node_text(
    error: *const redlock_error,
    i: usize,
    part: impl Fn(&NodeTexts) -> &CString,
) -> *const c_char {
    guard::value(null(), || {
        look(error, null(), |handle| {
            let node = handle.texts().nodes.get(i);
            node.map_or(null(), |node| part(node).as_ptr())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::Status;
    use crate::error::NodeReport;

    fn read(text: *const c_char) -> &'static str {
        // SAFETY: as the caller promises.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap()
    }

    #[test]
    fn an_error_tells_its_message_and_each_nodes_part() {
        let nodes = vec![
            NodeReport {
                address: "redis://a:1/0".to_owned(),
                status: Status::Ok,
                message: "granted".to_owned(),
            },
            NodeReport {
                address: "redis://b:1/0".to_owned(),
                status: Status::Unreachable,
                message: "connection refused".to_owned(),
            },
        ];
        let error = give(Error::with_nodes(Status::NoQuorum, "1 of 2", nodes));
        assert_eq!(redlock_error_code(error), Status::NoQuorum.code());
        assert_eq!(redlock_error_node_count(error), 2);
        assert_eq!(
            read(redlock_error_message(error)),
            "1 of 2; redis://b:1/0: connection refused"
        );
        assert_eq!(read(redlock_error_node_address(error, 0)), "redis://a:1/0");
        assert_eq!(redlock_error_node_status(error, 0), REDLOCK_OK);
        assert_eq!(
            read(redlock_error_node_message(error, 1)),
            "connection refused"
        );
        assert!(redlock_error_node_address(error, 2).is_null());
        assert!(redlock_error_node_message(error, usize::MAX).is_null());
        assert_eq!(
            redlock_error_node_status(error, 2),
            REDLOCK_ERR_INVALID_ARGUMENT
        );
        redlock_error_free(error);
        assert_eq!(redlock_error_code(error), REDLOCK_ERR_INVALID_ARGUMENT);
        assert_eq!(
            read(redlock_error_message(error)),
            "the error handle was freed or never existed"
        );
        redlock_error_free(error);
    }
}
