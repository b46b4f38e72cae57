//! Handshakes between threads, run in every interleaving of a few of them: who drives the engine, and a lock that is
//! taken on one more node while it is given back. The files under test are those of the library, with loom's atomics.

#[path = "../src/driver/driving.rs"]
#[allow(dead_code)]
mod driving;
#[path = "../src/protocol/placement.rs"]
#[allow(dead_code)]
mod placement;

/// What `driving` takes from the library.
mod clock {
    pub type Nanos = u64;
    pub const MILLISECOND: Nanos = 1_000_000;
}

/// What `placement` takes from it.
mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

use driving::{Call, Driving, GRACE, Look, Pause, Term, Wait};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use placement::Placement;

#[test]
fn a_release_and_a_node_that_is_added_do_not_miss_each_other() {
    loom::model(|| {
        let placement = Arc::new(Placement::new(0b001));
        let adding = {
            let placement = Arc::clone(&placement);
            thread::spawn(move || placement.add(1))
        };
        assert!(placement.release());
        let told = placement.nodes();
        let was_added = adding.join().unwrap();
        assert!(
            !was_added || told & 0b010 != 0,
            "a node keeps a lock that was given back"
        );
    });
}

#[test]
fn only_one_of_two_releases_counts() {
    loom::model(|| {
        let placement = Arc::new(Placement::new(1));
        let other = {
            let placement = Arc::clone(&placement);
            thread::spawn(move || placement.release())
        };
        let mine = placement.release();
        assert!(mine != other.join().unwrap());
        assert!(placement.is_released());
    });
}

/// The engine as its threads see it: requests, who drives, and what they wait with.
struct Engine {
    mailbox: Mutex<Mailbox>,
    /// Wakes the driver from its wait for sockets.
    sockets: Condvar,
    /// Wakes the background thread from standing by.
    stand_by_over: Condvar,
}

struct Mailbox {
    driving: Driving,
    requests: u32,
    answered: u32,
    /// Whether the driver's poller has been woken since it was last asked.
    woken: bool,
    now: u64,
}

const FAR: Wait = Wait {
    until: u64::MAX,
    keep_due: u64::MAX,
};

impl Engine {
    fn new() -> (Arc<Engine>, Term) {
        let (driving, term) = Driving::new();
        let engine = Engine {
            mailbox: Mutex::new(Mailbox {
                driving,
                requests: 0,
                answered: 0,
                woken: false,
                now: 1,
            }),
            sockets: Condvar::new(),
            stand_by_over: Condvar::new(),
        };
        (Arc::new(engine), term)
    }

    /// Somebody has a request for the driver.
    fn request(&self) {
        let mut mailbox = self.mailbox.lock().unwrap();
        mailbox.requests += 1;
        let call = mailbox.driving.call();
        // As in the library, the mailbox is let go first.
        drop(mailbox);
        if matches!(call, Call::WakeDriver | Call::WakeBoth) {
            self.mailbox.lock().unwrap().woken = true;
            self.sockets.notify_all();
        }
        if matches!(call, Call::WakeBackground | Call::WakeBoth) {
            self.stand_by_over.notify_one();
        }
    }

    /// A turn with a wait until it is woken. False if the driver was deposed.
    fn turn(&self, term: Term) -> bool {
        let mut mailbox = self.mailbox.lock().unwrap();
        mailbox.answered += std::mem::take(&mut mailbox.requests);
        if mailbox.answered > 0 {
            return true;
        }
        drop(mailbox);
        let mut mailbox = self.mailbox.lock().unwrap();
        let requests = mailbox.requests > 0;
        match mailbox.driving.wait(term, FAR, requests) {
            Pause::Deposed => return false,
            Pause::LookOnly => return true,
            Pause::Wait => {}
            Pause::WaitAndWakeBackground => self.stand_by_over.notify_one(),
        }
        while !mailbox.woken {
            mailbox = self.sockets.wait(mailbox).unwrap();
        }
        mailbox.woken = false;
        mailbox.driving.resume(term)
    }

    /// The background thread drives until the request is answered.
    fn drive_until_answered(&self, term: Term) {
        while self.mailbox.lock().unwrap().answered == 0 {
            assert!(self.turn(term), "nobody deposes the background thread");
        }
    }

    /// The background thread stands by until it is wanted, or somebody else has answered the request.
    fn stand_by(&self) -> Option<Term> {
        let mut mailbox = self.mailbox.lock().unwrap();
        while mailbox.answered == 0 {
            let now = mailbox.now;
            match mailbox.driving.look(now) {
                Look::Drive(term) => return Some(term),
                Look::Late => {
                    // A new poller, which nobody has woken yet.
                    mailbox.woken = false;
                    return Some(mailbox.driving.depose());
                }
                Look::Sleep(u64::MAX) => mailbox = self.stand_by_over.wait(mailbox).unwrap(),
                Look::Sleep(until) => {
                    mailbox.now = until;
                    drop(mailbox);
                    thread::yield_now();
                    mailbox = self.mailbox.lock().unwrap();
                }
            }
        }
        None
    }

    /// The background thread stands by, as a caller has asked it to.
    fn has_stood_by(&self, term: Term) {
        let mut mailbox = self.mailbox.lock().unwrap();
        mailbox.driving.wait(term, FAR, false);
        assert_eq!(mailbox.driving.ask_to_stand_by(), Call::WakeDriver);
        assert!(mailbox.driving.resume(term));
        assert!(mailbox.driving.stand_by(term, 0, false));
    }
}

fn started(
    engine: &Arc<Engine>,
    body: impl FnOnce(&Engine) + Send + 'static,
) -> thread::JoinHandle<()> {
    let engine = Arc::clone(engine);
    thread::spawn(move || body(&engine))
}

/// A wake-up that is lost would leave everybody asleep, which loom reports.
#[test]
fn a_request_reaches_a_driver_that_is_about_to_wait() {
    loom::model(|| {
        let (engine, term) = Engine::new();
        let others = started(&engine, Engine::request);
        engine.drive_until_answered(term);
        others.join().unwrap();
    });
}

#[test]
fn a_request_reaches_a_background_thread_that_is_about_to_stand_by() {
    loom::model(|| {
        let (engine, term) = Engine::new();
        engine.mailbox.lock().unwrap().driving.ask_to_stand_by();
        let others = started(&engine, Engine::request);
        let stands_by = {
            let mut mailbox = engine.mailbox.lock().unwrap();
            let requests = mailbox.requests > 0;
            mailbox.driving.stand_by(term, 0, requests)
        };
        let term = match stands_by {
            true => engine.stand_by(),
            false => Some(term),
        };
        engine.drive_until_answered(term.expect("nobody else drives"));
        others.join().unwrap();
    });
}

#[test]
fn a_request_is_answered_while_a_caller_comes_and_goes() {
    loom::model(|| {
        let (engine, term) = Engine::new();
        engine.has_stood_by(term);
        let others = started(&engine, Engine::request);
        let caller = started(&engine, |engine| {
            let mut mailbox = engine.mailbox.lock().unwrap();
            let Some(term) = mailbox.driving.lead() else {
                return;
            };
            mailbox.answered += std::mem::take(&mut mailbox.requests);
            drop(mailbox);
            let mut mailbox = engine.mailbox.lock().unwrap();
            let company = mailbox.requests > 0;
            let left = mailbox.driving.leave(term, company);
            drop(mailbox);
            if left.expect("it did not wait") {
                engine.stand_by_over.notify_one();
            }
        });
        if let Some(term) = engine.stand_by() {
            engine.drive_until_answered(term);
        }
        others.join().unwrap();
        caller.join().unwrap();
    });
}

/// The caller that drives is late, and comes back at any moment: either it or the background thread goes on, never both.
#[test]
fn a_driver_that_is_late_is_deposed_or_comes_back() {
    loom::model(|| {
        let (engine, term) = Engine::new();
        engine.has_stood_by(term);
        let mine = {
            let mut mailbox = engine.mailbox.lock().unwrap();
            let mine = mailbox.driving.lead().unwrap();
            mailbox.driving.stay(mine);
            assert_eq!(mailbox.driving.wait(mine, FAR, false), Pause::Wait);
            mine
        };
        let others = started(&engine, Engine::request);
        let late = started(&engine, move |engine| {
            let mut mailbox = engine.mailbox.lock().unwrap();
            if !mailbox.driving.resume(mine) {
                assert_eq!(mailbox.driving.wait(mine, FAR, false), Pause::Deposed);
                assert_eq!(mailbox.driving.leave(mine, true), None);
                return;
            }
            mailbox.answered += std::mem::take(&mut mailbox.requests);
            let left = mailbox.driving.leave(mine, false);
            drop(mailbox);
            assert_eq!(
                left,
                Some(true),
                "one who stayed recalls the background thread"
            );
            engine.stand_by_over.notify_one();
        });
        if let Some(term) = engine.stand_by() {
            assert!(term > mine);
            engine.drive_until_answered(term);
        }
        late.join().unwrap();
        others.join().unwrap();
    });
}

/// A kept lock that is due: the background thread's alarm goes, and it does not wait for a driver that stands still.
#[test]
fn a_driver_that_misses_a_kept_lock_is_deposed() {
    let (mut driving, term) = Driving::new();
    driving.wait(term, FAR, false);
    driving.ask_to_stand_by();
    assert!(driving.resume(term) && driving.stand_by(term, 1, false));
    let mine = driving.lead().unwrap();
    driving.stay(mine);
    assert_eq!(driving.look(5), Look::Sleep(u64::MAX));
    let wait = Wait {
        until: 50,
        keep_due: 100,
    };
    assert_eq!(
        driving.wait(mine, wait, false),
        Pause::WaitAndWakeBackground
    );
    assert_eq!(driving.look(6), Look::Sleep(100 + GRACE));
    assert_eq!(driving.look(100 + GRACE), Look::Late);
    let next = driving.depose();
    assert!(!driving.resume(mine) && driving.resume(next));
}
