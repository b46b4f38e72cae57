//! What a fork leaves behind: a child has none of its parent's threads, so it must not touch its parent's engine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
        // SAFETY: the handler only adds to an atomic, which is allowed in a forked child; the library is never
        // unloaded (`-z nodelete`), so the handler stays valid.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
}
