//! Options: a handle with one setter, and the table that documents them.

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

use once_cell::sync::Lazy;

use super::arguments::{out, text};
use super::call;
use super::error::redlock_error;
use super::guard;
use super::handle::{find, free, handle, publish};
use super::registry::Ends;
use super::status::redlock_status;
use super::string::c_string;
use crate::Options;

/// Settings for a factory, each a name and a value: redlock_options_set().
///
/// Made by redlock_options_new(), freed by redlock_options_free(). A factory copies what it needs: options can be changed or
/// freed after redlock_factory_new(), and serve any number of factories. Any thread may use them, several at once too.
pub struct redlock_options;

pub(super) struct OptionsHandle(Mutex<Options>);

handle!(OptionsHandle, redlock_options, 4, "options");

impl Ends for OptionsHandle {}

impl OptionsHandle {
    /// What is set at the moment.
    pub(super) fn current(&self) -> Options {
        self.with(|options| options.clone())
    }

    fn with<T>(&self, action: impl FnOnce(&mut Options) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes options in which everything has its default.
///
/// Does not block; any thread.
///
/// @param out receives the options, which the caller frees with redlock_options_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`, `REDLOCK_ERR_INVALID_ARGUMENT` or `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_options_new(
    out: *mut *mut redlock_options,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            *out = publish(OptionsHandle(Mutex::new(Options::new())))?;
            Ok(())
        })
    }
}

/// Sets one option.
///
/// The names, defaults and allowed values are in docs/OPTIONS.md and in the table of redlock_option_count(). Does not block;
/// any thread.
///
/// @param options the options; not NULL
/// @param name the name of the option, such as "node_timeout_ms"; not NULL
/// @param value its value as text, such as "50"; not NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT` for an unknown name or a value that is not allowed: the message says
///         what is, and the options are as before
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_options_set(
    options: *mut redlock_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let options = find::<OptionsHandle>(options, "options")?;
            let (name, value) = (text(name, "name")?, text(value, "value")?);
            options.with(|options| options.set(name, value))
        })
    }
}

/// Frees options. Factories made with them are not affected.
///
/// NULL, and what is no live handle of options, is ignored. Does not block; any thread.
///
/// @param options the options, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_options_free(options: *mut redlock_options) {
    guard::value((), || free::<OptionsHandle>(options));
}

/// Gives the number of options that there are: the length of the table that redlock_option_name(), redlock_option_default()
/// and redlock_option_description() read.
///
/// Does not block; any thread.
///
/// @return the number
#[unsafe(no_mangle)]
pub extern "C" fn redlock_option_count() -> usize {
    guard::value(0, || TABLE.len())
}

/// Gives the name of the option `i`.
///
/// Does not block; any thread.
///
/// @param i 0 to redlock_option_count() - 1
/// @return a static string; NULL when there is no such option
#[unsafe(no_mangle)]
pub extern "C" fn redlock_option_name(i: usize) -> *const c_char {
    column(i, |row| &row.name)
}

/// Gives the default value of the option `i`.
///
/// Does not block; any thread.
///
/// @param i 0 to redlock_option_count() - 1
/// @return a static string, empty where nothing is set by default; NULL when there is no such option
#[unsafe(no_mangle)]
pub extern "C" fn redlock_option_default(i: usize) -> *const c_char {
    column(i, |row| &row.default)
}

/// Gives what the option `i` does and which values are allowed, in English.
///
/// Does not block; any thread.
///
/// @param i 0 to redlock_option_count() - 1
/// @return a static string; NULL when there is no such option
#[unsafe(no_mangle)]
pub extern "C" fn redlock_option_description(i: usize) -> *const c_char {
    column(i, |row| &row.description)
}

struct Row {
    name: CString,
    default: CString,
    description: CString,
}

static TABLE: Lazy<Vec<Row>> = Lazy::new(|| {
    let table = Options::table();
    let rows = table.iter().map(|option| Row {
        name: c_string(option.name),
        default: c_string(option.default),
        description: c_string(format!("{} Values: {}.", option.description, option.values)),
    });
    rows.collect()
});

fn column(i: usize, part: impl Fn(&Row) -> &CString) -> *const c_char {
    guard::value(null(), || {
        TABLE.get(i).map_or(null(), |row| part(row).as_ptr())
    })
}
