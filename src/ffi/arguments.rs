//! Arguments from C: each is checked once, in the same words, and named by its parameter.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use crate::{Error, MAX_RESOURCES, Result, Wait};

/// Gives the place for a result, which holds `initial` from now on, so that a failure leaves nothing stale in it.
///
/// # Safety
/// `pointer` is NULL or can be written to for `'a`.
pub(super) unsafe fn out<'a, T: Copy>(
    pointer: *mut T,
    initial: T,
    parameter: &str,
) -> Result<&'a mut T> {
    if pointer.is_null() {
        return Err(null(parameter));
    }
    // `write`, because C does not have to initialise it.
    // SAFETY: it is not NULL, and otherwise as the caller promises.
    unsafe { pointer.write(initial) };
    // SAFETY: it is not NULL, and otherwise as the caller promises.
    Ok(unsafe { &mut *pointer })
}

/// Gives the text of a C string.
///
/// # Safety
/// `pointer` is NULL, or a string that ends in NUL and lives for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, parameter: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(parameter));
    }
    // SAFETY: it is not NULL, and otherwise as the caller promises.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|error| {
        let at = error.valid_up_to();
        Error::invalid(format!("{parameter} is not valid UTF-8 (at byte {at})"))
    })
}

/// Gives the text of a C string, or nothing for NULL.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn optional_text<'a>(
    pointer: *const c_char,
    parameter: &str,
) -> Result<Option<&'a str>> {
    match pointer.is_null() {
        true => Ok(None),
        // SAFETY: it is not NULL, and otherwise as the caller promises.
        false => unsafe { text(pointer, parameter) }.map(Some),
    }
}

/// Gives each text of an array of C strings.
///
/// # Safety
/// `pointer` is NULL, or an array of `n` pointers, each as `text` wants them.
pub(super) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    n: usize,
    parameter: &str,
) -> Result<Vec<&'a str>> {
    if n > 0 && pointer.is_null() {
        return Err(Error::invalid(format!("{parameter} is NULL, but n is {n}")));
    }
    // Grows as it reads: an absurd `n` must not become an allocation that aborts.
    let mut texts = Vec::new();
    for i in 0..n {
        let element = format!("{parameter}[{i}]");
        // SAFETY: as the caller promises.
        texts.push(unsafe { text(*pointer.add(i), &element) }?);
    }
    Ok(texts)
}

/// Gives the names in an array of resources.
///
/// # Safety
/// As for `texts`.
pub(super) unsafe fn resources<'a>(
    pointer: *const *const c_char,
    n: usize,
) -> Result<Vec<&'a str>> {
    // Before the array is read: a number that is far too large is a mistake, and what it would read is not the caller's.
    if n > MAX_RESOURCES {
        return Err(Error::invalid(format!(
            "n is {n}; at most {MAX_RESOURCES} resources can be locked at once"
        )));
    }
    // SAFETY: as the caller promises.
    unsafe { texts(pointer, n, "resources") }
}

/// Milliseconds to wait: -1 for ever, 0 not at all.
pub(super) fn wait(wait_ms: i64) -> Result<Wait> {
    match wait_ms {
        0 => Ok(Wait::No),
        _ => Ok(timeout(wait_ms, "wait_ms")?.map_or(Wait::Forever, Wait::For)),
    }
}

/// Milliseconds of patience: -1, for ever, is `None`.
pub(super) fn timeout(milliseconds: i64, parameter: &str) -> Result<Option<Duration>> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        Err(_) if milliseconds == -1 => Ok(None),
        Err(_) => Err(Error::invalid(format!(
            "{parameter} is {milliseconds}: it must be -1 (for ever), 0 (not at all) or a number of milliseconds"
        ))),
    }
}

/// The error about a parameter that must not be NULL.
pub(super) fn null(parameter: &str) -> Error {
    Error::invalid(format!("{parameter} is NULL"))
}

/// Whole milliseconds, rounded down, at most what C can say.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
