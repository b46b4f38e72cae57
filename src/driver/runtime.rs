//! The threads around the engine: one background thread for the process, and callers that drive it themselves.
//!
//! Handing an operation to another thread and being woken by it costs two context switches, a third of a lock's whole
//! round trip on loopback. So a caller that finds the engine idle and its thread standing by drives it for the time of
//! its own call; one that waits for a lock for long, alone, has the thread stand by, and drives until its turn comes. As
//! soon as there is company, the background thread drives, and all callers' questions share its batches; that is faster
//! for many. Who drives when is in [`driving`](super::driving).
//!
//! What is handed over still saves one of the two switches while it is alone: the thread that submits an operation sends
//! its questions, beside a driver that waits for sockets, and the driver counts the answers.
//!
//! A driver holds no lock while it waits. A caller that drives takes no signals, or only while it waits, if that may take
//! long: whatever becomes of it there, another can drive.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use mio::Registry;
use once_cell::sync::OnceCell;

use super::address::Address;
use super::core::{Core, Operation, Request, Surroundings, Threads};
use super::credentials::Credentials;
use super::delivery::CoreLock;
use super::driving::{Call, Driving, Look, Pause, Term, Wait};
use super::entropy::{self, SystemEntropy};
use super::open_set::{Engine, OpenSet};
use super::places::Places;
use super::poller::{Patience, Poller, Waker};
use super::resolver::Resolver;
use super::ticket::{Caller, Outcome, Ticket};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::descriptors::Ours;
use crate::error::{Error, Result, Status};
use crate::fork::PerProcess;
use crate::jitter;
use crate::log::{self, Level};
use crate::protocol::grant::Grant;
use crate::protocol::node_set::NodeSet;
use crate::protocol::operation::Asker;
use crate::sync::{Gauge, lock};
use crate::threads::{self, BlockedSignals};

/// What "quick succession" of calls means.
const SUCCESSION: Nanos = MILLISECOND;
/// How long a caller drives at most, within one call.
const CALLER_DRIVES_FOR: Nanos = 5 * MILLISECOND;
/// How long a caller that does not drive sleeps before it takes over, if it is alone; twice as long before each new try.
const SLEEPS_FOR: Duration = Duration::from_millis(5);
const TRIES_TO_TAKE_OVER: u32 = 9;
/// For how long a caller sleeps that takes over from the background thread, until that stands by.
const TAKES_OVER_AFTER: Duration = Duration::from_millis(1);
/// How long the background thread waits before it tries again to get descriptors, if the system has none.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Requests that the mailbox keeps room for.
const KEPT_REQUESTS: usize = 1024;

/// The process's engine, with what other threads need to reach it.
pub(crate) struct Runtime {
    core: OnceCell<CoreLock>,
    mailbox: Mutex<Mailbox>,
    /// Wakes the background thread from standing by.
    stand_by_over: Condvar,
    /// Whether a caller may drive: the mailbox knows better.
    vacant: AtomicBool,
    places: Places,
    resolver: Resolver,
    /// Operations under way that somebody waits for.
    awaited: Gauge,
    /// Room for the requests of one turn.
    spare_requests: Mutex<Vec<Request>>,
    /// When the last blocking call came back.
    last_return: AtomicU64,
}

struct Mailbox {
    requests: Vec<Request>,
    driving: Driving,
    /// What drivers wait with, while nobody drives.
    poller: Option<Box<Poller>>,
    /// Wakes whoever waits with the present poller.
    waker: Arc<Waker>,
}

/// What a thread needs to drive.
struct Seat {
    term: Term,
    poller: Box<Poller>,
    /// A caller's; the background thread never takes any.
    signals: Option<BlockedSignals>,
}

/// The driver's term is over: another thread drives.
struct Deposed;

static RUNTIME: PerProcess<Runtime> = PerProcess::new();

/// The engine of this process; started on first use, and anew in a forked child.
pub(crate) fn get() -> Result<&'static Runtime> {
    RUNTIME.get_or_try_init(Runtime::start)
}

fn refused(what: &str, error: io::Error) -> Error {
    Error::new(
        Status::System,
        format!("the engine can't start: no {what}: {error}"),
    )
}

impl Runtime {
    fn start() -> Result<&'static Runtime> {
        let (poller, registry) =
            new_poller().map_err(|error| refused("descriptor for polling", error))?;
        let name = entropy::draw().map_err(|error| refused("random bytes", error))?;
        let (driving, term) = Driving::new();
        let runtime: &'static Runtime = Box::leak(Box::new(Runtime {
            core: OnceCell::new(),
            mailbox: Mutex::new(Mailbox {
                requests: Vec::new(),
                driving,
                poller: None,
                waker: poller.waker(),
            }),
            stand_by_over: Condvar::new(),
            vacant: AtomicBool::new(false),
            places: Places::default(),
            resolver: Resolver::default(),
            awaited: Gauge::default(),
            spare_requests: Mutex::default(),
            last_return: AtomicU64::new(0),
        }));
        let surroundings = Surroundings {
            mailbox: runtime,
            resolver: &runtime.resolver,
            places: &runtime.places,
        };
        let core = Core::new(
            surroundings,
            registry,
            Box::new(SystemEntropy),
            format!("libredlock:{}", name.as_str()),
            thread::available_parallelism().map_or(1, usize::from),
        );
        let _ = runtime.core.set(CoreLock::new(core));
        let seat = Seat {
            term,
            poller,
            signals: None,
        };
        runtime
            .start_thread(seat)
            .map_err(|error| refused("thread", error))?;
        Ok(runtime)
    }

    fn start_thread(&'static self, seat: Seat) -> io::Result<()> {
        threads::spawn("redlock-io", move || self.drive_for_ever(seat))
    }

    fn core(&self) -> &CoreLock {
        self.core
            .get()
            .expect("set before the runtime is published")
    }

    // ---- for other threads ----

    /// Starts an operation; its outcome comes through its ticket. One that is alone is sent by this thread, so that it
    /// does not wait for the driver to wake up; in company it is handed over, to share the others' batches.
    pub(crate) fn submit(&'static self, operation: Operation) {
        let operation = Box::new(operation);
        let is_alone = {
            let mailbox = lock(&self.mailbox);
            mailbox.driving.is_waiting() && mailbox.requests.is_empty() && self.awaited.get() == 0
        };
        match is_alone {
            true => self.send_aside(operation),
            false => self.send(Request::Submit(operation)),
        }
    }

    /// Sends the operation's questions beside the driver. Never waits for the core: this thread may hold what those need
    /// that have it. And no signal catches this thread there, whose handler would hold up all.
    fn send_aside(&'static self, operation: Box<Operation>) {
        let signals = BlockedSignals::new();
        let Some(mut core) = self.core().try_lock() else {
            drop(signals);
            return self.send(Request::Submit(operation));
        };
        let sent = catch_unwind(AssertUnwindSafe(|| core.send_aside(operation)));
        let wake = sent.unwrap_or_else(|_| {
            core.fail_everything();
            true
        });
        self.awaited.set(core.awaited());
        drop(core);
        drop(signals);
        if wake {
            self.call_driver(lock(&self.mailbox));
        }
    }

    /// Hands a request to the driver.
    pub(crate) fn send(&'static self, request: Request) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.requests.push(request);
        self.call_driver(mailbox);
    }

    /// Hands over a request that may wait for some milliseconds. A thread that stands by is not woken for it: it looks by
    /// itself before long, or a caller that drives takes it along.
    pub(crate) fn send_unhurried(&'static self, request: Request) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.requests.push(request);
        if !mailbox.driving.is_idle() {
            self.call_driver(mailbox);
        }
    }

    /// Has the driver look at the mailbox.
    fn call_driver(&'static self, mut mailbox: MutexGuard<'_, Mailbox>) {
        let call = mailbox.driving.call();
        self.carry_out(call, mailbox);
    }

    /// Wakes whom it takes, after letting the mailbox go, for which they would only wait again.
    fn carry_out(&'static self, call: Call, mailbox: MutexGuard<'_, Mailbox>) {
        self.note_vacancy(&mailbox);
        let waker = match call {
            Call::WakeDriver | Call::WakeBoth => Some(Arc::clone(&mailbox.waker)),
            Call::WakeBackground | Call::Nothing => None,
        };
        drop(mailbox);
        if matches!(call, Call::WakeBackground | Call::WakeBoth) {
            self.stand_by_over.notify_one();
        }
        if let Some(waker) = waker
            && let Err(error) = waker.wake()
        {
            self.waker_is_lost(&waker, &error);
        }
    }

    fn note_vacancy(&self, mailbox: &Mailbox) {
        self.vacant
            .store(mailbox.driving.is_vacant(), Ordering::Relaxed);
    }

    /// Carries an operation out and waits for its outcome.
    pub(crate) fn run(&'static self, operation: Operation, ticket: &Ticket) -> Outcome {
        let outcome = match self.lead() {
            Some(seat) => self
                .in_seat(seat, ticket, |seat| self.drive(seat, operation, ticket))
                .unwrap_or_else(|| self.wait(ticket)),
            None => {
                self.count_call();
                self.submit(operation);
                self.wait(ticket)
            }
        };
        self.last_return.store(clock::now(), Ordering::Relaxed);
        outcome
    }

    /// Sees whether callers come one at a time and fast.
    fn count_call(&self) {
        let since = clock::now().saturating_sub(self.last_return.load(Ordering::Relaxed));
        let mut mailbox = lock(&self.mailbox);
        let lonely = since < SUCCESSION && self.awaited.get() == 0 && mailbox.requests.is_empty();
        mailbox.driving.count_call(lonely);
    }

    /// Waits for an outcome that the background thread brings. If that takes long, this thread drives as soon as it is
    /// alone, so that it is woken by the nodes themselves.
    fn wait(&'static self, ticket: &Ticket) -> Outcome {
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
            if let Some(seat) = self.lead()
                && let Some(outcome) = self.in_seat(seat, ticket, |seat| self.stay(seat, ticket))
            {
                return outcome;
            }
        }
        ticket.wait()
    }

    /// Asks the background thread to stand by, if nothing is under way but what this thread waits for.
    fn has_thread_stand_by(&'static self) -> bool {
        let mut mailbox = lock(&self.mailbox);
        let alone =
            mailbox.driving.is_waiting() && mailbox.requests.is_empty() && self.awaited.get() == 1;
        if alone {
            let call = mailbox.driving.ask_to_stand_by();
            self.carry_out(call, mailbox);
        }
        alone
    }

    // ---- a caller that drives ----

    /// Makes this thread the driver, if there is none.
    fn lead(&self) -> Option<Seat> {
        if !self.vacant.load(Ordering::Relaxed) {
            return None;
        }
        let signals = BlockedSignals::new();
        let mut mailbox = lock(&self.mailbox);
        mailbox.poller.as_ref()?;
        let term = mailbox.driving.lead()?;
        let poller = mailbox.poller.take()?;
        self.note_vacancy(&mailbox);
        Some(Seat {
            term,
            poller,
            signals: Some(signals),
        })
    }

    /// Drives, and leaves when `drive` does. Gives the outcome, if it came meanwhile.
    fn in_seat(
        &self,
        mut seat: Seat,
        ticket: &Ticket,
        drive: impl FnOnce(&mut Seat) -> (Option<Outcome>, u64),
    ) -> Option<Outcome> {
        let Ok((outcome, company)) = catch_unwind(AssertUnwindSafe(|| drive(&mut seat))) else {
            self.core().lock().fail_everything();
            self.leave(seat, true);
            let error = Error::new(Status::Internal, Status::Internal.message());
            return Some(ticket.take().unwrap_or(Outcome::Failed(error)));
        };
        self.leave(seat, company > 0);
        outcome
    }

    /// The outcome, if it came soon enough, and how many others wait for theirs.
    fn drive(
        &self,
        seat: &mut Seat,
        operation: Operation,
        ticket: &Ticket,
    ) -> (Option<Outcome>, u64) {
        let until = clock::now() + CALLER_DRIVES_FOR;
        self.core().lock().submit(Box::new(operation));
        self.turns(seat, until, ticket, || clock::now() < until)
    }

    /// The outcome, if it came before there was company, and how many others wait for theirs.
    fn stay(&self, seat: &mut Seat, ticket: &Ticket) -> (Option<Outcome>, u64) {
        lock(&self.mailbox).driving.stay(seat.term);
        self.turns(seat, Nanos::MAX, ticket, || self.awaited.get() <= 1)
    }

    /// Turns until the ticket's outcome is there, and while `goes_on`.
    fn turns(
        &self,
        seat: &mut Seat,
        until: Nanos,
        ticket: &Ticket,
        goes_on: impl Fn() -> bool,
    ) -> (Option<Outcome>, u64) {
        let mut outcome = ticket.take();
        while outcome.is_none() && goes_on() {
            if let Err(Deposed) = self.turn(seat, until, Some(ticket)) {
                return (ticket.take(), 0);
            }
            outcome = ticket.take();
        }
        let company = self.core().lock().settle();
        self.awaited.set(company);
        // What settling has brought.
        (outcome.or_else(|| ticket.take()), company)
    }

    fn leave(&self, seat: Seat, company: bool) {
        let mut mailbox = lock(&self.mailbox);
        let company = company || !mailbox.requests.is_empty();
        let left = mailbox.driving.leave(seat.term, company);
        if left.is_some() {
            mailbox.poller = Some(seat.poller);
        }
        self.note_vacancy(&mailbox);
        drop(mailbox);
        if left == Some(true) {
            self.stand_by_over.notify_one();
        }
    }

    // ---- the background thread ----

    /// Ends only if another thread has taken its place.
    fn drive_for_ever(&'static self, mut seat: Seat) {
        loop {
            let turns = catch_unwind(AssertUnwindSafe(|| {
                while !self.may_stand_by(seat.term) {
                    self.turn(&mut seat, Nanos::MAX, None)?;
                }
                Ok(())
            }));
            match turns {
                Ok(Ok(())) => seat = self.stand_by(seat),
                Ok(Err(Deposed)) => return,
                Err(_) => {
                    log::write(Level::Error, || {
                        "a defect in libredlock stopped the I/O thread for a moment".to_owned()
                    });
                    self.core().lock().fail_everything();
                }
            }
        }
    }

    /// Leaves the engine to the callers, if they come one at a time and nothing is under way, or to one who waits alone.
    fn may_stand_by(&self, term: Term) -> bool {
        let mut mailbox = lock(&self.mailbox);
        let requests = !mailbox.requests.is_empty();
        mailbox.driving.stand_by(term, self.awaited.get(), requests)
    }

    /// Waits until it is called, until no caller has driven for a while, or until one that drives is late; then it drives
    /// again.
    fn stand_by(&self, seat: Seat) -> Seat {
        let mut mailbox = lock(&self.mailbox);
        mailbox.poller = Some(seat.poller);
        self.note_vacancy(&mailbox);
        loop {
            let now = clock::now();
            let asleep = match mailbox.driving.look(now) {
                Look::Drive(term) => {
                    self.note_vacancy(&mailbox);
                    return Seat {
                        term,
                        poller: mailbox.poller.take().expect("there while nobody drives"),
                        signals: None,
                    };
                }
                Look::Late => match self.depose(mailbox) {
                    Ok(seat) => return seat,
                    Err(guard) => {
                        mailbox = guard;
                        NO_DESCRIPTORS
                    }
                },
                Look::Sleep(Nanos::MAX) => Duration::MAX,
                Look::Sleep(until) => Duration::from_nanos(until.saturating_sub(now)),
            };
            let waited = self.stand_by_over.wait_timeout(mailbox, asleep);
            mailbox = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// Begins a new term with a new poller, because the driver does not come back from its wait. That one finds out when
    /// it does; until then nobody touches the poller that it waits with.
    fn depose<'a>(
        &self,
        mut mailbox: MutexGuard<'a, Mailbox>,
    ) -> std::result::Result<Seat, MutexGuard<'a, Mailbox>> {
        let Ok((poller, registry)) = new_poller() else {
            return Err(mailbox);
        };
        let term = mailbox.driving.depose();
        mailbox.waker = poller.waker();
        self.note_vacancy(&mailbox);
        drop(mailbox);
        self.core().lock().watch_by(registry);
        Ok(Seat {
            term,
            poller,
            signals: None,
        })
    }

    /// The application has closed the descriptor that the driver is woken by, and the driver sleeps on.
    fn waker_is_lost(&'static self, waker: &Arc<Waker>, error: &io::Error) {
        let mailbox = lock(&self.mailbox);
        if !Arc::ptr_eq(&mailbox.waker, waker) {
            return;
        }
        log::write(Level::Error, || {
            format!("the library's descriptors were closed by this program: {error}")
        });
        if mailbox.driving.stands_by() {
            drop(mailbox);
            return self.stand_by_over.notify_one();
        }
        if let Ok(seat) = self.depose(mailbox) {
            // Without a thread the next one who has a request tries again.
            let _ = self.start_thread(seat);
        }
    }

    // ---- for the driver ----

    /// One turn of the engine, with a wait for sockets at most until `until`. During the wait others may enter the core.
    fn turn(
        &self,
        seat: &mut Seat,
        until: Nanos,
        own: Option<&Ticket>,
    ) -> std::result::Result<(), Deposed> {
        let mut patience = self.prepare(until);
        // Others' requests can bring it, a close for one.
        if own.is_some_and(Ticket::has_outcome) {
            return Ok(());
        }
        let waits = self.begin_wait(seat.term, patience)?;
        if !waits {
            patience = Patience::NONE;
        }
        // One who drives for some milliseconds takes its signals then.
        let signals = seat.signals.as_ref().filter(|_| until == Nanos::MAX);
        let (polled, looked_at) = seat.poller.wait(patience, signals);
        if waits && !lock(&self.mailbox).driving.resume(seat.term) {
            return Err(Deposed);
        }
        match polled {
            // A signal ended the wait, a SIGCONT for one; what has come in meanwhile was not looked at.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.renew_poller(seat, &error),
            Ok(()) => self.core().lock().react(&seat.poller.events, looked_at),
        }
        Ok(())
    }

    /// From here on requests come with a wake-up. False if some are there already.
    fn begin_wait(&self, term: Term, patience: Patience) -> std::result::Result<bool, Deposed> {
        let mut mailbox = lock(&self.mailbox);
        let requests = !mailbox.requests.is_empty();
        let wait = Wait {
            until: patience.until,
            keep_due: patience.keep_due,
        };
        match mailbox.driving.wait(term, wait, requests) {
            Pause::Deposed => Err(Deposed),
            Pause::LookOnly => Ok(false),
            Pause::Wait => Ok(true),
            Pause::WaitAndWakeBackground => {
                drop(mailbox);
                self.stand_by_over.notify_one();
                Ok(true)
            }
        }
    }

    /// Waiting has failed, which it does only if the application has closed the library's descriptors.
    fn renew_poller(&self, seat: &mut Seat, error: &io::Error) {
        log::write(Level::Error, || format!("waiting for sockets: {error}"));
        let Ok((poller, registry)) = new_poller() else {
            return thread::sleep(NO_DESCRIPTORS);
        };
        lock(&self.mailbox).waker = poller.waker();
        seat.poller = poller;
        self.core().lock().watch_by(registry);
    }

    /// The first half of a turn, with the requests that have come in.
    fn prepare(&self, until: Nanos) -> Patience {
        let mut requests = std::mem::take(&mut *lock(&self.spare_requests));
        std::mem::swap(&mut lock(&self.mailbox).requests, &mut requests);
        let mut core = self.core().lock();
        let patience = core.prepare(until, &mut requests);
        self.awaited.set(core.awaited());
        drop(core);
        // A burst's room is not kept.
        if requests.capacity() <= KEPT_REQUESTS {
            *lock(&self.spare_requests) = requests;
        }
        patience
    }
}

impl super::core::Mailbox for Runtime {
    fn send(&'static self, request: Request) {
        Runtime::send(self, request);
    }
}

impl Engine for Runtime {
    fn reserve_place(&self) -> usize {
        self.places.reserve()
    }

    fn open(
        &'static self,
        nodes: Arc<NodeSet>,
        addresses: Arc<[Arc<Address>]>,
        credentials: Arc<Credentials>,
    ) {
        self.send(Request::Open {
            nodes,
            addresses,
            credentials,
        });
    }

    fn shut(&'static self, place: usize) {
        self.send(Request::Shut { place });
    }

    fn close(&'static self, place: usize) {
        self.send(Request::Close { place });
    }

    fn give_back(&'static self, set: Arc<OpenSet>, grant: &Arc<Grant>) {
        let asker = Asker::Background(Caller::Background(set));
        self.submit(release(grant, asker));
    }
}

/// The operation that gives a lock back, beginning now.
pub(crate) fn release(grant: &Arc<Grant>, asker: Asker<Threads>) -> Operation {
    Operation::release(grant, asker, clock::now(), jitter::random())
}

fn new_poller() -> io::Result<(Box<Poller>, Ours<Registry>)> {
    let poller = Box::new(Poller::new()?);
    let registry = poller.registry()?;
    Ok((poller, registry))
}
