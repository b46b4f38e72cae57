//! Who drives the engine: one background thread for the process, or, while it is alone, the calling thread itself.
//!
//! Handing an operation to another thread and being woken by it costs two context switches, a third of a lock's whole
//! round trip on loopback. So a caller that finds the engine idle and its thread standing by drives it for the time of
//! its own call; one that waits for a lock for long, alone, has the thread stand by, and drives until its turn comes. As
//! soon as there is company, the background thread drives, and all callers' questions share its batches; that is faster
//! for many.
//!
//! What is handed over still saves one of the two switches while it is alone: the thread that submits an operation sends
//! its questions, beside a driver that waits for sockets, and the driver counts the answers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use mio::{Poll, Token as PollToken, Waker};
use once_cell::sync::OnceCell;

use super::core::{Core, Request};
use super::operation::Operation;
use super::poller::{Patience, Poller};
use super::resolver::Resolver;
use super::sync::{Gauge, lock, try_lock};
use super::ticket::{Outcome, Ticket};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::error::{Error, Result, Status};
use crate::fork;
use crate::log::{self, Level};
use crate::token::Token;

/// The poll token of the wake-up from other threads; nodes count up from 0.
pub(crate) const WAKER: PollToken = PollToken(usize::MAX);

/// Lonely calls in quick succession after which callers may drive.
const LONELY_CALLS: u32 = 8;
/// What "quick succession" means.
const SUCCESSION: Nanos = MILLISECOND;
/// How long a caller drives at most, within one call.
const CALLER_DRIVES_FOR: Nanos = 5 * MILLISECOND;
/// How long a caller that does not drive sleeps before it takes over, if it is alone; twice as long before each new try.
const SLEEPS_FOR: Duration = Duration::from_millis(5);
const TRIES_TO_TAKE_OVER: u32 = 9;
/// For how long a caller sleeps that takes over from the background thread, until that stands by.
const TAKES_OVER_AFTER: Duration = Duration::from_millis(1);
/// How often the background thread looks whether callers still drive; late answers wait for that long at most.
const STANDBY: Duration = Duration::from_millis(2);

/// Requests that the mailbox keeps room for.
const KEPT_REQUESTS: usize = 1024;

/// Stack of our threads, in bytes. A TLS handshake and a name look-up fit.
const STACK: usize = 512 * 1024;

/// The process's engine, with what other threads need to reach it.
pub(crate) struct Runtime {
    core: OnceCell<Mutex<Core>>,
    /// Held by whoever drives.
    poller: Mutex<Poller>,
    mailbox: Mutex<Mailbox>,
    /// Wakes the background thread from standing by.
    stand_by_over: Condvar,
    /// Wakes whoever drives from waiting for sockets.
    waker: Waker,
    /// What the channels begin with on which the waiters of this process are called.
    pub(crate) channels: String,
    places: Mutex<Places>,
    pub(crate) resolver: Resolver,
    /// Operations under way that somebody waits for.
    pub(crate) awaited: Gauge,
    /// When the last blocking call came back.
    last_return: AtomicU64,
}

struct Mailbox {
    requests: Vec<Request>,
    driver: Driver,
    /// The background thread shall drive again.
    recall: bool,
    release: Release,
    lonely_calls: u32,
    /// Calls that drove themselves.
    driven: u64,
    /// A caller drives until its turn at a lock comes, however long that takes, and recalls the background thread then.
    stays: bool,
}

/// Whether the background thread shall stand by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Release {
    No,
    /// When nobody waits for anything.
    WhenIdle,
    /// Now, if nobody waits but the one who asks for it.
    AtOnce,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    /// Nobody drives; the background thread stands by.
    None,
    /// Somebody is in the middle of a turn and will look at the mailbox before waiting.
    Busy,
    /// Somebody waits for sockets, and for the waker.
    Waiting,
}

/// Numbers for sets of nodes.
#[derive(Default)]
struct Places {
    free: Vec<usize>,
    next: usize,
}

/// The engine of this process; started on first use, and anew in a forked child.
pub(crate) fn get() -> Result<&'static Runtime> {
    per_process::current(Runtime::start)
}

/// One value per process: a forked child gets its own, and the parent's stays untouched in its memory, since the
/// threads that could put it in order do not exist there.
mod per_process {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use once_cell::sync::OnceCell;

    use super::{Result, Runtime, fork};

    struct Generation {
        number: u64,
        runtime: OnceCell<&'static Runtime>,
    }

    static LATEST: AtomicPtr<Generation> = AtomicPtr::new(ptr::null_mut());

    pub(super) fn current(
        start: impl FnOnce() -> Result<&'static Runtime>,
    ) -> Result<&'static Runtime> {
        fork::watch();
        generation().runtime.get_or_try_init(start).copied()
    }

    fn generation() -> &'static Generation {
        loop {
            let latest = LATEST.load(Ordering::Acquire);
            // SAFETY: a generation, once published, is never freed.
            if let Some(latest_ref) = unsafe { latest.as_ref() }
                && latest_ref.number == fork::generation()
            {
                return latest_ref;
            }
            let fresh = Box::into_raw(Box::new(Generation {
                number: fork::generation(),
                runtime: OnceCell::new(),
            }));
            let swapped =
                LATEST.compare_exchange(latest, fresh, Ordering::AcqRel, Ordering::Acquire);
            if swapped.is_err() {
                // SAFETY: it was not published, so it is still ours alone.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

/// Starts a thread that takes no signals: those are the application's, and go to its own threads.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK);
    let everything = SignalMask::block_all();
    let spawned = builder.spawn(body);
    drop(everything);
    spawned.map(drop)
}

/// All signals blocked in this thread, until dropped. A new thread inherits its maker's mask.
struct SignalMask(libc::sigset_t);

impl SignalMask {
    fn block_all() -> SignalMask {
        // SAFETY: both sets live through the calls, which cannot fail for these arguments.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            SignalMask(before)
        }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: the mask is the one that this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

impl Runtime {
    fn start() -> Result<&'static Runtime> {
        let refused = |what: &str, error: io::Error| {
            Error::new(
                Status::System,
                format!("the engine can't start: no {what}: {error}"),
            )
        };
        let poll = Poll::new().map_err(|error| refused("descriptor for polling", error))?;
        let waker = Waker::new(poll.registry(), WAKER)
            .map_err(|error| refused("descriptor for waking", error))?;
        let registry = poll
            .registry()
            .try_clone()
            .map_err(|error| refused("descriptor for polling", error))?;
        let name = Token::generate()
            .map_err(|error| refused("random bytes", io::Error::other(error.to_string())))?;
        let runtime: &'static Runtime = Box::leak(Box::new(Runtime {
            core: OnceCell::new(),
            poller: Mutex::new(Poller::new(poll)),
            mailbox: Mutex::new(Mailbox {
                requests: Vec::new(),
                driver: Driver::Busy,
                recall: false,
                release: Release::No,
                lonely_calls: 0,
                driven: 0,
                stays: false,
            }),
            stand_by_over: Condvar::new(),
            waker,
            channels: format!("redlock:{}", name.as_str()),
            places: Mutex::default(),
            resolver: Resolver::default(),
            awaited: Gauge::default(),
            last_return: AtomicU64::new(0),
        }));
        let core = Core::new(runtime, registry);
        let _ = runtime.core.set(Mutex::new(core));
        spawn("redlock-io", || runtime.drive_for_ever())
            .map_err(|error| refused("thread", error))?;
        Ok(runtime)
    }

    fn core(&self) -> &Mutex<Core> {
        self.core
            .get()
            .expect("set before the runtime is published")
    }

    // ---- for other threads ----

    /// A number for a new set of nodes.
    pub(crate) fn reserve_place(&self) -> usize {
        let mut places = lock(&self.places);
        places.free.pop().unwrap_or_else(|| {
            places.next += 1;
            places.next - 1
        })
    }

    pub(crate) fn free_place(&self, place: usize) {
        lock(&self.places).free.push(place);
    }

    /// Starts an operation; its outcome comes through its ticket. One that is alone is sent by this thread, so that it
    /// does not wait for the driver to wake up; in company it is handed over, to share the others' batches.
    pub(crate) fn submit(&self, operation: Operation) {
        let operation = Box::new(operation);
        let Some(mut core) = self.step_aside() else {
            return self.send(Request::Submit(operation));
        };
        let sent = catch_unwind(AssertUnwindSafe(|| core.send_aside(operation)));
        let wake = sent.unwrap_or_else(|_| {
            core.fail_everything();
            true
        });
        drop(core);
        if wake {
            self.call_driver(lock(&self.mailbox));
        }
    }

    /// Lets this thread into the core beside the driver, if that waits for sockets and nothing else is under way. Never
    /// waits for the core: whoever has it may be calling out, and that call may need what this thread holds.
    fn step_aside(&self) -> Option<MutexGuard<'_, Core>> {
        let mailbox = lock(&self.mailbox);
        let alone = mailbox.driver == Driver::Waiting
            && mailbox.requests.is_empty()
            && self.awaited.get() == 0;
        match alone {
            true => try_lock(self.core()),
            false => None,
        }
    }

    /// Hands a request to whoever drives.
    pub(crate) fn send(&self, request: Request) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.requests.push(request);
        self.call_driver(mailbox);
    }

    /// Hands over a request that may wait for some milliseconds. A thread that stands by is not woken for it: it looks by
    /// itself before long, or a caller that drives takes it along.
    pub(crate) fn send_unhurried(&self, request: Request) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.requests.push(request);
        if mailbox.driver != Driver::None {
            self.call_driver(mailbox);
        }
    }

    /// Has the driver look at the mailbox. It is woken after the mailbox was let go, for which it would only wait again.
    fn call_driver(&self, mut mailbox: MutexGuard<'_, Mailbox>) {
        match mailbox.driver {
            Driver::Busy => {}
            Driver::Waiting => {
                mailbox.driver = Driver::Busy;
                drop(mailbox);
                if let Err(error) = self.waker.wake() {
                    log::write(Level::Error, || format!("waking the I/O thread: {error}"));
                }
            }
            Driver::None => self.recall(mailbox),
        }
    }

    fn recall(&self, mut mailbox: MutexGuard<'_, Mailbox>) {
        mailbox.recall = true;
        drop(mailbox);
        self.stand_by_over.notify_one();
    }

    /// Carries an operation out and waits for its outcome.
    pub(crate) fn run(&self, operation: Operation, ticket: &Ticket) -> Outcome {
        let outcome = if self.take_wheel() {
            self.at_wheel(ticket, || self.drive(operation, ticket))
                .unwrap_or_else(|| self.wait(ticket))
        } else {
            self.count_lonely_calls();
            self.submit(operation);
            self.wait(ticket)
        };
        self.last_return.store(clock::now(), Ordering::Relaxed);
        outcome
    }

    /// Sees whether callers come one at a time and fast.
    fn count_lonely_calls(&self) {
        let since = clock::now().saturating_sub(self.last_return.load(Ordering::Relaxed));
        let mut mailbox = lock(&self.mailbox);
        let lonely = since < SUCCESSION && self.awaited.get() == 0 && mailbox.requests.is_empty();
        mailbox.lonely_calls = if lonely { mailbox.lonely_calls + 1 } else { 0 };
        mailbox.release = match mailbox.lonely_calls >= LONELY_CALLS {
            true => Release::WhenIdle,
            false => Release::No,
        };
    }

    /// Waits for an outcome that the background thread brings. If that takes long, this thread drives as soon as it is
    /// alone, so that it is woken by the nodes themselves.
    fn wait(&self, ticket: &Ticket) -> Outcome {
        for tries in 0..TRIES_TO_TAKE_OVER {
            if let Some(outcome) = ticket.wait_for(SLEEPS_FOR * (1 << tries)) {
                return outcome;
            }
            if !self.has_thread_stand_by() {
                continue;
            }
            if let Some(outcome) = ticket.wait_for(TAKES_OVER_AFTER) {
                return outcome;
            }
            if self.take_wheel()
                && let Some(outcome) = self.at_wheel(ticket, || self.stay(ticket))
            {
                return outcome;
            }
        }
        ticket.wait()
    }

    /// Asks the background thread to stand by, if nothing is under way but what this thread waits for.
    fn has_thread_stand_by(&self) -> bool {
        let mut mailbox = lock(&self.mailbox);
        let alone = mailbox.driver == Driver::Waiting
            && mailbox.requests.is_empty()
            && self.awaited.get() == 1;
        if alone {
            mailbox.release = Release::AtOnce;
            self.call_driver(mailbox);
        }
        alone
    }

    // ---- a caller that drives ----

    /// Makes this thread the driver, if there is none.
    fn take_wheel(&self) -> bool {
        let mut mailbox = lock(&self.mailbox);
        if mailbox.driver != Driver::None || mailbox.recall {
            return false;
        }
        mailbox.driver = Driver::Busy;
        mailbox.driven += 1;
        true
    }

    /// Drives, and leaves the wheel when `drive` does. Gives the outcome, if it came meanwhile.
    fn at_wheel(
        &self,
        ticket: &Ticket,
        drive: impl FnOnce() -> (Option<Outcome>, u64),
    ) -> Option<Outcome> {
        let Ok((outcome, company)) = catch_unwind(AssertUnwindSafe(drive)) else {
            lock(self.core()).fail_everything();
            self.leave_wheel(true);
            let error = Error::new(Status::Internal, Status::Internal.message());
            return Some(ticket.take().unwrap_or(Outcome::Failed(error)));
        };
        self.leave_wheel(company > 0);
        outcome
    }

    /// The outcome, if it came soon enough, and how many others wait for theirs.
    fn drive(&self, operation: Operation, ticket: &Ticket) -> (Option<Outcome>, u64) {
        let until = clock::now() + CALLER_DRIVES_FOR;
        let mut poller = lock(&self.poller);
        lock(self.core()).submit(Box::new(operation));
        self.turns(&mut poller, until, ticket, || clock::now() < until)
    }

    /// The outcome, if it came before there was company, and how many others wait for theirs.
    fn stay(&self, ticket: &Ticket) -> (Option<Outcome>, u64) {
        lock(&self.mailbox).stays = true;
        let mut poller = lock(&self.poller);
        self.turns(&mut poller, Nanos::MAX, ticket, || self.awaited.get() <= 1)
    }

    /// Turns until the ticket's outcome is there, and while `goes_on`.
    fn turns(
        &self,
        poller: &mut Poller,
        until: Nanos,
        ticket: &Ticket,
        goes_on: impl Fn() -> bool,
    ) -> (Option<Outcome>, u64) {
        let mut outcome = ticket.take();
        while outcome.is_none() && goes_on() {
            self.turn(poller, until, Some(ticket));
            outcome = ticket.take();
        }
        (outcome, lock(self.core()).settle())
    }

    fn leave_wheel(&self, company: bool) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.driver = Driver::None;
        // The background thread does not look after one who stays.
        let stayed = std::mem::take(&mut mailbox.stays);
        if company || stayed || !mailbox.requests.is_empty() {
            mailbox.lonely_calls = 0;
            self.recall(mailbox);
        }
    }

    // ---- the background thread ----

    fn drive_for_ever(&self) {
        loop {
            let turns = catch_unwind(AssertUnwindSafe(|| {
                let mut poller = lock(&self.poller);
                while !self.may_stand_by() {
                    self.turn(&mut poller, Nanos::MAX, None);
                }
            }));
            match turns {
                Ok(()) => self.stand_by(),
                Err(_) => {
                    log::write(Level::Error, || {
                        "a defect in libredlock stopped the I/O thread for a moment".to_owned()
                    });
                    lock(self.core()).fail_everything();
                }
            }
        }
    }

    /// Leaves the engine to the callers, if they come one at a time and nothing is under way, or to one who waits alone.
    fn may_stand_by(&self) -> bool {
        let mut mailbox = lock(&self.mailbox);
        let most = match mailbox.release {
            Release::No => return false,
            Release::WhenIdle => 0,
            Release::AtOnce => 1,
        };
        if self.awaited.get() > most || !mailbox.requests.is_empty() {
            if mailbox.release == Release::AtOnce {
                mailbox.release = Release::No;
            }
            return false;
        }
        mailbox.release = Release::No;
        mailbox.recall = false;
        mailbox.driver = Driver::None;
        true
    }

    /// Waits until it is called, or until no caller has driven for a while; then it drives again.
    fn stand_by(&self) {
        let mut mailbox = lock(&self.mailbox);
        let mut driven = mailbox.driven;
        loop {
            let looks_after = if mailbox.stays {
                Duration::MAX
            } else {
                STANDBY
            };
            let waited = self.stand_by_over.wait_timeout(mailbox, looks_after);
            let (guard, timeout) = waited.unwrap_or_else(|e| e.into_inner());
            mailbox = guard;
            let deserted = timeout.timed_out() && driven == mailbox.driven;
            driven = mailbox.driven;
            if mailbox.driver == Driver::None && (mailbox.recall || deserted) {
                mailbox.driver = Driver::Busy;
                mailbox.recall = false;
                mailbox.lonely_calls = 0;
                return;
            }
        }
    }

    // ---- for the driver ----

    /// One turn of the engine, with a wait for sockets at most until `until`. During the wait others may enter the core.
    /// A caller who drives does not wait when its own outcome is there: others' requests can bring it, a close for one.
    fn turn(&self, poller: &mut Poller, until: Nanos, own: Option<&Ticket>) {
        let mut patience = lock(self.core()).prepare(until);
        if own.is_some_and(Ticket::has_outcome) {
            patience = Patience::NONE;
        }
        let (polled, looked_at) = poller.wait(patience);
        self.has_waited();
        lock(self.core()).react(polled, &poller.events, looked_at);
    }

    /// Moves what has come in to `requests`.
    pub(crate) fn take_requests(&self, requests: &mut Vec<Request>) {
        // A burst's room is not kept.
        if requests.capacity() > KEPT_REQUESTS {
            *requests = Vec::new();
        }
        std::mem::swap(&mut lock(&self.mailbox).requests, requests);
    }

    /// From here on requests come with a wake-up. False if some are there already.
    pub(crate) fn about_to_wait(&self) -> bool {
        let mut mailbox = lock(&self.mailbox);
        let nothing_new = mailbox.requests.is_empty();
        if nothing_new {
            mailbox.driver = Driver::Waiting;
        }
        nothing_new
    }

    pub(crate) fn has_waited(&self) {
        lock(&self.mailbox).driver = Driver::Busy;
    }
}
