//! Which ballot to propose: one that every node is likely to accept, and above all that was ever seen.
//!
//! A ballot is a hybrid clock in microseconds since 1970: the nodes' own time where that is larger than the highest
//! ballot known, one more than that otherwise. No safety hangs on the clock; it only makes the first proposal a good
//! one. The client's wall clock is never asked: a client knows how far each node's clock is from its own steady one.

use crate::time::Nanos;

/// As often as this, in ms, a node is told how long to remember what it accepts. To say so each time would be a step more
/// for it; so it is told to remember it for as much longer.
pub(crate) const REMINDER_MS: u64 = 1_000;

/// How far a ballot may be from a node's time, in microseconds; the scripts say the same.
pub(crate) const WINDOW: u64 = 1_000_000;

/// What a factory knows of ballots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ballots {
    /// The highest ballot that was proposed or seen.
    highest: u64,
    /// What to add to the steady clock, in microseconds, to get a time that the nodes have certainly reached: one client's
    /// ballots must not be ahead of those of another that comes a moment later.
    offset: i64,
    /// The same for the time that the nodes most likely have.
    likely_offset: i64,
}

/// What a node's clock shows more than ours, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockOffset {
    /// At least: the node looked at its clock before its answer arrived.
    pub(crate) least: i64,
    /// Most likely: it looked half way between the question and the answer.
    pub(crate) likely: i64,
}

impl Ballots {
    /// The nodes' time less the steady clock's: the median of what the nodes said when they were connected.
    pub(crate) fn set_offset(&mut self, offsets: &[ClockOffset]) {
        let median = |of: fn(&ClockOffset) -> i64| {
            let mut all: Vec<_> = offsets.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied()
        };
        self.offset = median(|it| it.least).unwrap_or(self.offset);
        self.likely_offset = median(|it| it.likely).unwrap_or(self.likely_offset);
    }

    /// The nodes' time, in us since 1970, as far as it is known. By it clients queue in the order of their arrival, however
    /// far they are from the nodes.
    pub(crate) fn time(&self, now: Nanos) -> u64 {
        at(now, self.likely_offset)
    }

    /// A fresh ballot.
    pub(crate) fn propose(&mut self, now: Nanos) -> u64 {
        self.highest = at(now, self.offset).max(self.highest + 1);
        self.highest
    }

    /// A ballot in place of `refused`, of which some node said that it would have `least` or more.
    ///
    /// Mostly `least` is a little more than what was refused: another client's idea of the nodes' time is ahead of ours,
    /// which follows, or would be late each time. Where it is far from it, it is the clock that was wrong: then the nodes'
    /// time is learnt from it, also downwards. So the next first proposal is a good one.
    pub(crate) fn propose_again(&mut self, refused: u64, least: u64, now: Nanos) -> u64 {
        let learnt = least as i64 - (now / 1000) as i64;
        if refused.abs_diff(least) > WINDOW / 2 {
            (self.offset, self.likely_offset) = (learnt, learnt);
        } else {
            self.offset = self.offset.max(learnt);
        }
        self.highest = match least < refused {
            true => least,
            false => self.highest.max(least),
        };
        self.highest
    }
}

/// A time of the steady clock with that offset, in us since 1970.
fn at(now: Nanos, offset: i64) -> u64 {
    ((now / 1000) as i64).saturating_add(offset).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Nanos = 5_000_000_000;

    /// Clocks that are known exactly.
    fn exactly(offsets: &[i64]) -> Vec<ClockOffset> {
        let exact = |&offset: &i64| ClockOffset {
            least: offset,
            likely: offset,
        };
        offsets.iter().map(exact).collect()
    }

    #[test]
    fn a_ballot_is_never_ahead_of_the_nodes_and_an_arrival_is_where_they_likely_are() {
        let mut ballots = Ballots::default();
        ballots.set_offset(&[ClockOffset {
            least: -40_000,
            likely: 2_000,
        }]);
        assert_eq!(ballots.propose(NOW), 4_960_000);
        assert_eq!(ballots.time(NOW), 5_002_000);
    }

    proptest! {
        #[test]
        fn first_proposals_rise_whatever_the_clock_does(times in proptest::collection::vec(0..u64::MAX / 4, 2..50)) {
            let mut ballots = Ballots::default();
            let mut last = 0;
            for now in times {
                let ballot = ballots.propose(now);
                prop_assert!(ballot > last);
                last = ballot;
            }
        }

        #[test]
        fn a_second_proposal_is_what_the_node_would_have(
            offset in -1_000_000_000..1_000_000_000i64,
            least in 1..(1u64 << 53),
        ) {
            let mut ballots = Ballots::default();
            ballots.set_offset(&exactly(&[offset]));
            let refused = ballots.propose(NOW);
            prop_assert!(ballots.propose_again(refused, least, NOW) >= least);
        }
    }

    #[test]
    fn the_median_of_the_nodes_clocks_counts() {
        let mut ballots = Ballots::default();
        ballots.set_offset(&exactly(&[9_000_000, 1_000, -7]));
        assert_eq!(ballots.propose(NOW), 5_001_000);
    }

    #[test]
    fn a_clock_that_is_a_little_behind_follows() {
        let mut ballots = Ballots::default();
        ballots.set_offset(&exactly(&[-3_000]));
        let late = ballots.propose(NOW);
        assert_eq!(ballots.propose_again(late, late + 2_000, NOW), late + 2_000);
        assert_eq!(ballots.propose(NOW + 1_000_000), late + 3_000);
        // A ballot that is too high by little pulls nothing back.
        ballots.propose_again(late + 5_000, late, NOW);
        assert_eq!(ballots.propose(NOW + 2_000_000), late + 4_000);
    }

    #[test]
    fn a_clock_that_was_an_hour_ahead_is_put_right() {
        let mut ballots = Ballots::default();
        ballots.set_offset(&exactly(&[3_600_000_000]));
        let wrong = ballots.propose(NOW);
        assert_eq!(ballots.propose_again(wrong, 5_000_000, NOW), 5_000_000);
        assert!(ballots.propose(NOW + 1_000_000) < 5_000_000 + WINDOW);
    }
}
