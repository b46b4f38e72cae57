//! Who drives the engine, as a state with named transitions: no thread, no lock and no clock of its own.
//!
//! The *driver* is the thread that moves the engine forward: the background thread, or a caller for the time of its own
//! call. While callers drive, the background thread *stands by*: it is recalled as soon as there is company, and looks by
//! itself whether they still drive. Each driver has a *term*. One that waits for sockets and does not come back in time is
//! *deposed*: the background thread begins a new term, and the former driver finds its own to be over when it returns.

use crate::clock::{MILLISECOND, Nanos};

/// Lonely calls in quick succession after which callers may drive.
const LONELY_CALLS: u32 = 8;
/// How often the background thread looks whether callers still drive; late answers wait for that long at most.
pub(crate) const STANDBY: Nanos = 2 * MILLISECOND;
/// By how much a driver may be late before it is deposed.
pub(crate) const GRACE: Nanos = 10 * MILLISECOND;

/// The number of a driver.
pub(crate) type Term = u64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Driving {
    driver: Driver,
    term: Term,
    /// How often drivers have begun to wait.
    waits: u64,
    /// The background thread shall drive again.
    recalled: bool,
    release: Release,
    lonely_calls: u32,
    /// A caller drives until its turn at a lock comes, however long that takes, and recalls the background thread then.
    stays: bool,
    /// Until when the background thread sleeps, while it stands by.
    alarm: Nanos,
    /// The term when the background thread last looked.
    seen_term: Term,
    /// The wait in which it last saw a driver that had been called, and when it first did.
    seen_called: (u64, Nanos),
    stands_by: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// Nobody drives; the background thread stands by.
    Nobody,
    /// Somebody is in the middle of a turn, and will look for requests before it waits.
    Running,
    /// Somebody waits for sockets, and for being called.
    Waiting(Wait),
    /// It has been called, and has not come back yet.
    Called,
}

/// How long a driver waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When it stops waiting at the latest.
    pub(crate) until: Nanos,
    /// When the next lock is due that is kept alive.
    pub(crate) keep_due: Nanos,
}

/// When the background thread is to stand by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    No,
    /// When nobody waits for anything.
    WhenIdle,
    /// Now, if nobody waits but the one who asks for it.
    AtOnce,
}

/// What somebody has to do who has a request for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Nothing: the driver will see it.
    Nothing,
    /// Wake the driver.
    WakeDriver,
    /// Wake the driver, and the background thread, so that it looks whether that helped.
    WakeBoth,
    /// Wake the background thread, which shall drive.
    WakeBackground,
}

/// What a driver does that is about to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Its term is over: it must not touch the engine as a driver again.
    Deposed,
    /// There are requests: it looks at the sockets and does not wait.
    LookOnly,
    Wait,
    /// It waits, and wakes the background thread first, whose alarm is set too late.
    WaitAndWakeBackground,
}

/// What the background thread does that stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is the driver, in this term.
    Drive(Term),
    /// The driver is late: to be deposed by [`Driving::depose`].
    Late,
    /// It sleeps until then, or until it is woken.
    Sleep(Nanos),
}

impl Driving {
    /// The background thread drives, in the term that is given.
    pub(crate) fn new() -> (Driving, Term) {
        let driving = Driving {
            driver: Driver::Running,
            term: 1,
            waits: 0,
            recalled: false,
            release: Release::No,
            lonely_calls: 0,
            stays: false,
            alarm: 0,
            seen_term: 1,
            seen_called: (0, 0),
            stands_by: false,
        };
        (driving, 1)
    }

    fn begin_term(&mut self) -> Term {
        self.term += 1;
        self.driver = Driver::Running;
        self.stays = false;
        self.term
    }

    // ---- for those who do not drive ----

    /// Whether a caller may drive.
    pub(crate) fn is_vacant(&self) -> bool {
        self.driver == Driver::Nobody && !self.recalled
    }

    /// Whether a driver waits, so that others may be at work in the engine beside it.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.driver, Driver::Waiting(_))
    }

    /// Whether the background thread stands by and nobody drives: it looks by itself before long.
    pub(crate) fn is_idle(&self) -> bool {
        self.driver == Driver::Nobody
    }

    /// Whether the background thread stands by.
    pub(crate) fn stands_by(&self) -> bool {
        self.stands_by
    }

    /// A caller becomes the driver, if there is none.
    pub(crate) fn lead(&mut self) -> Option<Term> {
        self.is_vacant().then(|| self.begin_term())
    }

    /// There is a request.
    pub(crate) fn call(&mut self) -> Call {
        match self.driver {
            Driver::Running | Driver::Called => Call::Nothing,
            Driver::Waiting(_) => {
                self.driver = Driver::Called;
                match self.stays {
                    true => Call::WakeBoth,
                    false => Call::WakeDriver,
                }
            }
            Driver::Nobody => {
                self.recalled = true;
                Call::WakeBackground
            }
        }
    }

    /// A call is handed over; `lonely` if it is alone, and soon after another one. The background thread stands by after
    /// several of these.
    pub(crate) fn count_call(&mut self, lonely: bool) {
        self.lonely_calls = if lonely { self.lonely_calls + 1 } else { 0 };
        self.release = match self.lonely_calls >= LONELY_CALLS {
            true => Release::WhenIdle,
            false => Release::No,
        };
    }

    /// A caller that waits alone wants to drive: the background thread, which waits too, is to stand by.
    pub(crate) fn ask_to_stand_by(&mut self) -> Call {
        self.release = Release::AtOnce;
        self.call()
    }

    // ---- for the driver ----

    /// It drives until its turn at a lock comes. The background thread sleeps meanwhile.
    pub(crate) fn stay(&mut self, term: Term) {
        if term == self.term {
            self.stays = true;
        }
    }

    /// It is about to wait; `requests` if there are any.
    pub(crate) fn wait(&mut self, term: Term, wait: Wait, requests: bool) -> Pause {
        if term != self.term {
            return Pause::Deposed;
        }
        if requests {
            return Pause::LookOnly;
        }
        self.waits += 1;
        self.driver = Driver::Waiting(wait);
        match self.stays && wait.keep_due.saturating_add(GRACE) < self.alarm {
            true => Pause::WaitAndWakeBackground,
            false => Pause::Wait,
        }
    }

    /// It has waited. False if its term is over.
    pub(crate) fn resume(&mut self, term: Term) -> bool {
        if term != self.term {
            return false;
        }
        self.driver = Driver::Running;
        true
    }

    /// A caller stops driving; `company` if others wait, or there are requests. Gives whether the background thread is to be
    /// woken; `None` if the caller's term is over already.
    pub(crate) fn leave(&mut self, term: Term, company: bool) -> Option<bool> {
        if term != self.term {
            return None;
        }
        self.driver = Driver::Nobody;
        // The background thread does not look after one who stays.
        let stayed = std::mem::take(&mut self.stays);
        if company || stayed {
            self.lonely_calls = 0;
            self.recalled = true;
        }
        Some(self.recalled)
    }

    // ---- for the background thread ----

    /// It stands by, if callers come one at a time and nothing is under way, or if one of them waits alone and asks for it.
    pub(crate) fn stand_by(&mut self, term: Term, awaited: u64, requests: bool) -> bool {
        let most = match self.release {
            Release::No => return false,
            Release::WhenIdle => 0,
            Release::AtOnce => 1,
        };
        if term != self.term {
            return false;
        }
        if awaited > most || requests {
            if self.release == Release::AtOnce {
                self.release = Release::No;
            }
            return false;
        }
        self.release = Release::No;
        self.recalled = false;
        self.driver = Driver::Nobody;
        self.stands_by = true;
        self.seen_term = self.term;
        // It has not slept yet.
        self.alarm = Nanos::MAX;
        true
    }

    /// It stands by, and looks whether it is wanted.
    pub(crate) fn look(&mut self, now: Nanos) -> Look {
        let deserted = now >= self.alarm && self.seen_term == self.term;
        self.seen_term = self.term;
        let soon = now.saturating_add(STANDBY);
        let until = match self.driver {
            Driver::Nobody if self.recalled || deserted => {
                self.recalled = false;
                self.lonely_calls = 0;
                self.stands_by = false;
                return Look::Drive(self.begin_term());
            }
            Driver::Running if self.stays => Nanos::MAX,
            Driver::Waiting(wait) => {
                let due = if self.stays {
                    wait.keep_due
                } else {
                    wait.until
                };
                let late_at = due.saturating_add(GRACE);
                match (late_at <= now, self.stays) {
                    (true, _) => return Look::Late,
                    (false, true) => late_at,
                    (false, false) => soon,
                }
            }
            Driver::Called => {
                if self.seen_called.0 != self.waits {
                    self.seen_called = (self.waits, now);
                }
                if self.seen_called.1 + GRACE <= now {
                    return Look::Late;
                }
                soon
            }
            Driver::Nobody | Driver::Running => soon,
        };
        self.alarm = until;
        Look::Sleep(until)
    }

    /// Begins a new term, whoever drives: that one has not come back from a wait.
    pub(crate) fn depose(&mut self) -> Term {
        self.recalled = false;
        self.release = Release::No;
        self.lonely_calls = 0;
        self.stands_by = false;
        self.begin_term()
    }
}
