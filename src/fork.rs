//! What a fork leaves behind: a child has none of its parent's threads, so it must not touch its parent's engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use once_cell::sync::OnceCell;

use crate::descriptors;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static WATCHING: AtomicBool = AtomicBool::new(false);

/// How many forks lie between this process and the one that loaded the library. Whatever was made in another
/// generation belongs to an ancestor.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// Begins to count forks; called before anything exists that a fork could tear.
pub(crate) fn watch() {
    if !WATCHING.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler does only what is allowed in a forked child; the library is never unloaded
        // (`-z nodelete`), so the handler stays valid.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    descriptors::close_inherited();
}

/// One value per process: a forked child gets its own, and the parent's stays untouched in its memory, since the
/// threads that could put it in order do not exist there.
///
/// Reading it takes no lock, which another thread could hold at the moment of a fork. What arc-swap leaves unfinished
/// then is a reference too many to a value of the parent's, which is never given back anyway.
pub(crate) struct PerProcess<T: 'static>(ArcSwapOption<Generation<T>>);

struct Generation<T: 'static> {
    number: u64,
    value: OnceCell<&'static T>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(ArcSwapOption::const_empty())
    }

    /// This process's value, which is made if it is the first time. It is never freed.
    pub(crate) fn get_or_try_init<E>(
        &self,
        make: impl FnOnce() -> Result<&'static T, E>,
    ) -> Result<&'static T, E> {
        watch();
        loop {
            let latest = self.0.load();
            if let Some(present) = &*latest
                && present.number == generation()
            {
                return present.value.get_or_try_init(make).copied();
            }
            let fresh = Arc::new(Generation {
                number: generation(),
                value: OnceCell::new(),
            });
            // Whether or not this thread's was the first: the next round looks at the one that is there.
            drop(self.0.compare_and_swap(&*latest, Some(fresh)));
        }
    }
}
