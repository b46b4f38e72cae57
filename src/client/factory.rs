//! A set of nodes to take locks on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

use super::arguments::{check_resource, check_resources, check_ttl};
use super::lock::{self, Lock};
use super::options::Options;
use super::pending::{self, Pending};
use super::queue::Queue;
use crate::clock::{self, Nanos};
use crate::driver::address::{self, Address};
use crate::driver::core::{Operation, Request};
use crate::driver::credentials::Credentials;
use crate::driver::entropy::fresh_token;
use crate::driver::open_set::OpenSet;
use crate::driver::runtime;
use crate::driver::ticket::{EventKind, Outcome, Ticket};
use crate::driver::tls::Verify;
use crate::error::{Error, Result, Status};
use crate::log::{self, Level};
use crate::protocol::node::secret::Secret;
use crate::protocol::node::target::Target;
use crate::protocol::node::text;
use crate::protocol::nodes::NodeHealth;
use crate::protocol::rules::quorum::MAX_NODES;
use crate::protocol::settings::Settings;

/// The node of a factory that was given none.
const DEFAULT_NODE: &str = "redis://127.0.0.1:6379/0";

/// How long to try for a lock that another owner holds, or that too few nodes can grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// One attempt.
    No,
    /// Until this time has passed; the last attempt is made at its end.
    For(Duration),
    /// Until the lock is taken.
    Forever,
}

/// A set of nodes (independent Redis masters) to take locks on. Cheap to clone; clones share the connections. Can be
/// used from any number of threads at once, and in a forked child, where it makes connections of its own.
///
/// ```no_run
/// use std::time::Duration;
/// use redlock::{Factory, Wait};
///
/// let factory = Factory::new(&["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?;
/// let lock = factory.acquire("invoice:42", Duration::from_secs(10), Wait::For(Duration::from_secs(2)))?;
/// // ... the work that only one may do, for at most `lock.validity()` ...
/// lock.release()?;
/// # Ok::<(), redlock::Error>(())
/// ```
#[derive(Clone)]
pub struct Factory(Arc<Shared>);

struct Shared {
    addresses: Arc<[Arc<Address>]>,
    settings: Arc<Settings>,
    credentials: Arc<Credentials>,
    closed: AtomicBool,
    /// The nodes' connections, made by this process. A child replaces it by its own.
    set: AtomicPtr<OpenSet>,
}

impl Factory {
    /// A factory with the default options over 1 to 64 nodes, each given as a URL: `redis://`, `rediss://` (TLS) or
    /// `unix://`. None at all means `redis://127.0.0.1:6379/0`. Returns at once: the nodes are contacted in the
    /// background, and the first acquire waits for them.
    pub fn new<S: AsRef<str>>(urls: &[S]) -> Result<Factory> {
        Factory::with_options(urls, &Options::default())
    }

    /// As [`new`](Factory::new), with options.
    pub fn with_options<S: AsRef<str>>(urls: &[S], options: &Options) -> Result<Factory> {
        let addresses = parse_urls(urls, options)?;
        warn_of_no_verification(&addresses, options);
        let settings = Arc::new(options.settings.clone());
        let file = options.password_file.clone();
        let credentials = Arc::new(Credentials::new(file, options.ask_credentials)?);
        let runtime = runtime::get()?;
        let set = OpenSet::new(runtime, &addresses, &credentials, Arc::clone(&settings));
        Ok(Factory(Arc::new(Shared {
            addresses,
            settings,
            credentials,
            closed: AtomicBool::new(false),
            set: AtomicPtr::new(Arc::into_raw(set).cast_mut()),
        })))
    }

    /// Takes the lock on `resource` (1 to 512 bytes; its key, with the option `key_prefix`, must not contain `libredlock:`)
    /// for `ttl` (whole ms, 1 ms to 30 days; longer than the option `max_ttl_ms` only without `restart_guard=strict`), trying
    /// for as long as `wait` says. Blocks; returns as soon as a quorum of nodes has decided.
    ///
    /// A lock that is returned is valid for another millisecond at least, as looked at last before this function returns. What
    /// happens to the process after that nobody can know: ask [`Lock::validity`] before you rely on it, and use the fence.
    ///
    /// Errors: [`Contended`](Status::Contended), [`NoQuorum`](Status::NoQuorum), [`Expired`](Status::Expired) (the TTL
    /// was too short for the nodes' answers, or for this thread to take the outcome), [`Closed`](Status::Closed), each with every node's part.
    pub fn acquire(&self, resource: &str, ttl: Duration, wait: Wait) -> Result<Lock> {
        self.acquire_many(&[resource], ttl, wait)
    }

    /// Takes the locks on all of `resources` (1 to 128 different ones) as one [`Lock`], or none of them: in one round
    /// trip an attempt, and without a deadlock between sets that overlap, in whichever order they name their resources.
    /// Otherwise as [`acquire`](Factory::acquire).
    pub fn acquire_many<S: AsRef<str>>(
        &self,
        resources: &[S],
        ttl: Duration,
        wait: Wait,
    ) -> Result<Lock> {
        let until = deadline(wait);
        loop {
            let (operation, ticket) = self.acquire_operation_until(resources, ttl, until)?;
            let outcome = runtime::get()?.run(operation, &ticket);
            // This thread may have stood still since a quorum granted the lock: that is a failed attempt.
            let is_over = matches!(&outcome, Outcome::Acquired(held) if lock::is_over(held));
            if !is_over || clock::now() >= until {
                return lock::won(outcome);
            }
        }
    }

    /// As [`acquire`](Factory::acquire), as a future for any executor. Dropping it cancels: the lock is not taken, or
    /// given back.
    pub fn acquire_async(&self, resource: &str, ttl: Duration, wait: Wait) -> Pending<Lock> {
        self.acquire_many_async(&[resource], ttl, wait)
    }

    /// As [`acquire_many`](Factory::acquire_many), as a future.
    pub fn acquire_many_async<S: AsRef<str>>(
        &self,
        resources: &[S],
        ttl: Duration,
        wait: Wait,
    ) -> Pending<Lock> {
        Pending::start(self.acquire_operation(resources, ttl, wait), lock::won)
    }

    /// Starts an acquire that will end in an event of `queue`.
    pub fn submit_acquire(
        &self,
        resource: &str,
        ttl: Duration,
        wait: Wait,
        queue: &Queue,
        id: u64,
    ) -> Result<()> {
        self.submit_acquire_many(&[resource], ttl, wait, queue, id)
    }

    /// As [`submit_acquire`](Factory::submit_acquire), for several resources as one lock.
    pub fn submit_acquire_many<S: AsRef<str>>(
        &self,
        resources: &[S],
        ttl: Duration,
        wait: Wait,
        queue: &Queue,
        id: u64,
    ) -> Result<()> {
        let set = self.open_set()?;
        let ttl_ms = check_ttl(ttl, &set)?;
        let target = self.target(resources)?;
        queue.submit(&set, id, EventKind::Acquire, |asker| {
            let (nodes, until) = (Arc::clone(&set.nodes), deadline(wait));
            let token = fresh_token()?;
            Ok(Operation::acquire(
                nodes, asker, target, ttl_ms, until, token,
            ))
        })
    }

    /// Whether a lock can be asked for with these arguments.
    pub(super) fn check_arguments(&self, resource: &str, ttl: Duration) -> Result<()> {
        check_resource(resource, &self.0.settings.key_prefix)?;
        check_ttl(ttl, &*self.0.set()?).map(drop)
    }

    pub(super) fn acquire_operation<S: AsRef<str>>(
        &self,
        resources: &[S],
        ttl: Duration,
        wait: Wait,
    ) -> Result<(Operation, Arc<Ticket>)> {
        self.acquire_operation_until(resources, ttl, deadline(wait))
    }

    fn acquire_operation_until<S: AsRef<str>>(
        &self,
        resources: &[S],
        ttl: Duration,
        give_up_at: Nanos,
    ) -> Result<(Operation, Arc<Ticket>)> {
        let set = self.open_set()?;
        let ttl_ms = check_ttl(ttl, &set)?;
        let target = self.target(resources)?;
        let ticket = Ticket::for_caller(&set);
        let asker = ticket.asker();
        let (nodes, token) = (Arc::clone(&set.nodes), fresh_token()?);
        let operation = Operation::acquire(nodes, asker, target, ttl_ms, give_up_at, token);
        Ok((operation, ticket))
    }

    /// What an operation on these resources is about, if they are good ones.
    fn target<S: AsRef<str>>(&self, resources: &[S]) -> Result<Target> {
        let prefix = Arc::clone(&self.0.settings.key_prefix);
        check_resources(resources, &prefix)?;
        Ok(Target::many(prefix, resources))
    }

    /// Whether `resource` is locked by anyone, this process included: true unless a quorum of nodes is free, so that an
    /// acquire at this moment could not succeed. By the time that it returns this may have changed.
    pub fn is_locked(&self, resource: &str) -> Result<bool> {
        let (operation, ticket) = self.is_locked_operation(resource)?;
        pending::locked(runtime::get()?.run(operation, &ticket))
    }

    /// As [`is_locked`](Factory::is_locked), as a future.
    pub fn is_locked_async(&self, resource: &str) -> Pending<bool> {
        Pending::start(self.is_locked_operation(resource), pending::locked)
    }

    /// Starts an [`is_locked`](Factory::is_locked) that will end in an event of `queue`.
    pub fn submit_is_locked(&self, resource: &str, queue: &Queue, id: u64) -> Result<()> {
        let (set, target) = (self.open_set()?, self.target(&[resource])?);
        queue.submit(&set, id, EventKind::IsLocked, |asker| {
            Ok(Operation::is_locked(Arc::clone(&set.nodes), asker, target))
        })
    }

    fn is_locked_operation(&self, resource: &str) -> Result<(Operation, Arc<Ticket>)> {
        let (set, target) = (self.open_set()?, self.target(&[resource])?);
        let ticket = Ticket::for_caller(&set);
        let asker = ticket.asker();
        let operation = Operation::is_locked(Arc::clone(&set.nodes), asker, target);
        Ok((operation, ticket))
    }

    /// The state of every node, in the order of the URLs: what the library knows, and what the nodes that are connected tell
    /// of the fences that they keep. Waits for those for about a round trip, and at most a quarter of a second.
    pub fn check(&self) -> Result<Vec<NodeHealth>> {
        let set = self.open_set()?;
        let ticket = Ticket::for_caller(&set);
        runtime::get()?.send(Request::Inspect {
            place: set.nodes.place,
            ticket: Arc::clone(&ticket),
        });
        match ticket.wait() {
            Outcome::Health(health) => Ok(health),
            other => Err(pending::unexpected(other)),
        }
    }

    /// The operator's word that the nodes which are connected have forgotten no lock: they vote at once, also for other
    /// clients that connect from now on. For a fresh set of nodes under `restart_guard=strict`, after making sure that
    /// nobody can hold a lock on them. Waits until a new factory has contacted all nodes, at most the option
    /// `connect_timeout_ms`. Returns how many nodes it was given to; any others are taken for restarted ones by
    /// clients that connect from now on, so call it again when they are there.
    pub fn trust_nodes(&self) -> Result<usize> {
        let set = self.open_set()?;
        let ticket = Ticket::for_caller(&set);
        runtime::get()?.send(Request::Vouch {
            place: set.nodes.place,
            ticket: Arc::clone(&ticket),
        });
        match ticket.wait() {
            Outcome::Vouched(0) => Err(Error::new(
                Status::NoQuorum,
                "no node is connected that could be vouched for",
            )),
            Outcome::Vouched(count) => Ok(count),
            other => Err(pending::unexpected(other)),
        }
    }

    /// Gives the credentials by which all nodes are logged in to from now on, in place of those in their URLs and of the option
    /// `password_file`. Connections that there are stay as they are; nodes that have refused the former credentials are tried at
    /// once. Without a `user`, each URL's own is kept.
    ///
    /// ```no_run
    /// # let factory = redlock::Factory::new(&["redis://10.0.0.1"])?;
    /// # let token = "";
    /// factory.set_credentials(Some("locks"), token)?;
    /// # Ok::<(), redlock::Error>(())
    /// ```
    pub fn set_credentials(&self, user: Option<&str>, password: &str) -> Result<()> {
        let set = self.open_set()?;
        let (user, password) = (user.map(str::to_owned), Secret::new(password));
        self.0.credentials.give(user, password, clock::now());
        self.tell_credentials(&set, Ok(()))
    }

    /// Takes back what [`set_credentials`](Factory::set_credentials) gave: the URLs and the option `password_file` count again.
    pub fn reset_credentials(&self) -> Result<()> {
        let set = self.open_set()?;
        self.0.credentials.forget();
        self.tell_credentials(&set, Ok(()))
    }

    /// Has the program asked for credentials by events of the kind [`Credentials`](EventKind::Credentials), with this `id`: it
    /// answers each with [`set_credentials`](Factory::set_credentials) or [`refuse_credentials`](Factory::refuse_credentials), at
    /// any time within the option `connect_timeout_ms`. For the option `ask_credentials`, with which no connection is made
    /// before this has been called, also in a forked child.
    pub fn ask_for_credentials(&self, queue: &Queue, id: u64) -> Result<()> {
        let (set, queue) = (self.open_set()?, queue.checked_state()?);
        let place = set.nodes.place;
        runtime::get()?.send(Request::AskOn { place, queue, id });
        Ok(())
    }

    /// Says why there are no credentials at the moment: the connections that wait for them end with that reason, and are
    /// attempted again later.
    pub fn refuse_credentials(&self, reason: &str) -> Result<()> {
        let set = self.open_set()?;
        self.tell_credentials(&set, Err(text::one_line(reason, text::LONGEST_TEXT)))
    }

    fn tell_credentials(
        &self,
        set: &OpenSet,
        given: std::result::Result<(), String>,
    ) -> Result<()> {
        let place = set.nodes.place;
        runtime::get()?.send(Request::Credentials { place, given });
        Ok(())
    }

    /// Ends the factory, with all its clones: acquires under way fail with [`Closed`](Status::Closed), later calls too.
    /// Locks that are held stay held, and can be extended and released. Waits for releases in the background, at most
    /// the node timeout. Dropping the last clone does the same.
    pub fn close(&self) {
        self.0.close();
    }

    /// The nodes, as this process sees them.
    fn open_set(&self) -> Result<Arc<OpenSet>> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(Status::Closed, "the factory was closed"));
        }
        self.0.set()
    }
}

impl Shared {
    /// The nodes' connections that were made last, if need be by the parent process.
    fn current(&self) -> Arc<OpenSet> {
        let current = self.set.load(Ordering::Acquire);
        // SAFETY: the pointer came from `Arc::into_raw`, and its count is not given back before `drop`, or ever once it
        // has been replaced.
        unsafe {
            Arc::increment_strong_count(current);
            Arc::from_raw(current)
        }
    }

    /// This process's connections to the nodes.
    fn set(&self) -> Result<Arc<OpenSet>> {
        loop {
            let set = self.current();
            if !set.is_inherited() {
                return Ok(set);
            }
            self.replace(Arc::as_ptr(&set).cast_mut())?;
        }
    }

    /// In a forked child: connections of its own, in place of the parent's, which are left alone.
    fn replace(&self, inherited: *mut OpenSet) -> Result<()> {
        let settings = Arc::clone(&self.settings);
        let fresh = OpenSet::new(
            runtime::get()?,
            &self.addresses,
            &self.credentials,
            settings,
        );
        let fresh = Arc::into_raw(fresh).cast_mut();
        let swapped =
            self.set
                .compare_exchange(inherited, fresh, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            // SAFETY: another thread was faster, so this one is not published and its count is ours.
            drop(unsafe { Arc::from_raw(fresh) });
        }
        Ok(())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let set = self.current();
        // Those of the parent are left alone.
        set.close();
        set.settle();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let current = *self.set.get_mut();
        // SAFETY: as in `set`; the count that the pointer stands for is given back here, once.
        let set = unsafe { Arc::from_raw(current) };
        if set.is_inherited() {
            // The parent's: nothing in this process may end it.
            std::mem::forget(set);
            return;
        }
        set.close();
        set.settle();
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.0.addresses.iter().map(|address| address.display());
        f.debug_set().entries(nodes).finish()
    }
}

fn warn_of_no_verification(addresses: &[Arc<Address>], options: &Options) {
    let speaks_tls = addresses.iter().any(|address| address.tls.is_some());
    if speaks_tls && options.tls.verify == Verify::None {
        log::write(Level::Warn, || {
            "tls_verify=none: servers' certificates are not verified, so whoever is in between can read passwords and \
             forge answers"
                .to_owned()
        });
    }
}

fn parse_urls<S: AsRef<str>>(urls: &[S], options: &Options) -> Result<Arc<[Arc<Address>]>> {
    let parse = |url: &str| address::parse(url, &options.tls, options.protocol).map(Arc::new);
    if urls.is_empty() {
        return Ok(Arc::new([parse(DEFAULT_NODE)?]));
    }
    if urls.len() > MAX_NODES {
        let count = urls.len();
        return Err(Error::invalid(format!(
            "{count} nodes are too many; at most {MAX_NODES} are possible, and 5 are usual"
        )));
    }
    let parse_nth = |(index, url): (usize, &S)| {
        let which = match urls.len() {
            1 => String::new(),
            count => format!(" {} of {count}", index + 1),
        };
        address::parse_one_of(url.as_ref(), &which, &options.tls, options.protocol).map(Arc::new)
    };
    let addresses: Vec<_> = urls
        .iter()
        .enumerate()
        .map(parse_nth)
        .collect::<Result<_>>()?;
    for (index, address) in addresses.iter().enumerate() {
        if let Some(twin) = addresses[..index].iter().find(|it| it.same_place(address)) {
            return Err(Error::invalid(format!(
                "{} and {} are the same server, which would vote twice; give each node once",
                twin.display(),
                address.display()
            )));
        }
    }
    Ok(addresses.into())
}

fn deadline(wait: Wait) -> Nanos {
    match wait {
        Wait::No => 0,
        Wait::For(budget) => {
            let nanos = Nanos::try_from(budget.as_nanos()).unwrap_or(Nanos::MAX);
            clock::now().saturating_add(nanos)
        }
        Wait::Forever => Nanos::MAX,
    }
}
