//! The proof that a thread does not hold the core's mutex.

/// Says that the core's mutex is not held by this thread: what is called with it may be the application's code, which may call
/// the library.
pub(super) struct Unlocked(());

impl Unlocked {
    /// For [`delivery`](super::delivery), where the mutex has been let go.
    pub(super) fn new() -> Unlocked {
        Unlocked(())
    }
}
