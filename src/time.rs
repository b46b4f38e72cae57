//! Points in time and durations, as numbers. What they are read from is in [`clock`](crate::clock).

/// A point in time, in nanoseconds since an arbitrary origin (the machine's start), or a duration.
pub(crate) type Nanos = u64;

/// One microsecond.
pub(crate) const MICROSECOND: Nanos = 1_000;
/// One millisecond.
pub(crate) const MILLISECOND: Nanos = 1_000_000;

/// A number of milliseconds, capped at what `Nanos` can hold.
pub(crate) fn from_ms(ms: u64) -> Nanos {
    ms.saturating_mul(MILLISECOND)
}
