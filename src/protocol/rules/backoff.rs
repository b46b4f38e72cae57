//! How long to wait before trying again: longer each time, up to a bound, and never all at the same moment.

use crate::time::Nanos;

/// Exponential back-off with jitter: the n-th delay is drawn evenly from the upper half of `min * 2^n`, capped at
/// `max`. The lower half is left out so that a failing attempt always costs some rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    min: Nanos,
    max: Nanos,
    failures: u32,
}

impl Backoff {
    /// Delays between `min / 2` and `max`.
    pub(crate) fn new(min: Nanos, max: Nanos) -> Backoff {
        Backoff {
            min,
            max: max.max(min),
            failures: 0,
        }
    }

    /// The next delay, from a number drawn evenly from all of `u64`.
    pub(crate) fn next(&mut self, random: u64) -> Nanos {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        let spread = (u128::from(random) * u128::from(ceiling - half + 1)) >> 64;
        half + spread as Nanos
    }

    /// Success: the next delay is a short one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn ceiling(&self) -> Nanos {
        let factor = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stays_within_its_bounds(
            min in 1..1_000_000_000u64,
            span in 0..1_000_000_000_000u64,
            draws in proptest::collection::vec(any::<u64>(), 1..100),
        ) {
            let mut backoff = Backoff::new(min, min + span);
            for random in draws {
                let delay = backoff.next(random);
                prop_assert!(delay >= min / 2 && delay <= min + span);
            }
        }
    }

    #[test]
    fn doubles_up_to_the_bound_and_starts_over() {
        let mut backoff = Backoff::new(10, 70);
        let longest: Vec<_> = (0..5).map(|_| backoff.next(u64::MAX)).collect();
        assert_eq!(longest, [10, 20, 40, 70, 70]);
        backoff.reset();
        assert_eq!(backoff.next(0), 5);
    }

    #[test]
    fn jitter_uses_the_whole_upper_half() {
        let draw = |random| Backoff::new(1_000, 1_000).next(random);
        assert_eq!(draw(0), 500);
        assert_eq!(draw(u64::MAX), 1_000);
        assert!((740..760).contains(&draw(u64::MAX / 2)));
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff::new(10, u64::MAX);
        for _ in 0..1_000 {
            backoff.next(u64::MAX);
        }
    }
}
