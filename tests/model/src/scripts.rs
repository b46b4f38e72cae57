//! The scripts of the queue of waiters, on one node, and the faults that the checker must find in them.
//!
//! Beside `acquire.lua`, `acquire_waiting.lua`, `promote.lua`, `open.lua`, `release.lua` with `release_to_waiters.lua`,
//! `step_back.lua` and `leave.lua` of the library, each a function here. A waiter is its place in the order of arrival, which is its
//! score in the queue; so the queue is a set.
/// An attempt's owner token.
pub type Owner = u8;

/// A waiter, numbered by arrival.
pub type Waiter = u8;

/// A ballot; 0 is none, which is to do without fences.
pub type Ballot = u8;

/// The rules that the scripts follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rules {
    /// The library's.
    Sound,
    /// Whoever asks takes a lock that is reserved, too.
    ReservationsIgnored,
    /// The first waiter gets the reservation and stays the first, whether anybody heard its call or not.
    NeverPopped,
    /// A reservation has no time to live.
    NeverExpires,
    /// A waiter that is not the first is refused, without making the first one's reservation.
    FirstOnly,
    /// A waiter that leaves frees the lock for the next one, whosever it is.
    LeavingFrees,
    /// A release calls nobody.
    CallsNobody,
    /// A failed attempt is given back like a lock: whoever waits next is called, and the waiter is in the queue no more.
    FailureCalls,
    /// The same, but the waiter is in the queue again.
    FailureCallsAndRejoins,
    /// A waiter that leaves calls the next one only if the lock is reserved for it.
    LeavingCallsNobody,
    /// A waiter that was called and did not answer is called again when its reservation has run out.
    SilenceIgnored,
    /// A window that is left to others is closed without anybody having been told to look then.
    WindowTellsNobody,
}

/// The lock's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    #[default]
    Free,
    Held(Owner),
    Reserved(Waiter),
}

/// What a node keeps for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lock {
    pub key: Key,
    /// Whether a release looks for waiters at all.
    pub waiting: bool,
    /// The waiters: one bit each.
    pub queue: u8,
    /// The waiter that was called and whose process was not heard since: one bit at most, in the queue.
    pub called: u8,
    /// Whether it is left to those who do not queue.
    pub open: bool,
    /// The highest ballot that was ever accepted.
    pub highest: Ballot,
}

/// What an acquire says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    pub owner: Owner,
    pub ballot: Ballot,
    /// Whether the node's clock lets the ballot pass.
    pub in_window: bool,
}

/// What a node answers to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Granted,
    /// The lock may have been taken all the same.
    NotAccepted,
    Refused,
}

/// One run of a script.
#[derive(Debug)]
pub struct Run<'a> {
    pub rules: Rules,
    pub lock: &'a mut Lock,
    /// Whose processes are subscribed: one bit for each waiter.
    pub heard: u8,
    /// Who was called and hears it: one bit each.
    pub called: u8,
    /// Who was told to look when the window closes: one bit each.
    pub told: u8,
    /// Whether all waiters are of one process.
    pub one_process: bool,
}

impl<'a> Run<'a> {
    pub fn new(rules: Rules, lock: &'a mut Lock, heard: u8) -> Run<'a> {
        Run {
            rules,
            lock,
            heard,
            called: 0,
            told: 0,
            one_process: false,
        }
    }

    /// `acquire.lua`.
    pub fn acquire(&mut self, question: Question) -> Answer {
        let may_take = match self.lock.key {
            Key::Free => true,
            Key::Held(owner) => owner == question.owner,
            Key::Reserved(_) => self.rules == Rules::ReservationsIgnored,
        };
        if !may_take {
            return Answer::Refused;
        }
        let fresh = self.lock.key != Key::Held(question.owner);
        if fresh && self.is_repeated(question) {
            return Answer::NotAccepted;
        }
        self.lock.key = Key::Held(question.owner);
        self.accept(question)
    }

    /// `acquire_waiting.lua`.
    pub fn acquire_waiting(&mut self, question: Question, waiter: Waiter) -> Answer {
        if self.lock.key != Key::Reserved(waiter) {
            self.hear(waiter);
        }
        if self.lock.key == Key::Free {
            if self.lock.open {
                self.told |= bit(waiter);
                return self.join(waiter);
            }
            let first = self.first().filter(|&first| first < waiter);
            if self.rules == Rules::FirstOnly && first.is_some() {
                return self.join(waiter);
            }
            self.promote(Some(waiter), waiter);
        }
        let may_take = match self.lock.key {
            Key::Free => true,
            Key::Held(owner) => owner == question.owner,
            Key::Reserved(other) => other == waiter || self.rules == Rules::ReservationsIgnored,
        };
        if !may_take {
            return self.join(waiter);
        }
        let fresh = self.lock.key != Key::Held(question.owner);
        if fresh && self.is_repeated(question) {
            return Answer::NotAccepted;
        }
        let answer = self.accept(question);
        self.drop(bit(waiter));
        if fresh {
            self.lock.key = Key::Held(question.owner);
            self.stand_by();
        }
        answer
    }

    /// `release.lua`.
    pub fn release(&mut self, owner: Owner, window: bool) {
        if self.lock.key != Key::Held(owner) {
            return;
        }
        self.lock.key = Key::Free;
        let waiting = std::mem::take(&mut self.lock.waiting) && self.rules != Rules::CallsNobody;
        match window {
            true if waiting => self.open(),
            false if waiting => self.promote(None, Waiter::MAX),
            _ => {}
        }
    }

    /// `open.lua`.
    fn open(&mut self) {
        while let Some(first) = self.first_alive() {
            if self.heard & bit(first) != 0 {
                if self.rules != Rules::WindowTellsNobody {
                    self.told |= bit(first);
                }
                (self.lock.waiting, self.lock.open) = (true, true);
                return;
            }
            self.drop(bit(first));
        }
    }

    /// `step_back.lua`.
    pub fn step_back(&mut self, owner: Owner, waiter: Waiter) {
        if self.rules == Rules::FailureCalls {
            return self.release(owner, false);
        }
        let freed = self.lock.key == Key::Held(owner);
        if freed {
            self.lock.key = Key::Free;
        }
        if freed && self.rules == Rules::FailureCallsAndRejoins {
            self.drop(bit(waiter));
            self.promote(None, Waiter::MAX);
        }
        self.hear(waiter);
        self.join(waiter);
        if freed && self.lock.key == Key::Free {
            self.promote(Some(waiter), Waiter::MAX);
        }
    }

    /// `leave.lua`.
    pub fn leave(&mut self, waiter: Waiter) {
        self.drop(bit(waiter));
        self.hear(waiter);
        let calls = match self.lock.key {
            Key::Free => self.rules != Rules::LeavingCallsNobody,
            Key::Reserved(other) => other == waiter,
            Key::Held(_) => false,
        };
        if calls || self.rules == Rules::LeavingFrees {
            self.lock.key = Key::Free;
            self.promote(None, Waiter::MAX);
        }
    }

    /// `promote.lua`: nobody is called if `asker` is the first, or who arrived before is not there.
    fn promote(&mut self, asker: Option<Waiter>, arrival: Waiter) {
        while let Some(first) = self.first_alive() {
            if Some(first) == asker || first >= arrival {
                return;
            }
            self.called |= self.heard & bit(first);
            if self.heard & bit(first) != 0 || self.rules == Rules::NeverPopped {
                self.lock.called = bit(first);
                self.lock.key = Key::Reserved(first);
                self.lock.open = false;
                return self.stand_by();
            }
            self.drop(bit(first));
        }
    }

    /// The first waiter, when those have left whose process was called and stands still.
    fn first_alive(&mut self) -> Option<Waiter> {
        let silent = std::mem::take(&mut self.lock.called);
        match self.rules {
            Rules::SilenceIgnored | Rules::NeverPopped => {}
            _ if silent != 0 && self.one_process => self.lock.queue = 0,
            _ => self.lock.queue &= !silent,
        }
        self.first()
    }

    /// A waiter's process is heard: only the one that was called has lost its turn, if that is another one.
    fn hear(&mut self, waiter: Waiter) {
        let is_of_process = self.one_process || self.lock.called == bit(waiter);
        if is_of_process {
            self.drop(self.lock.called);
        }
    }

    fn drop(&mut self, waiters: u8) {
        self.lock.queue &= !waiters;
        self.lock.called &= !waiters;
    }

    /// If somebody waits still, a release has to look. (That one is also told when to look itself: here it may at any
    /// time, or need not.)
    fn stand_by(&mut self) {
        self.lock.waiting |= self.lock.queue & !self.lock.called != 0;
    }

    fn join(&mut self, waiter: Waiter) -> Answer {
        self.lock.queue |= bit(waiter);
        self.lock.called &= !bit(waiter);
        self.lock.waiting = true;
        Answer::Refused
    }

    /// A message that comes once more, after the lock was given back.
    fn is_repeated(&self, question: Question) -> bool {
        question.ballot != 0 && question.ballot == self.lock.highest
    }

    fn accept(&mut self, question: Question) -> Answer {
        if question.ballot == 0 {
            return Answer::Granted;
        }
        if question.ballot <= self.lock.highest || !question.in_window {
            return Answer::NotAccepted;
        }
        self.lock.highest = question.ballot;
        Answer::Granted
    }

    fn first(&self) -> Option<Waiter> {
        let first = self.lock.queue.trailing_zeros() as Waiter;
        (self.lock.queue != 0).then_some(first)
    }
}

pub fn bit(index: u8) -> u8 {
    1 << index
}
