//! The scripts of the queue of waiters, on one node, and the faults that the checker must find in them.
//!
//! Beside `acquire.lua`, `acquire_waiting.lua`, `promote.lua`, `release.lua` and `leave.lua` of the library, each a
//! function here. A waiter is its place in the order of arrival, which is its score in the queue; so the queue is a set.

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
}

impl<'a> Run<'a> {
    pub fn new(rules: Rules, lock: &'a mut Lock, heard: u8) -> Run<'a> {
        Run {
            rules,
            lock,
            heard,
            called: 0,
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
        let first = self.first().filter(|&first| first < waiter);
        if self.lock.key == Key::Free && first.is_some() {
            if self.rules == Rules::FirstOnly {
                return self.join(waiter);
            }
            self.promote();
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
        self.lock.queue &= !bit(waiter);
        if fresh {
            self.lock.key = Key::Held(question.owner);
            self.stand_by();
        }
        answer
    }

    /// `release.lua`.
    pub fn release(&mut self, owner: Owner) {
        if self.lock.key != Key::Held(owner) {
            return;
        }
        self.lock.key = Key::Free;
        if std::mem::take(&mut self.lock.waiting) && self.rules != Rules::CallsNobody {
            self.promote();
        }
    }

    /// `leave.lua`.
    pub fn leave(&mut self, waiter: Waiter) {
        self.lock.queue &= !bit(waiter);
        if self.lock.key == Key::Reserved(waiter) || self.rules == Rules::LeavingFrees {
            self.lock.key = Key::Free;
            self.promote();
        }
    }

    /// `promote.lua`.
    fn promote(&mut self) {
        while let Some(first) = self.first() {
            if self.rules != Rules::NeverPopped {
                self.lock.queue &= !bit(first);
            }
            self.called |= self.heard & bit(first);
            if self.heard & bit(first) != 0 || self.rules == Rules::NeverPopped {
                self.lock.key = Key::Reserved(first);
                return self.stand_by();
            }
        }
    }

    /// If somebody waits still, a release has to look. (That one is also told when to look itself: here it may at any
    /// time, or need not.)
    fn stand_by(&mut self) {
        self.lock.waiting |= self.lock.queue != 0;
    }

    fn join(&mut self, waiter: Waiter) -> Answer {
        self.lock.queue |= bit(waiter);
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
