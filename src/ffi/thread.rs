//! Handles that end with their thread: for runtimes whose threads can be stopped without a last word, as Node's workers.

use std::cell::RefCell;

use super::error::{ErrorHandle, redlock_error_free};
use super::factory::{FactoryHandle, redlock_factory_free};
use super::guard;
use super::handle::is_live;
use super::holder::{HolderHandle, redlock_holder_free};
use super::lock::{LockHandle, redlock_lock_free};
use super::options::{OptionsHandle, redlock_options_free};
use super::queue::{QueueHandle, redlock_queue_free};

thread_local! {
    static OWNED: RefCell<Option<Owned>> = const { RefCell::new(None) };
}

/// The handles that one thread made and that may still be live. It is dropped when the thread ends.
struct Owned {
    handles: Vec<usize>,
    /// With so many, those that were freed meanwhile are taken out.
    sift_at: usize,
}

/// So many handles are kept without looking whether they are live.
const FEW: usize = 64;

impl Owned {
    fn add(&mut self, handle: usize) {
        self.handles.push(handle);
        if self.handles.len() >= self.sift_at {
            self.handles.retain(|&handle| is_live_at_all(handle));
            self.sift_at = FEW.max(2 * self.handles.len());
        }
    }

    /// Calls a `_free` function with every handle: it ignores those of other types, and those that were freed.
    fn free<T>(&self, free: extern "C" fn(*mut T)) {
        for &handle in &self.handles {
            free(handle as *mut T);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.free(redlock_queue_free);
        self.free(redlock_holder_free);
        self.free(redlock_lock_free);
        self.free(redlock_error_free);
        self.free(redlock_options_free);
        // The last, because it waits for the releases of the locks.
        self.free(redlock_factory_free);
    }
}

fn is_live_at_all(handle: usize) -> bool {
    is_live::<QueueHandle>(handle)
        || is_live::<HolderHandle>(handle)
        || is_live::<LockHandle>(handle)
        || is_live::<ErrorHandle>(handle)
        || is_live::<OptionsHandle>(handle)
        || is_live::<FactoryHandle>(handle)
}

/// A handle was made: in a thread that frees its handles when it ends, it is one of them.
pub(super) fn made(handle: usize) {
    // A thread that is ending makes handles for nobody.
    let _ = OWNED.try_with(|owned| {
        if let Some(owned) = owned.borrow_mut().as_mut() {
            owned.add(handle);
        }
    });
}

/// Has every handle that the calling thread makes or receives from now on freed when the thread ends.
///
/// For threads that can be ended without a last word of their own code, such as the workers of a language's runtime: locks that
/// they hold are released, what they were about to acquire is not won for nobody, and connections are closed. Only for threads
/// that share no handles with others. The end of the main thread is that of the process, where nothing is freed. Does not
/// block; any thread. The end of the thread may take as long as redlock_factory_free().
#[unsafe(no_mangle)]
pub extern "C" fn redlock_free_at_thread_end() {
    guard::value((), || {
        OWNED.with_borrow_mut(|owned| {
            owned.get_or_insert(Owned {
                handles: Vec::new(),
                sift_at: FEW,
            });
        });
    });
}
