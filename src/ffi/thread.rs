//! Handles that end with their thread: for runtimes whose threads can be stopped without a last word, as Node's workers.

use std::cell::RefCell;

use super::{guard, registry};

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
}

impl Drop for Owned {
    /// Factories go last, because their end waits for the releases of the locks; theirs is the first of the kinds.
    fn drop(&mut self) {
        let tables: Vec<_> = registry::tables().collect();
        for table in tables.iter().rev() {
            for handle in &self.handles {
                guard::value((), || table.end(*handle));
            }
        }
    }
}

fn is_live_at_all(handle: usize) -> bool {
    registry::tables().any(|table| table.is_live(handle))
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
