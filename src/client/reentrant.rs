//! A lock that its holder may take again while holding it: it counts, and only the first acquire and the last release
//! ask the nodes.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::factory::{Factory, Wait};
use super::lock::{Lock, won};
use super::queue::Queue;
use crate::driver::core::{Operation, Request};
use crate::driver::runtime;
use crate::driver::ticket::Ticket;
use crate::error::{Error, Result, Status};
use crate::fork;
use crate::sync::lock;

/// A holder of the lock on one resource that may acquire it again while it holds it, as code does that calls itself or
/// other code that needs the same lock. Each acquire asks for one release; the first acquire takes the lock, the last
/// release gives it back, and those between only count: they touch no node.
///
/// Whoever uses the same `ReentrantLock` is the same holder, from whichever thread; make one for each party that is to
/// be kept apart. Dropping it gives back what is held.
///
/// ```
/// # let masters = testkit::Cluster::start(3);
/// # let urls = masters.urls();
/// # use std::time::Duration;
/// use redlock::{Factory, ReentrantLock, Wait};
/// # let factory = Factory::new(&urls)?;
///
/// let holder = ReentrantLock::new(&factory, "ledger", Duration::from_secs(10))?;
/// holder.acquire(Wait::No)?;
/// holder.acquire(Wait::No)?; // an inner call, which does not know of the outer one
/// holder.release()?;
/// assert!(factory.is_locked("ledger")?);
/// holder.release()?;
/// assert!(!factory.is_locked("ledger")?);
/// # Ok::<(), redlock::Error>(())
/// ```
pub struct ReentrantLock {
    factory: Factory,
    resource: Box<str>,
    ttl: Duration,
    /// The process that made it; a forked child must not even look at the state, which may be locked for ever there.
    generation: u64,
    state: Mutex<State>,
    /// The acquire that asked the nodes has ended.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    /// Acquires without their release yet.
    count: usize,
    /// Held while `count` is not 0.
    lock: Option<Lock>,
    /// The acquire that asks the nodes now; the others wait for it.
    asking: Option<Arc<Ticket>>,
    closed: bool,
}

impl ReentrantLock {
    /// A holder that holds nothing yet. `resource` and `ttl` are those of each acquire, with the same limits as for
    /// [`Factory::acquire`]; the nodes are not asked.
    pub fn new(factory: &Factory, resource: &str, ttl: Duration) -> Result<ReentrantLock> {
        factory.check_arguments(resource, ttl)?;
        fork::watch();
        Ok(ReentrantLock {
            factory: factory.clone(),
            resource: resource.into(),
            ttl,
            generation: fork::generation(),
            state: Mutex::default(),
            settled: Condvar::new(),
        })
    }

    /// Takes the lock, trying for as long as `wait` says, or counts one more if it is held already. While another thread
    /// takes it through this holder, waits for the outcome of that, at most as long as `wait` says.
    ///
    /// Errors: those of [`Factory::acquire`]; [`Expired`](Status::Expired) if the lock is held through this holder, but
    /// was lost: it counts on for the releases to come, and can be taken afresh after the last one.
    pub fn acquire(&self, wait: Wait) -> Result<()> {
        let patience = Patience::new(wait);
        let mut state = self.state()?;
        loop {
            if state.closed {
                return Err(self.error(Status::Closed, "was closed"));
            }
            if let Some(held) = &state.lock {
                self.check_held(held)?;
                state.count += 1;
                return Ok(());
            }
            if state.asking.is_none() {
                return self.acquire_first(state, patience.left());
            }
            state = self.wait_for_other(state, &patience)?;
        }
    }

    fn check_held(&self, held: &Lock) -> Result<()> {
        if held.validity().is_zero() {
            return Err(self.error(
                Status::Expired,
                "has lost its lock, which can be taken afresh after the last release",
            ));
        }
        Ok(())
    }

    /// Asks the nodes, and settles what came of it.
    fn acquire_first(&self, mut state: MutexGuard<'_, State>, wait: Wait) -> Result<()> {
        let names = [&*self.resource];
        let (operation, ticket) = self.factory.acquire_operation(&names, self.ttl, wait)?;
        state.begin(operation, &ticket)?;
        drop(state);
        let outcome = won(ticket.wait());
        let mut state = lock(&self.state);
        state.asking = None;
        self.settled.notify_all();
        if state.closed {
            drop(state);
            // A lock that was won all the same goes back here.
            drop(outcome);
            return Err(self.error(Status::Closed, "was closed"));
        }
        state.lock = Some(outcome?);
        state.count = 1;
        Ok(())
    }

    /// Waits until another thread's acquire has ended; fails when patience has.
    fn wait_for_other<'a>(
        &self,
        state: MutexGuard<'a, State>,
        patience: &Patience,
    ) -> Result<MutexGuard<'a, State>> {
        let asking = |state: &mut State| state.asking.is_some();
        let Some(left) = patience.until() else {
            let waited = self.settled.wait_while(state, asking);
            return Ok(waited.unwrap_or_else(|e| e.into_inner()));
        };
        let waited = self.settled.wait_timeout_while(state, left, asking);
        let (state, _) = waited.unwrap_or_else(|e| e.into_inner());
        if state.asking.is_some() {
            return Err(self.error(Status::Contended, "is still acquiring in another thread"));
        }
        Ok(state)
    }

    /// Takes one acquire back. The last one gives the lock back, as [`Lock::release`] does and with its errors; then the
    /// holder holds nothing, whatever the outcome. [`Released`](Status::Released) if nothing is held.
    pub fn release(&self) -> Result<()> {
        let mut state = self.state()?;
        match state.count {
            0 => return Err(self.holds_nothing()),
            1 => {}
            _ => {
                state.count -= 1;
                return Ok(());
            }
        }
        state.count = 0;
        let held = state.lock.take();
        drop(state);
        held.map_or(Ok(()), |held| held.release())
    }

    /// For how long from now the lock is proven held, as [`Lock::validity`]; zero when nothing is held.
    pub fn validity(&self) -> Duration {
        self.held(|held| Ok(held.validity())).unwrap_or_default()
    }

    /// The fence of the lock that is held, as [`Lock::fence`]; 0 when nothing is.
    pub fn fence(&self) -> u64 {
        self.held(|held| Ok(held.fence())).unwrap_or_default()
    }

    /// The number of acquires that have not been released yet.
    pub fn count(&self) -> usize {
        self.state().map_or(0, |state| state.count)
    }

    /// The name of what is locked.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Has the lock that is held extended in time until the last release, as [`Lock::keep_alive`] does. To be called anew
    /// after each first acquire. [`Released`](Status::Released) if nothing is held.
    pub fn keep_alive(&self, on_loss: impl FnOnce(Error) + Send + 'static) -> Result<()> {
        self.held(|held| held.keep_alive(on_loss))
    }

    /// As [`keep_alive`](ReentrantLock::keep_alive), with an event of kind [`Lost`](crate::EventKind::Lost) in `queue` on a
    /// loss.
    pub fn keep_alive_in(&self, queue: &Queue, id: u64) -> Result<()> {
        self.held(|held| held.keep_alive_in(queue, id))
    }

    /// As [`keep_alive`](ReentrantLock::keep_alive), without a notice.
    pub fn keep_alive_silently(&self) -> Result<()> {
        self.held(Lock::keep_alive_silently)
    }

    /// Does something that does not block with the lock that is held.
    fn held<T>(&self, action: impl FnOnce(&Lock) -> Result<T>) -> Result<T> {
        match &self.state()?.lock {
            Some(held) => action(held),
            None => Err(self.holds_nothing()),
        }
    }

    /// Gives back what is held, in the background, and ends the holder: acquires that wait in other threads fail with
    /// [`Closed`](Status::Closed), later ones too.
    pub fn close(&self) {
        let Ok(mut state) = self.state() else {
            return;
        };
        state.closed = true;
        state.count = 0;
        let held = state.lock.take();
        let asking = state.asking.clone();
        drop(state);
        drop(held);
        if let (Some(ticket), Ok(runtime)) = (asking, runtime::get()) {
            runtime.send(Request::Cancel(ticket));
        }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        if self.generation != fork::generation() {
            return Err(self.error(
                Status::Forked,
                "was made by the parent process, before the fork",
            ));
        }
        Ok(lock(&self.state))
    }

    fn holds_nothing(&self) -> Error {
        self.error(Status::Released, "holds nothing")
    }

    fn error(&self, status: Status, what: &str) -> Error {
        let resource = &self.resource;
        Error::new(status, format!("the holder of {resource:?} {what}"))
    }
}

impl State {
    /// Starts the operation, so that whoever sees the ticket can cancel it.
    fn begin(&mut self, operation: Operation, ticket: &Arc<Ticket>) -> Result<()> {
        runtime::get()?.submit(operation);
        self.asking = Some(Arc::clone(ticket));
        Ok(())
    }
}

impl fmt::Debug for ReentrantLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantLock")
            .field("resource", &self.resource)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// How long an acquire still waits, also after it waited for another thread.
struct Patience {
    wait: Wait,
    began: Instant,
}

impl Patience {
    fn new(wait: Wait) -> Patience {
        let began = Instant::now();
        Patience { wait, began }
    }

    /// The time that is left; `None` for ever.
    fn until(&self) -> Option<Duration> {
        match self.wait {
            Wait::No => Some(Duration::ZERO),
            Wait::For(budget) => Some(budget.saturating_sub(self.began.elapsed())),
            Wait::Forever => None,
        }
    }

    /// The wait for an attempt that begins now.
    fn left(&self) -> Wait {
        match (self.wait, self.until()) {
            (Wait::For(_), Some(left)) => Wait::For(left),
            (wait, _) => wait,
        }
    }
}
