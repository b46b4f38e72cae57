//! Forks: the tables of handles are locked by the forking thread across a fork, so that they are whole and free in the child.

use std::any::Any;
use std::cell::RefCell;

use once_cell::sync::OnceCell;

use super::{registry, strings};
use crate::{Error, Result, Status};

thread_local! {
    /// The guards that the forking thread holds, from before the fork until after it on both sides.
    static HELD: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Registers the handlers; the first call does.
pub(super) fn prepare_for_forks() -> Result<()> {
    static REGISTERED: OnceCell<()> = OnceCell::new();
    REGISTERED.get_or_try_init(register).copied()
}

fn register() -> Result<()> {
    // SAFETY: the handlers live as long as the library, which is never unloaded.
    let code = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    match code {
        0 => Ok(()),
        _ => Err(Error::new(
            Status::System,
            format!(
                "pthread_atfork: {}",
                std::io::Error::from_raw_os_error(code)
            ),
        )),
    }
}

// No code that runs under one of these locks takes another or forks, so their order does not matter.
extern "C" fn before() {
    // A thread that forks while it ends has no thread-locals left: its child gets the tables as they are.
    let _ = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        held.extend(registry::tables().map(|table| table.hold()));
        held.push(Box::new(strings::lock_all()));
    });
}

extern "C" fn after() {
    let _ = HELD.try_with(|held| held.borrow_mut().clear());
}
