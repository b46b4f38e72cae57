//! The one clock of the library: it never runs backwards and does not stop while the machine sleeps.

pub(crate) use crate::time::{MILLISECOND, Nanos};

/// Now. `CLOCK_BOOTTIME` where there is one: a lock's validity must go on running out while the machine is
/// suspended, because the servers' clocks do. The wall clock is never asked.
pub(crate) fn now() -> Nanos {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to; the call cannot fail for a clock that exists.
    unsafe { libc::clock_gettime(CLOCK, &mut time) };
    time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos
}

/// What the wall clock shows more than this one, in us. Only a guess at the time, never a measure of it.
pub(crate) fn wall_offset_us() -> i64 {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    since_1970.as_micros() as i64 - (now() / 1_000) as i64
}
