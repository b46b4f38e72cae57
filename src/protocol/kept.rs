//! Locks that are kept alive: when they are extended, and when they are given up.

use std::sync::Weak;

use super::grant::Grant;
use super::host::Host;
use crate::time::{MILLISECOND, Nanos};

/// One lock that is kept alive.
pub(crate) struct Kept<H: Host> {
    pub(crate) grant: Weak<Grant>,
    /// Which call to keep the lock alive this is.
    pub(crate) call: u32,
    /// Who is told of a loss.
    pub(crate) observer: H::Observer,
    /// When there is something to do next; a timer that is due before is an old one.
    pub(crate) due: Nanos,
    /// Whether an extension is under way.
    pub(crate) asking: bool,
}

/// In how long a lock is to be extended of whose validity so much is left: when a third of its TTL has passed.
pub(crate) fn next_after(ttl_ms: u64, validity: Nanos) -> Nanos {
    validity.saturating_sub(ttl_ms * MILLISECOND / 3 * 2)
}

/// The same for the first time: a little earlier, so that many locks that were taken at once are not extended at once.
pub(crate) fn first_after(ttl_ms: u64, validity: Nanos, random: u64) -> Nanos {
    let after = next_after(ttl_ms, validity);
    after - ((u128::from(random) * u128::from(after / 4)) >> 64) as Nanos
}

/// How long an extension may take that begins with so much validity left, until the lock is given up.
pub(crate) fn patience(ttl_ms: u64, validity: Nanos) -> Nanos {
    validity
        .saturating_sub(notice_time(ttl_ms))
        .max(validity / 2)
}

/// When it is tried again after a failure that may pass.
pub(crate) fn again_after(ttl_ms: u64) -> Nanos {
    (ttl_ms * MILLISECOND / 20).max(MILLISECOND)
}

/// How long before the end of its validity a lock that could not be extended is given up, so that its owner still has
/// time to stop.
pub(crate) fn notice_time(ttl_ms: u64) -> Nanos {
    ttl_ms * MILLISECOND / 10
}
