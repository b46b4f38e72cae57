//! A lock that is held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::arguments::check_ttl;
use super::pending::{self, Pending};
use super::queue::Queue;
use crate::clock;
use crate::driver::core::{Kept, Operation, Request};
use crate::driver::held::Held;
use crate::driver::loss::{Notice, OnLoss};
use crate::driver::open_set::OpenSet;
use crate::driver::runtime;
use crate::driver::ticket::{EventKind, Outcome, Ticket};
use crate::error::{Error, Result, Status};
use crate::protocol::grant::Grant;
use crate::protocol::rules::validity;

/// A lock of at least this TTL, in ms, is extended so late that a few milliseconds do not matter.
const UNHURRIED_TTL_MS: u64 = 1_000;

/// A lock that this process took. Dropping it gives the lock back in the background; [`detach`](Lock::detach) leaves it held
/// until its TTL ends. Can be used from any number of threads at once; its operations reach each node in the order in which
/// they were called.
pub struct Lock(Held);

impl Lock {
    pub(crate) fn new(held: Held) -> Lock {
        Lock(held)
    }

    fn grant(&self) -> &Arc<Grant> {
        &self.0.grant
    }

    fn set(&self) -> &Arc<OpenSet> {
        &self.0.set
    }

    /// Gives the lock back, and waits until a quorum of nodes has freed it. Whatever the outcome, the lock is not held
    /// any more as far as this handle goes.
    ///
    /// Errors: [`Expired`](Status::Expired) if it had been lost before (worth knowing: another owner may have been at
    /// work); [`NoQuorum`](Status::NoQuorum) if too few nodes could be told, in which case each is told when it is back,
    /// and the TTL frees the lock at the latest; [`Released`](Status::Released) if it was given back before.
    pub fn release(&self) -> Result<()> {
        let (operation, ticket) = self.release_operation()?;
        pending::released(runtime::get()?.run(operation, &ticket))
    }

    /// As [`release`](Lock::release), as a future. The release goes out at once, also when the future is dropped.
    pub fn release_async(&self) -> Pending<()> {
        Pending::start(self.release_operation(), pending::released)
    }

    /// Starts a release that will end in an event of `queue`.
    pub fn submit_release(&self, queue: &Queue, id: u64) -> Result<()> {
        self.check_owner()?;
        let grant = self.grant();
        queue.submit(self.set(), id, EventKind::Release, |asker| {
            self.begin_release()?;
            Ok(runtime::release(grant, asker))
        })
    }

    fn release_operation(&self) -> Result<(Operation, Arc<Ticket>)> {
        self.check_owner()?;
        self.begin_release()?;
        let ticket = Ticket::for_caller(self.set());
        let asker = ticket.asker();
        let operation = runtime::release(self.grant(), asker);
        Ok((operation, ticket))
    }

    /// Lets go of the lock without giving it back: it stays held on the nodes until its TTL ends, and is not extended any
    /// more. For work that is to be done at most once in a period: whoever comes within the TTL is refused. (Dropping a
    /// lock gives it back.) Asks no node. An extension that is under way still takes effect; afterwards nothing can extend
    /// or release the lock.
    pub fn detach(self) {
        self.let_go();
    }

    /// [`detach`](Lock::detach) for a handle that others share: what they call on it later fails with
    /// [`Released`](Status::Released).
    pub(crate) fn let_go(&self) {
        // In a forked child the lock is the parent's, and dropping it does nothing.
        if !self.set().is_inherited() {
            // Counts as released for this handle. That ends keep-alive, and leaves nothing for the drop to do.
            self.grant().begin_release();
        }
    }

    fn begin_release(&self) -> Result<()> {
        if self.grant().begin_release() {
            return Ok(());
        }
        Err(released(self.resource()))
    }

    /// Has the lock last for at least `ttl` (whole ms) from now: one that would last longer than that still does, for an
    /// extension never ends it earlier. Never takes it anew: where its key is gone, it stays gone; and a failed extension
    /// leaves the lock as it was, until its validity ends.
    ///
    /// Errors: [`Expired`](Status::Expired) if it is not held any more, [`NoQuorum`](Status::NoQuorum) if too few nodes
    /// could be told, [`Released`](Status::Released).
    pub fn extend(&self, ttl: Duration) -> Result<()> {
        let (operation, ticket) = self.extend_operation(ttl)?;
        pending::extended(runtime::get()?.run(operation, &ticket))
    }

    /// As [`extend`](Lock::extend), as a future.
    pub fn extend_async(&self, ttl: Duration) -> Pending<()> {
        Pending::start(self.extend_operation(ttl), pending::extended)
    }

    /// Starts an extension that will end in an event of `queue`.
    pub fn submit_extend(&self, ttl: Duration, queue: &Queue, id: u64) -> Result<()> {
        let ttl_ms = self.check_extend(ttl)?;
        let grant = self.grant();
        queue.submit(self.set(), id, EventKind::Extend, |asker| {
            Ok(Operation::extend(grant, asker, ttl_ms))
        })
    }

    fn extend_operation(&self, ttl: Duration) -> Result<(Operation, Arc<Ticket>)> {
        let ttl_ms = self.check_extend(ttl)?;
        let ticket = Ticket::for_caller(self.set());
        let asker = ticket.asker();
        let operation = Operation::extend(self.grant(), asker, ttl_ms);
        Ok((operation, ticket))
    }

    fn check_extend(&self, ttl: Duration) -> Result<u64> {
        self.check_owner()?;
        let grant = self.grant();
        let ttl_ms = check_ttl(ttl, self.set())?;
        if grant.is_released() {
            return Err(released(self.resource()));
        }
        if grant.validity(clock::now()) == 0 {
            return Err(Error::new(
                Status::Expired,
                format!(
                    "extending {:?} failed: its validity has ended, so that it can't be proven held any more",
                    self.resource()
                ),
            ));
        }
        Ok(ttl_ms)
    }

    fn check_owner(&self) -> Result<()> {
        if self.set().is_inherited() {
            return Err(Error::new(
                Status::Forked,
                format!(
                    "the lock on {:?} is held by the parent process, which took it before the fork",
                    self.resource()
                ),
            ));
        }
        Ok(())
    }

    /// For how long from now the lock is proven held: TTL less elapsed time less clock drift. Zero once it has run out,
    /// was lost or given back.
    pub fn validity(&self) -> Duration {
        if self.set().is_inherited() {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.validity())
    }

    /// The name of what is locked; of several resources the first.
    pub fn resource(&self) -> &str {
        self.grant().target.first()
    }

    /// The names of all that is locked, in the order in which they were given.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = &str> {
        self.grant().target.names().iter().map(|name| &**name)
    }

    /// The fencing token: a number that is larger than that of any lock on the same resource whose acquire had succeeded
    /// before this one's began. The storage that the lock protects refuses a write that comes with a smaller number than
    /// it has seen, and so a writer that does not know yet that it lost the lock. For a lock on several resources it is
    /// the fence of each. 0 with the option `fencing=off`.
    pub fn fence(&self) -> u64 {
        self.grant().fence
    }

    /// Has the lock extended in time, at a third of its TTL (that of the acquire, or of the last extension that
    /// succeeded), until it is released, dropped, or its factory closed. If it can't be, `on_loss` is called, a tenth of the TTL before the validity ends at the latest. A further call replaces
    /// the one before.
    ///
    /// `on_loss` runs on a thread of its own, which blocks all signals. It may block, and it may call the library: this
    /// lock's [`release`](Lock::release), for example. Up to 32 such functions run at the same time.
    pub fn keep_alive(&self, on_loss: impl FnOnce(Error) + Send + 'static) -> Result<()> {
        self.keep(Notice::Call(OnLoss::new(on_loss)))
    }

    /// As [`keep_alive`](Lock::keep_alive), with an event of kind [`Lost`](EventKind::Lost) in `queue` on a loss.
    pub fn keep_alive_in(&self, queue: &Queue, id: u64) -> Result<()> {
        self.keep(Notice::Queue(queue.checked_state()?, id))
    }

    /// As [`keep_alive`](Lock::keep_alive), without a notice: [`validity`](Lock::validity) tells.
    pub fn keep_alive_silently(&self) -> Result<()> {
        self.keep(Notice::None)
    }

    fn keep(&self, notice: Notice) -> Result<()> {
        let grant = self.grant();
        self.check_extend(Duration::from_millis(grant.ttl_ms()))?;
        let request = Request::Keep(Kept {
            grant: Arc::downgrade(grant),
            call: grant.keep(),
            observer: notice,
            due: 0,
            asking: false,
        });
        match grant.ttl_ms() {
            UNHURRIED_TTL_MS.. => runtime::get()?.send_unhurried(request),
            _ => runtime::get()?.send(request),
        }
        Ok(())
    }

    /// The owner token: the value of the lock's key in Redis, 40 hex digits.
    pub fn token(&self) -> &str {
        self.grant().token.as_str()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("resource", &self.resource())
            .field("validity", &self.validity())
            .finish_non_exhaustive()
    }
}

/// The lock that was won, unless it has run out since: the caller may have stood still between the decision and now. It is
/// given back then, and what the caller is told is a failure.
pub(crate) fn won(outcome: Outcome) -> Result<Lock> {
    match outcome {
        Outcome::Acquired(held) if !is_over(&held) => Ok(Lock::new(held)),
        Outcome::Acquired(held) => Err(pending::run_out("acquiring", &held.grant)),
        other => Err(pending::unexpected(other)),
    }
}

/// Whether nothing is left of a lock that was won.
pub(crate) fn is_over(held: &Held) -> bool {
    !validity::is_worth_having(held.time_left())
}

fn released(resource: &str) -> Error {
    Error::new(
        Status::Released,
        format!("the lock on {resource:?} was already released through this handle"),
    )
}
