//! The table of the strings that callers hold.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

pub(super) type Strings = HashMap<usize, CString>;

/// The strings that callers hold, by address: so that only such a string is ever freed, and only once.
static STRINGS: Lazy<Mutex<Strings>> = Lazy::new(Mutex::default);

/// Locks the table of strings.
pub(super) fn lock_all() -> MutexGuard<'static, Strings> {
    STRINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
