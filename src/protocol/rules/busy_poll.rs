//! Whether to wait for answers awake: where being woken costs more than nodes take to answer, and the processor is not
//! wanted elsewhere.

use crate::time::Nanos;

/// Decides before each wait, by how the waits before it went.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    /// Until when the present wait is busy; 0 if it is not.
    until: Nanos,
    /// How often it was in vain of late, less how often it was not.
    in_vain: u32,
    /// How many waits go straight to sleep before the next try.
    rests: u32,
}

/// How many waits go straight to sleep after one in company.
const RESTS_AFTER_COMPANY: u32 = 8;
/// Where it is always in vain, one wait is busy of 2 to the power of this.
const MOST_DOUBLINGS: u32 = 8;

impl BusyPoll {
    /// On a single processor nobody could answer while this thread looks.
    pub(crate) fn new(processors: usize) -> BusyPoll {
        BusyPoll {
            until: 0,
            in_vain: 0,
            rests: if processors > 1 { 0 } else { u32::MAX },
        }
    }

    /// Until when the present wait is busy; 0 if it is not.
    pub(crate) fn until(&self) -> Nanos {
        self.until
    }

    /// Questions were asked now, and a wait for the answers may be busy for as long as `window`.
    pub(crate) fn asked(&mut self, now: Nanos, window: Nanos) {
        self.until = match self.rests {
            0 if window > 0 => now + window,
            0 | u32::MAX => 0,
            _ => {
                self.rests -= 1;
                0
            }
        };
    }

    /// Another question was asked in the same wait: if that is busy, it may be so for longer.
    pub(crate) fn asked_also(&mut self, now: Nanos, window: Nanos) {
        if self.until != 0 {
            self.until = now + window;
        }
    }

    /// Others' questions are under way as well, and more will follow: a driver that sleeps until it is woken for one finds
    /// several then, which leave as one batch.
    pub(crate) fn in_company(&mut self) {
        self.until = 0;
        self.rests = self.rests.max(RESTS_AFTER_COMPANY);
    }

    /// The answers are there. If they came after the window, the wait was busy and asleep as well: nodes are too far away
    /// for it, or other threads had the processors. The more often in a row, the more seldom it is tried.
    pub(crate) fn answered(&mut self, now: Nanos) {
        match std::mem::take(&mut self.until) {
            0 => {}
            until if now <= until => self.in_vain = self.in_vain.saturating_sub(1),
            _ => {
                self.in_vain = (self.in_vain + 1).min(MOST_DOUBLINGS);
                self.rests = 1 << self.in_vain;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Nanos = 60;

    /// How many of a thousand waits are busy, if the answers take so long.
    fn busy_of_thousand(poll: &mut BusyPoll, takes: impl Fn(Nanos) -> Nanos) -> u32 {
        let mut busy = 0;
        for i in 1..=1_000 {
            let now = i * 1_000;
            poll.asked(now, WINDOW);
            busy += u32::from(poll.until() != 0);
            poll.answered(now + takes(i));
        }
        busy
    }

    #[test]
    fn it_is_done_while_nodes_answer_within_the_window() {
        assert_eq!(busy_of_thousand(&mut BusyPoll::new(2), |_| WINDOW), 1_000);
    }

    #[test]
    fn a_late_answer_now_and_then_changes_little() {
        let takes = |i| if i % 20 == 0 { 2 * WINDOW } else { WINDOW };
        assert!(busy_of_thousand(&mut BusyPoll::new(2), takes) > 850);
    }

    #[test]
    fn it_is_left_where_nodes_take_longer_and_taken_up_where_they_do_not_any_more() {
        let mut poll = BusyPoll::new(2);
        assert!(busy_of_thousand(&mut poll, |_| 2 * WINDOW) < 20);
        busy_of_thousand(&mut poll, |_| WINDOW);
        assert_eq!(busy_of_thousand(&mut poll, |_| WINDOW), 1_000);
    }

    #[test]
    fn a_further_question_prolongs_a_busy_wait_and_begins_none() {
        let mut poll = BusyPoll::new(2);
        poll.asked_also(1_000, WINDOW);
        assert_eq!(poll.until(), 0);
        poll.asked(1_000, WINDOW);
        poll.asked_also(1_010, WINDOW);
        assert_eq!(poll.until(), 1_010 + WINDOW);
    }

    #[test]
    fn it_is_never_done_on_one_processor_without_a_window_or_in_company() {
        assert_eq!(busy_of_thousand(&mut BusyPoll::new(1), |_| 0), 0);
        let mut poll = BusyPoll::new(2);
        poll.asked(1_000, 0);
        assert_eq!(poll.until(), 0);
        poll.asked(1_000, WINDOW);
        poll.in_company();
        assert_eq!(poll.until(), 0);
        poll.asked(2_000, WINDOW);
        assert_eq!(poll.until(), 0);
    }
}
