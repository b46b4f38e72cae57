//! The library's own threads, and signals, which go to the application's threads instead.

use std::io;
use std::thread;

/// Stack of our threads, in bytes. A TLS handshake and a name look-up fit.
const STACK: usize = 512 * 1024;

/// Starts a thread that takes no signals: those are the application's, and go to its own threads.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_with_stack(name, STACK, body)
}

/// As `spawn`, for a thread that runs the application's code.
pub(crate) fn spawn_for_callbacks(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    spawn_with_stack(name, 4 * STACK, body)
}

fn spawn_with_stack(
    name: &str,
    stack: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack);
    let blocked = BlockedSignals::new();
    let spawned = builder.spawn(body);
    drop(blocked);
    spawned.map(drop)
}

/// All signals blocked in this thread, until dropped. A new thread inherits its maker's mask.
pub(crate) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    pub(crate) fn new() -> BlockedSignals {
        // SAFETY: both sets live through the calls, which cannot fail for these arguments.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            BlockedSignals { before }
        }
    }

    /// Does something during which signals are taken as before.
    pub(crate) fn while_let_through<T>(&self, action: impl FnOnce() -> T) -> T {
        self.restore();
        let result = action();
        std::mem::forget(BlockedSignals::new());
        result
    }

    fn restore(&self) {
        // SAFETY: the mask is the one that this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        self.restore();
    }
}
