//! Strings that belong to the caller.

use std::ffi::{CString, c_char};

use super::strings::lock_all;
use super::{atfork, guard};
use crate::Result;

/// Frees a string that a function of this library gave to the caller (as redlock_factory_check() does).
///
/// NULL, and a pointer that is no such string or was freed before, is ignored. Does not block; any thread.
///
/// @param string the string, or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_string_free(string: *mut c_char) {
    guard::value((), || {
        let string = lock_all().remove(&(string as usize));
        drop(string);
    });
}

/// Gives a string to the caller.
pub(super) fn give(text: String) -> Result<*mut c_char> {
    atfork::prepare_for_forks()?;
    let string = c_string(text);
    // The address stays the same when the string moves into the table: it is that of its heap memory.
    let address = string.as_ptr().cast_mut();
    lock_all().insert(address as usize, string);
    Ok(address)
}

/// A C string of a text; what comes after a NUL in it could not be seen from C, so NULs become spaces.
pub(super) fn c_string(text: impl Into<String>) -> CString {
    let text: String = text.into();
    CString::new(text).unwrap_or_else(|error| {
        let mut bytes = error.into_vec();
        for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
            *byte = b' ';
        }
        CString::new(bytes).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_bytes_do_not_cut_a_text() {
        assert_eq!(c_string("a\0b\0").to_str(), Ok("a b "));
    }

    #[test]
    fn only_live_strings_are_freed() {
        let string = give("text".to_owned()).unwrap();
        let mut foreign = *b"foreign\0";
        // SAFETY: the pointers are what this function's documentation demands of its caller.
        unsafe {
            redlock_string_free(foreign.as_mut_ptr().cast());
            redlock_string_free(std::ptr::null_mut());
            redlock_string_free(string);
            redlock_string_free(string);
        }
    }
}
