//! From when on a node may vote: a master that restarted without its data has forgotten locks that it granted.
//!
//! The Redlock specification's remedy ("delayed restarts") is to keep such a node out for as long as the longest TTL in
//! use: whatever it granted has run out by then. A restart breaks the connection, so each new one is judged.

use crate::time::{self, MILLISECOND, Nanos};

/// How a node that may have lost its data is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartGuard {
    /// It is kept out, except when all nodes of the set are new.
    Auto,
    /// It is kept out.
    Strict,
    /// It votes at once.
    Off,
}

/// Server uptimes are whole seconds.
const UPTIME_RESOLUTION_MS: u64 = 1_000;
/// The least time for which a node is kept out, so that a fence that it forgot is below its clock's window: twice the
/// window (1 s each way), the resolution, and as much again for the nodes' clocks to differ.
const LEAST_KEPT_OUT_MS: u64 = 5_000;

/// How long a boot must have lasted before it may vote.
pub(crate) fn probation_ms(max_ttl_ms: u64) -> u64 {
    max_ttl_ms.max(LEAST_KEPT_OUT_MS) + UPTIME_RESOLUTION_MS
}

/// What is known of the present boot of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boot {
    /// By the server's own account; `None` if it does not tell.
    pub(crate) uptime_s: Option<u64>,
    /// By the operator's word every write has been on disk before it was answered, by the boots before this one too, so that
    /// a restart forgets nothing. What the present boot tells of itself is no evidence for those.
    pub(crate) forgets_nothing: bool,
    /// Some client found that the boot had lasted long enough, or an operator vouched for it.
    pub(crate) witnessed: bool,
    /// This client knew the server under another boot.
    pub(crate) replaced_another: bool,
    /// Other nodes of the set were known to be old when this client first saw this boot: the set was not just started.
    pub(crate) came_late: bool,
    /// When this client first saw this boot, by its own clock.
    pub(crate) seen_at: Nanos,
    /// When the server told its uptime.
    pub(crate) told_at: Nanos,
}

/// When a boot may vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// At once.
    Trusted,
    /// From then on; or at once if all nodes of the set are as new as this one, and `auto` is in force.
    At {
        when: Nanos,
        exempt_if_all_new: bool,
    },
    /// Not at all: it does not tell its age, and `strict` is in force.
    Unknown,
}

/// Judges a boot.
pub(crate) fn judge(guard: RestartGuard, boot: Boot, max_ttl_ms: u64) -> Admission {
    if guard == RestartGuard::Off || boot.forgets_nothing || boot.witnessed {
        return Admission::Trusted;
    }
    let probation_ms = probation_ms(max_ttl_ms);
    let by_uptime = match boot.uptime_s {
        Some(uptime) => {
            let left = probation_ms.saturating_sub(uptime.saturating_mul(1_000));
            boot.told_at + time::from_ms(left)
        }
        None if guard == RestartGuard::Strict => return Admission::Unknown,
        // Reported, and trusted: there is nothing else to go by.
        None if !boot.replaced_another => return Admission::Trusted,
        None => boot.told_at,
    };
    // The uptime follows the server's wall clock, which may have been set. Our own clock does not lie.
    let when = match boot.replaced_another {
        true => by_uptime.max(boot.seen_at + time::from_ms(probation_ms)),
        false => by_uptime,
    };
    if when <= boot.told_at {
        return Admission::Trusted;
    }
    Admission::At {
        when,
        exempt_if_all_new: guard == RestartGuard::Auto && !boot.replaced_another && !boot.came_late,
    }
}

impl Admission {
    /// Whether the node may vote at `now`, `all_new` being whether no node of the set is known to be older.
    pub(crate) fn votes(self, now: Nanos, all_new: bool) -> bool {
        match self {
            Admission::Trusted => true,
            Admission::At {
                when,
                exempt_if_all_new,
            } => now >= when || (exempt_if_all_new && all_new),
            Admission::Unknown => false,
        }
    }

    /// Whether the node was younger than the longest TTL when it was judged.
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Admission::At { .. })
    }

    /// How long it still has to wait, in ms, for messages.
    pub(crate) fn wait_ms(self, now: Nanos) -> Option<u64> {
        match self {
            Admission::At { when, .. } => Some(when.saturating_sub(now) / MILLISECOND),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_TTL: u64 = 120_000;
    const SEEN: Nanos = 7_000_000_000_000;

    fn boot(uptime_s: u64) -> Boot {
        Boot {
            uptime_s: Some(uptime_s),
            seen_at: SEEN,
            told_at: SEEN,
            ..Boot::default()
        }
    }

    fn at(ms: u64) -> Nanos {
        SEEN + time::from_ms(ms)
    }

    #[test]
    fn a_young_boot_waits_for_the_rest_of_the_longest_ttl() {
        let admission = judge(RestartGuard::Auto, boot(20), MAX_TTL);
        assert!(!admission.votes(at(100_999), false));
        assert!(admission.votes(at(101_000), false));
    }

    #[test]
    fn a_second_connection_to_a_boot_does_not_shorten_its_probation() {
        let again = Boot {
            told_at: at(60_000),
            ..boot(60)
        };
        let admission = judge(RestartGuard::Auto, again, MAX_TTL);
        assert!(!admission.votes(at(120_999), false));
        assert!(admission.votes(at(121_000), false));
    }

    #[test]
    fn an_old_boot_votes_at_once() {
        for guard in [RestartGuard::Auto, RestartGuard::Strict] {
            assert_eq!(judge(guard, boot(121), MAX_TTL), Admission::Trusted);
            assert_ne!(judge(guard, boot(120), MAX_TTL), Admission::Trusted);
        }
    }

    #[test]
    fn a_set_that_is_all_new_votes_at_once_under_auto_only() {
        assert!(judge(RestartGuard::Auto, boot(0), MAX_TTL).votes(SEEN, true));
        assert!(!judge(RestartGuard::Strict, boot(0), MAX_TTL).votes(SEEN, true));
    }

    #[test]
    fn a_new_node_among_old_ones_is_not_exempt() {
        let late = Boot {
            came_late: true,
            ..boot(0)
        };
        assert!(!judge(RestartGuard::Auto, late, MAX_TTL).votes(SEEN, true));
    }

    #[test]
    fn a_restart_that_this_client_saw_is_never_exempt_and_timed_by_its_own_clock() {
        let replaced = Boot {
            replaced_another: true,
            ..boot(3_601)
        };
        for guard in [RestartGuard::Auto, RestartGuard::Strict] {
            let admission = judge(guard, replaced, MAX_TTL);
            assert!(!admission.votes(at(120_999), true));
            assert!(admission.votes(at(121_000), true));
        }
    }

    #[test]
    fn what_is_vouched_for_or_persisted_or_unguarded_votes_at_once() {
        let witnessed = Boot {
            witnessed: true,
            ..boot(0)
        };
        let persisted = Boot {
            forgets_nothing: true,
            replaced_another: true,
            ..boot(0)
        };
        for boot in [witnessed, persisted] {
            let admission = judge(RestartGuard::Strict, boot, MAX_TTL);
            assert_eq!(admission, Admission::Trusted);
        }
        let admission = judge(RestartGuard::Off, boot(0), MAX_TTL);
        assert_eq!(admission, Admission::Trusted);
    }

    #[test]
    fn a_server_that_does_not_tell_its_age_is_refused_under_strict() {
        let silent = Boot {
            uptime_s: None,
            ..boot(0)
        };
        assert_eq!(
            judge(RestartGuard::Strict, silent, MAX_TTL),
            Admission::Unknown
        );
        assert_eq!(
            judge(RestartGuard::Auto, silent, MAX_TTL),
            Admission::Trusted
        );
    }

    #[test]
    fn a_short_longest_ttl_still_covers_the_ballots_window() {
        let admission = judge(RestartGuard::Auto, boot(0), 100);
        assert!(!admission.votes(at(5_999), false));
        assert!(admission.votes(at(6_000), false));
    }
}
