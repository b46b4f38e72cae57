//! What the messages on a process's channel may cost. Whoever may publish there can say what it likes, so each is a hint only,
//! and what hints cost is bounded: in questions, in timers and in memory.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::protocol::node::target::Target;
use crate::time::{MILLISECOND, Nanos};

/// So many attempts of one waiter in a second may be begun because of hints. One that is really called is served, mostly at
/// once.
const ATTEMPTS: u32 = 32;
/// So many calls of one node in a second are declined, and so many may be without an answer.
const DECLINES: u32 = 100;
const OPEN_DECLINES: usize = 16;
/// The most bytes of a lock's key whose call is declined: no resource has a longer one.
const MAX_KEY: usize = 1024;
/// A look that is further off is thought of again after this time, so that no timer stays for longer.
pub(crate) const LONGEST_LOOK: Nanos = 1_000 * MILLISECOND;
/// The waiters of a process look for one lock no more often than this because the time is over that they were told.
const LOOK_GAP: Nanos = 10 * MILLISECOND;
/// For so many locks of a set times are known; more of them take each other's place.
const PLACES: usize = 256;

/// Something that may be done so many times a second.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    since: Nanos,
    spent: u32,
}

impl Budget {
    fn take(&mut self, now: Nanos, limit: u32) -> bool {
        if now >= self.since + 1_000 * MILLISECOND {
            *self = Budget {
                since: now,
                spent: 0,
            };
        }
        self.spent += u32::from(self.spent < limit + 1);
        self.spent <= limit
    }
}

/// Of one waiter: how many of the hints that it gets it may heed, and when it was told to look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heed {
    attempts: Budget,
    timers: Budget,
    /// When it is to look, in this attempt; 0 if nobody said so.
    look_at: Nanos,
    /// When the first timer for that is due which is set.
    armed: Nanos,
}

impl Heed {
    /// Whether it may begin an attempt because of a hint.
    pub(crate) fn may_attempt(&mut self, now: Nanos) -> bool {
        self.attempts.take(now, ATTEMPTS)
    }

    /// It is to look then, and not when it was told before. Gives when a timer is to be set, if one has to be.
    pub(crate) fn look(&mut self, at: Nanos, now: Nanos) -> Option<Nanos> {
        self.look_at = at;
        let due = at.min(now + LONGEST_LOOK);
        if (now < self.armed && self.armed <= due) || !self.timers.take(now, ATTEMPTS) {
            return None;
        }
        self.armed = due;
        Some(due)
    }

    /// Such a timer is due. Whether it looks now; if not yet, when the next timer is to be set.
    pub(crate) fn is_time_to_look(&mut self, now: Nanos) -> Result<(), Option<Nanos>> {
        if self.look_at == 0 {
            return Err(None);
        }
        if self.look_at > now {
            self.armed = 0;
            return Err(self.look(self.look_at, now));
        }
        self.look_at = 0;
        match self.may_attempt(now) {
            true => Ok(()),
            false => Err(None),
        }
    }

    /// An attempt begins: what it was told before is of no interest any more.
    pub(crate) fn begin_attempt(&mut self) {
        (self.look_at, self.armed) = (0, 0);
    }
}

/// A call for a waiter that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) waiter: u64,
    pub(crate) lock: Box<str>,
}

/// Of one node: the calls that are being declined, in the order of their questions.
#[derive(Debug, Default)]
pub(crate) struct Declines {
    budget: Budget,
    open: VecDeque<Call>,
}

impl Declines {
    /// Whether the call is to be declined; not one that is being declined already, or is one too many.
    pub(crate) fn add(&mut self, waiter: u64, lock: &str, now: Nanos) -> bool {
        let is_open = |call: &Call| call.waiter == waiter && *call.lock == *lock;
        if self.open.len() >= OPEN_DECLINES || lock.len() > MAX_KEY || self.open.iter().any(is_open)
        {
            return false;
        }
        if !self.budget.take(now, DECLINES) {
            return false;
        }
        let lock = lock.into();
        self.open.push_back(Call { waiter, lock });
        true
    }

    /// The first question was answered: the call that it was about.
    pub(crate) fn answered(&mut self) -> Option<Call> {
        self.open.pop_front()
    }

    /// The call is declined once more.
    pub(crate) fn again(&mut self, call: Call) {
        self.open.push_back(call);
    }

    /// The connection is gone, and with it all questions.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

/// Of a set of nodes: a time for each of the locks that had one last, such as when a waiter last looked for it.
#[derive(Debug)]
pub(crate) struct Times(Box<[(u64, Nanos); PLACES]>);

impl Default for Times {
    fn default() -> Times {
        Times(Box::new([(0, 0); PLACES]))
    }
}

/// Whether a waiter looks that was told to look after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Now,
    /// Another one has looked so lately that this one waits until then.
    At(Nanos),
    /// Another one has looked since that time.
    Never,
}

impl Times {
    /// The lock's time; 0 if none is known.
    pub(crate) fn of(&self, target: &Target) -> Nanos {
        let (hash, place) = place(target);
        match self.0[place] {
            (known, at) if known == hash => at,
            _ => 0,
        }
    }

    pub(crate) fn set(&mut self, target: &Target, at: Nanos) {
        let (hash, place) = place(target);
        self.0[place] = (hash, at);
    }
}

impl Turn {
    /// A waiter was told that a look is worth while from `worth_at` on, which is over. Another one of this process last
    /// looked for the same lock at `looked_at`.
    pub(crate) fn after(looked_at: Nanos, worth_at: Nanos, now: Nanos) -> Turn {
        if looked_at >= worth_at {
            Turn::Never
        } else if looked_at > 0 && looked_at + LOOK_GAP > now {
            Turn::At(looked_at + LOOK_GAP)
        } else {
            Turn::Now
        }
    }
}

fn place(target: &Target) -> (u64, usize) {
    let mut hasher = DefaultHasher::new();
    target.names().hash(&mut hasher);
    let hash = hasher.finish();
    (hash, hash as usize % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000 * MILLISECOND;

    #[test]
    fn a_budget_is_that_of_each_second() {
        let mut budget = Budget::default();
        let taken = |budget: &mut Budget, now| (0..1_000).filter(|_| budget.take(now, 5)).count();
        assert_eq!(taken(&mut budget, SECOND), 5);
        assert_eq!(taken(&mut budget, SECOND + 1), 0);
        assert_eq!(taken(&mut budget, 2 * SECOND), 5);
    }

    #[test]
    fn a_look_is_at_the_time_that_was_told_last() {
        let mut heed = Heed::default();
        let now = 10 * SECOND;
        assert_eq!(heed.look(now + 50, now), Some(now + 50));
        assert_eq!(heed.look(now + 90, now), None);
        assert_eq!(heed.is_time_to_look(now + 50), Err(Some(now + 90)));
        assert_eq!(heed.is_time_to_look(now + 90), Ok(()));
        assert_eq!(heed.is_time_to_look(now + 90), Err(None));
    }

    #[test]
    fn timers_for_looks_are_few_and_near() {
        let mut heed = Heed::default();
        let now = 10 * SECOND;
        let timers = (0..100_000u64).filter_map(|it| heed.look(Nanos::MAX - it, now));
        assert_eq!(timers.collect::<Vec<_>>(), [now + LONGEST_LOOK]);
        let timers = (0..100_000u64).filter_map(|it| heed.look(now + 200_000 - it, now));
        assert!(timers.count() <= ATTEMPTS as usize);
    }

    #[test]
    fn calls_are_declined_once_and_not_too_many() {
        let mut declines = Declines::default();
        let now = 10 * SECOND;
        assert!(declines.add(1, "r", now));
        assert!(!declines.add(1, "r", now));
        assert_eq!(
            (2..1_000).filter(|it| declines.add(*it, "r", now)).count(),
            15
        );
        assert_eq!(declines.answered().map(|call| call.waiter), Some(1));
        assert!(declines.add(1, "r", now));
        let mut answered = |it| {
            declines.answered();
            declines.add(it, "r", now)
        };
        assert_eq!((2_000..9_000).filter(|it| answered(*it)).count(), 83);
    }

    #[test]
    fn one_of_those_looks_who_were_told_the_same_time() {
        let now = 10 * SECOND;
        assert_eq!(Turn::after(0, now, now), Turn::Now);
        assert_eq!(Turn::after(now, now, now + 5), Turn::Never);
        let next = now + LOOK_GAP;
        assert_eq!(Turn::after(now, now + 3, now + 5), Turn::At(next));
        assert_eq!(Turn::after(now, now + 3, next), Turn::Now);
    }

    #[test]
    fn each_lock_has_its_own_time() {
        let mut times = Times::default();
        let [r, s] = ["r", "s"].map(|name| Target::one("".into(), name));
        times.set(&r, 7);
        assert_eq!((times.of(&r), times.of(&s)), (7, 0));
    }
}
