//! The version of the library that runs.

use std::ffi::{CStr, c_char};

use super::guard;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the version contains a NUL"),
    };

/// Gives the version of the library that runs, such as "0.1.0".
///
/// `REDLOCK_VERSION` is that of the header that was compiled against. Does not block; any thread.
///
/// @return a static string, never NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_version() -> *const c_char {
    guard::value(VERSION.as_ptr(), || VERSION.as_ptr())
}

/// Gives the version of the library that runs as a number: major * 10000 + minor * 100 + patch.
///
/// `REDLOCK_VERSION_NUMBER` is that of the header that was compiled against. Does not block; any thread.
///
/// @return the number, such as 100 for 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn redlock_version_number() -> u32 {
    guard::value(0, || {
        part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
            + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
            + part(env!("CARGO_PKG_VERSION_PATCH"))
    })
}

fn part(digits: &str) -> u32 {
    digits.parse().unwrap_or(0)
}
