//! A network between a client and its server, as TCP shows it: bytes arrive late, in their order, and never get lost.

use std::time::Duration;

use crate::server::random;

/// What TCP adds to the round trip, at least, before it sends a segment again that was not acknowledged.
const LEAST_RTO: Duration = Duration::from_millis(200);

/// A link whose segments take so long in each direction, and get lost now and then.
///
/// A lost segment shows as a delay: it is sent again after the retransmission time-out of TCP, a round trip and 200 ms, which
/// doubles with each further loss. What was sent behind it waits. TCP's quicker ways to notice a loss (duplicate
/// acknowledgements, tail loss probes) are left out, so that a loss costs rather too much than too little; and connections are
/// made at once, for a proxy cannot delay what the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The shortest and the longest round trip; each segment's half of it is drawn between those.
    pub round_trip: (Duration, Duration),
    /// How many of 1000 segments get lost, in each direction.
    pub lost_per_mille: u32,
}

impl Link {
    /// How long a segment takes.
    pub(super) fn delay(&self) -> Duration {
        let (least, most) = self.round_trip;
        let share = random(1_000_001) as f64 / 1e6;
        let mut delay = (least + (most - least).mul_f64(share)) / 2;
        let mut timeout = most + LEAST_RTO;
        while random(1000) < u64::from(self.lost_per_mille) {
            delay += timeout;
            timeout *= 2;
        }
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_take_half_a_round_trip_and_longer_when_they_are_lost() {
        let ms = Duration::from_millis;
        let link = |lost_per_mille| Link {
            round_trip: (ms(10), ms(20)),
            lost_per_mille,
        };
        let delays = |link: Link| (0..1000).map(move |_| link.delay());
        assert!(delays(link(0)).all(|delay| (ms(5)..=ms(10)).contains(&delay)));
        let late = delays(link(100)).filter(|delay| *delay > ms(220)).count();
        assert!((30..300).contains(&late), "{late} of 1000");
    }
}
