//! Forks: the tables of handles are locked by the forking thread across a fork, so that they are whole and free in the child.

use std::any::Any;
use std::cell::RefCell;
use std::sync::RwLockWriteGuard;

use once_cell::sync::OnceCell;

use super::error::ErrorHandle;
use super::factory::FactoryHandle;
use super::handle::Handle;
use super::holder::HolderHandle;
use super::lock::LockHandle;
use super::options::OptionsHandle;
use super::queue::QueueHandle;
use super::registry::Shard;
use super::string;
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
        hold::<FactoryHandle>(&mut held);
        hold::<LockHandle>(&mut held);
        hold::<HolderHandle>(&mut held);
        hold::<QueueHandle>(&mut held);
        hold::<OptionsHandle>(&mut held);
        hold::<ErrorHandle>(&mut held);
        held.push(Box::new(string::lock_all()));
    });
}

extern "C" fn after() {
    let _ = HELD.try_with(|held| held.borrow_mut().clear());
}

fn hold<T: Handle>(held: &mut Vec<Box<dyn Any>>) {
    let shards: Vec<RwLockWriteGuard<'static, Shard<T>>> = T::registry().lock_all();
    held.push(Box::new(shards));
}
