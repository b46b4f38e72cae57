//! How long a node usually takes to answer, estimated as TCP estimates its round trips (RFC 6298).

use crate::time::{MILLISECOND, Nanos};

/// The least that a timeout leaves for variation: RFC 6298's clock granularity.
const GRANULARITY: Nanos = MILLISECOND;

/// A smoothed round trip, and how much single ones differ from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    smoothed: Nanos,
    variation: Nanos,
}

impl RoundTrip {
    /// An estimate from one measurement (RFC 6298, 2.2).
    pub(crate) fn first(measured: Nanos) -> RoundTrip {
        RoundTrip {
            smoothed: measured,
            variation: measured / 2,
        }
    }

    /// Takes a further measurement into account (RFC 6298, 2.3). One that came late counts too: nothing is sent twice, so it
    /// is not ambiguous.
    pub(crate) fn measured(&mut self, round_trip: Nanos) {
        let difference = self.smoothed.abs_diff(round_trip);
        self.variation = (self.variation / 4)
            .saturating_mul(3)
            .saturating_add(difference / 4);
        self.smoothed = (self.smoothed / 8)
            .saturating_mul(7)
            .saturating_add(round_trip / 8);
    }

    /// What the node usually takes.
    pub(crate) fn usual(&self) -> Nanos {
        self.smoothed
    }

    /// After how long an answer is late.
    pub(crate) fn timeout(&self) -> Nanos {
        let variation = self.variation.saturating_mul(4).max(GRANULARITY);
        self.smoothed.saturating_add(variation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_measurement_leaves_room_for_twice_as_much_again() {
        let estimate = RoundTrip::first(80 * MILLISECOND);
        assert_eq!(estimate.usual(), 80 * MILLISECOND);
        assert_eq!(estimate.timeout(), 240 * MILLISECOND);
    }

    #[test]
    fn a_steady_link_is_waited_for_a_little_longer_than_it_takes() {
        let mut estimate = RoundTrip::first(80 * MILLISECOND);
        for _ in 0..100 {
            estimate.measured(80 * MILLISECOND);
        }
        let timeout = estimate.timeout() / MILLISECOND;
        assert!((80..=82).contains(&timeout), "{timeout} ms");
    }

    #[test]
    fn a_link_that_becomes_slower_is_followed() {
        let mut estimate = RoundTrip::first(MILLISECOND);
        for _ in 0..50 {
            estimate.measured(200 * MILLISECOND);
        }
        assert!(estimate.timeout() >= 200 * MILLISECOND);
    }

    #[test]
    fn absurd_measurements_do_not_overflow() {
        let mut estimate = RoundTrip::first(Nanos::MAX);
        estimate.measured(Nanos::MAX);
        estimate.measured(0);
        assert!(estimate.timeout() >= estimate.usual());
    }
}
