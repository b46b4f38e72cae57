//! A node's wall clock, which may be wrong, run at another rate and be set.

use crate::Nanos;

/// A wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed, in ns since 1970, when the true time was `since`.
    shown: i128,
    since: Nanos,
    /// By how many millionths it runs too fast.
    ppm: i64,
}

impl Clock {
    /// A clock that shows this time, in us since 1970, now.
    pub fn new(now: Nanos, us: u64) -> Clock {
        Clock {
            shown: i128::from(us) * 1000,
            since: now,
            ppm: 0,
        }
    }

    /// What it shows, in us since 1970.
    pub fn us(&self, now: Nanos) -> u64 {
        let passed = i128::from(now) - i128::from(self.since);
        let shown = self.shown + passed + passed * i128::from(self.ppm) / 1_000_000;
        u64::try_from(shown / 1000).unwrap_or(0)
    }

    /// Sets it forward by so many us, or back.
    pub fn step(&mut self, now: Nanos, us: i64) {
        self.settle(now);
        self.shown += i128::from(us) * 1000;
    }

    /// Has it run too fast by so many millionths from now on.
    pub fn set_rate(&mut self, now: Nanos, ppm: i64) {
        self.settle(now);
        self.ppm = ppm;
    }

    fn settle(&mut self, now: Nanos) {
        let passed = i128::from(now) - i128::from(self.since);
        self.shown += passed + passed * i128::from(self.ppm) / 1_000_000;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_it_showed_when_its_rate_changes() {
        let mut clock = Clock::new(0, 1_000_000);
        assert_eq!(clock.us(2_000_000), 1_002_000);
        clock.set_rate(2_000_000, 500_000);
        assert_eq!(clock.us(4_000_000), 1_005_000);
        clock.step(4_000_000, -5_000);
        assert_eq!(clock.us(4_000_000), 1_000_000);
    }
}
