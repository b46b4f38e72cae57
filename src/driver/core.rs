//! The engine proper: the protocol's machine with its sockets, moved forward one turn at a time.
//!
//! Whoever drives it (see [`driving`](super::driving)) calls [`Core::prepare`], waits for sockets, and calls
//! [`Core::react`], over and over: take in requests, fire timers, send what was asked, wait, receive the answers.
//! Everything that was asked in one turn of a node leaves as one batch, which is where the throughput comes from.

mod sockets;

use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Events, Registry};

use self::sockets::{Sockets, node_place};
use super::address::Address;
use super::credentials::Credentials;
use super::places::Places;
use super::poller::{Patience, WAKER};
use super::queue::QueueState;
use super::resolver::Resolver;
use super::ticket::{Caller, Ticket};
use crate::clock::{self, MILLISECOND, Nanos};
use crate::descriptors::Ours;
use crate::protocol::host::{Entropy, Host};
use crate::protocol::machine::{Machine, NodePlace};
use crate::protocol::node_set::NodeSet;
use crate::protocol::operation::Asker;
use crate::protocol::outcome::ConnectionId;
use crate::protocol::{kept, operation, outcome};

/// While other threads send their questions themselves, the driver waits for so long at most. So it need not be woken
/// for the timers that they set, which are later.
const LOOKS_ROUND: Nanos = 10 * MILLISECOND;

/// How often it is made sure, before something is sent, that the application has not closed the descriptor, and opened
/// a file of its own under its number.
const CHECK_AFTER: Nanos = 100 * MILLISECOND;

/// What the threads of this process have the machine keep.
pub(crate) struct Threads;

impl Host for Threads {
    type Caller = Caller;
    type Observer = super::loss::Notice;
}

pub(crate) type Operation = operation::Operation<Threads>;
pub(crate) type Kept = kept::Kept<Threads>;
pub(super) type Output = outcome::Output<Threads>;

/// What other threads ask of the engine.
pub(crate) enum Request {
    /// A new set of nodes, to be contacted.
    Open {
        nodes: Arc<NodeSet>,
        addresses: Arc<[Arc<Address>]>,
        credentials: Arc<Credentials>,
    },
    /// The set's factory is closed: acquires under way end.
    Shut {
        place: usize,
    },
    /// Nobody uses the set any more.
    Close {
        place: usize,
    },
    /// A node's name has been looked up.
    Resolved {
        id: ConnectionId,
        result: Result<Vec<SocketAddr>, String>,
    },
    Submit(Box<Operation>),
    Cancel(Arc<Ticket>),
    /// A lock is to be kept alive.
    Keep(Kept),
    /// An operator vouches for the nodes that can be reached.
    Vouch {
        place: usize,
        ticket: Arc<Ticket>,
    },
    /// Credentials are asked for by events of this queue, under that number.
    AskOn {
        place: usize,
        queue: Arc<QueueState>,
        id: u64,
    },
    /// The program has given credentials, or says why it can't.
    Credentials {
        place: usize,
        given: Result<(), String>,
    },
    /// How are the nodes of a set?
    Inspect {
        place: usize,
        ticket: Arc<Ticket>,
    },
}

/// Where requests are put for whoever drives, from any thread.
pub(super) trait Mailbox: Sync {
    fn send(&'static self, request: Request);
}

/// What the core shares with other threads.
pub(super) struct Surroundings {
    pub(super) mailbox: &'static dyn Mailbox,
    pub(super) resolver: &'static Resolver,
    pub(super) places: &'static Places,
}

/// All state of the engine, which one thread at a time moves forward: the driver, or, while that waits for sockets, one that
/// submits an operation.
pub(super) struct Core {
    pub(super) machine: Machine<Threads>,
    pub(super) surroundings: Surroundings,
    pub(super) registry: Ours<Registry>,
    sockets: Sockets,
    /// Credentials that the program is to be asked for: on these queues, under these numbers.
    pub(super) questions: Vec<(Arc<QueueState>, u64)>,
    /// Connections that had more to read than one turn takes.
    pub(super) unread: Vec<NodePlace>,
    /// When the driver stops waiting for sockets at the latest.
    waits_until: Nanos,
    /// When a thread that does not drive last sent an operation's questions itself.
    last_sent_aside: Nanos,
    /// When the sockets were last looked at.
    looked_at: Nanos,
    /// When the descriptors were last checked.
    checked_at: Nanos,
}

impl Core {
    pub(super) fn new(
        surroundings: Surroundings,
        registry: Ours<Registry>,
        entropy: Box<dyn Entropy>,
        channels: String,
        processors: usize,
    ) -> Core {
        let now = clock::now();
        Core {
            machine: Machine::new(entropy, channels, processors, now),
            surroundings,
            registry,
            sockets: Sockets::default(),
            questions: Vec::new(),
            unread: Vec::new(),
            waits_until: 0,
            last_sent_aside: 0,
            looked_at: now,
            checked_at: 0,
        }
    }

    /// What is to be delivered.
    pub(super) fn outputs(&mut self) -> &mut Vec<Output> {
        self.machine.outputs()
    }

    /// How many operations are under way that somebody waits for.
    pub(super) fn awaited(&self) -> u64 {
        self.machine.awaited()
    }

    /// The first half of a turn: what has come in, what is due, what is to be sent. Gives for how long the driver may
    /// then wait for sockets, other threads or the next timer, at most until `until`.
    pub(super) fn prepare(&mut self, until: Nanos, requests: &mut Vec<Request>) -> Patience {
        for request in requests.drain(..) {
            self.handle(request);
        }
        let now = clock::now();
        self.machine.timeout(now, self.looked_at);
        self.go_on_with_dials(self.looked_at);
        self.settle();
        self.patience(until)
    }

    /// Takes up an operation and sends its questions, for a thread that does not drive, while the driver waits for
    /// sockets. Gives whether the driver has to be woken: for what is left to it, or because it would wait for too long now.
    pub(super) fn send_aside(&mut self, operation: Box<Operation>) -> bool {
        let now = clock::now();
        self.take_up(now, operation);
        let left = !self.send_what_is_sound(now) || self.machine.has_turns();
        self.last_sent_aside = now;
        left || self.next_deadline().is_some_and(|at| at < self.waits_until)
    }

    /// Takes up an operation at once, for a caller that drives.
    pub(super) fn submit(&mut self, operation: Box<Operation>) {
        self.take_up(clock::now(), operation);
    }

    fn take_up(&mut self, now: Nanos, operation: Box<Operation>) {
        let ticket = match &operation.asker {
            Asker::Waiting(Caller::Ticket(ticket)) => Some(Arc::clone(ticket)),
            _ => None,
        };
        let Some(ticket) = ticket else {
            self.machine.submit(now, operation);
            return;
        };
        if ticket.is_cancelled_early() {
            return self.machine.refuse_cancelled(*operation);
        }
        let key = self.machine.submit(now, operation);
        ticket.taken_up(key);
    }

    /// Sends what a turn left unsent. Gives how many operations somebody waits for.
    pub(super) fn settle(&mut self) -> u64 {
        self.machine.start_queued();
        self.flush();
        self.awaited()
    }

    /// A defect struck in mid-turn: whoever waits is told, rather than left waiting.
    pub(super) fn fail_everything(&mut self) {
        self.machine.fail_everything();
        self.carry_out_io();
    }

    fn handle(&mut self, request: Request) {
        let now = clock::now();
        match request {
            Request::Open {
                nodes,
                addresses,
                credentials,
            } => {
                self.sockets.open(nodes.place, &addresses, credentials);
                self.machine.open(now, nodes);
            }
            Request::Shut { place } => self.machine.shut(now, place),
            Request::Close { place } => self.machine.close(now, place),
            Request::Resolved { id, result } => self.resolved(id, result),
            Request::Submit(operation) => self.take_up(now, operation),
            Request::Cancel(ticket) => {
                if let Some(key) = ticket.cancel() {
                    self.machine.cancel(now, key);
                }
            }
            Request::Keep(kept) => self.machine.keep(now, kept),
            Request::Vouch { place, ticket } => {
                self.machine.vouch(now, place, Caller::Ticket(ticket));
            }
            Request::AskOn { place, queue, id } => self.ask_on(place, queue, id),
            Request::Credentials { place, given } => self.credentials(place, given),
            Request::Inspect { place, ticket } => {
                self.machine.inspect(now, place, Caller::Ticket(ticket));
            }
        }
    }

    /// The second half of a turn: what the sockets have brought, when they were looked at.
    pub(super) fn react(&mut self, events: &Events, looked_at: Nanos) {
        for at in std::mem::take(&mut self.unread) {
            self.contained(at, |core| core.receive(at, false));
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let at = node_place(event.token());
            self.contained(at, |core| core.ready(at, event));
        }
        self.looked_at = looked_at;
    }

    /// How the driver may wait for sockets.
    fn patience(&mut self, until: Nanos) -> Patience {
        self.machine.begin_wait();
        self.waits_until = match self.unread.is_empty() {
            true => self.asleep_until(until),
            false => 0,
        };
        Patience {
            busy_until: self.machine.busy_until().min(self.waits_until),
            until: self.waits_until,
            keep_due: self.machine.keep_alive_deadline().unwrap_or(Nanos::MAX),
        }
    }

    fn asleep_until(&mut self, until: Nanos) -> Nanos {
        let mut at = self.next_deadline().unwrap_or(Nanos::MAX).min(until);
        let now = self.machine.now();
        if now < self.last_sent_aside + LOOKS_ROUND {
            at = at.min(now + LOOKS_ROUND);
        }
        at
    }

    fn next_deadline(&mut self) -> Option<Nanos> {
        let dials = self.sockets.next_due();
        [self.machine.deadline(), dials].into_iter().flatten().min()
    }

    /// Whether it is time to make sure of the descriptors of what is about to be sent.
    pub(super) fn checks_descriptors(&mut self, now: Nanos) -> bool {
        let checks = now >= self.checked_at + CHECK_AFTER && self.machine.has_unsent();
        if checks {
            self.checked_at = now;
        }
        checks
    }

    /// The descriptors are checked when something is sent next.
    pub(super) fn check_soon(&mut self) {
        self.checked_at = 0;
    }
}
