//! Signals that end `testkit`: they are passed on to the command, so that the servers are stopped in an orderly way.

use std::sync::atomic::{AtomicI32, Ordering};

/// The last signal that came, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
/// Who gets the signals, or 0.
static RECEIVER: AtomicI32 = AtomicI32::new(0);

/// Catches SIGINT, SIGTERM and SIGHUP from now on.
pub(crate) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the action is fully initialised, and the handler does only what is async-signal-safe. Without
        // SA_RESTART a signal interrupts the reading of standard input.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction =
                handle as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    CAUGHT.store(signal, Ordering::SeqCst);
    let receiver = RECEIVER.load(Ordering::SeqCst);
    // SAFETY: the kernel passes a valid siginfo.
    let from_a_process = unsafe { (*info).si_code } <= 0;
    // A signal from the terminal goes to the command anyway, which is in the same process group.
    if receiver > 0 && from_a_process {
        // SAFETY: kill takes two integers and is async-signal-safe.
        unsafe { libc::kill(receiver, signal) };
    }
}

/// The last signal that came, or 0.
pub(crate) fn caught() -> i32 {
    CAUGHT.load(Ordering::SeqCst)
}

/// Passes signals on to this process from now on; 0 means to nobody.
pub(crate) fn forward_to(pid: u32) {
    let pid = i32::try_from(pid).expect("a process id fits into pid_t");
    RECEIVER.store(pid, Ordering::SeqCst);
    let early = CAUGHT.load(Ordering::SeqCst);
    if pid > 0 && early != 0 {
        // SAFETY: kill takes two integers.
        unsafe { libc::kill(pid, early) };
    }
}

/// Reads standard input to its end, or until a signal comes.
pub(crate) fn wait_for_end_of_input() {
    let mut buffer = [0_u8; 4096];
    while caught() == 0 {
        // SAFETY: the buffer is as long as said. The standard library's read would go on after a signal.
        let read =
            unsafe { libc::read(libc::STDIN_FILENO, buffer.as_mut_ptr().cast(), buffer.len()) };
        if read <= 0 {
            return;
        }
    }
}
