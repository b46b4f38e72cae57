//! The queue of waiters when anything may go wrong: one owner at a time, and nobody is locked out for ever.
//!
//! The nodes run the library's scripts ([`crate::scripts`]). A client's attempts follow each other, each with an owner
//! token of its own. Time passes in ticks, the same for all: a lock lives on a node for its TTL from when the node took
//! it, and an owner counts from before it asked. A reservation may end at any step. Where fences are looked at, a lock may
//! end at any step too, and there is no time: then only fences are promised.
//!
//! Left open, so that the search tries it all:
//! - every message and every answer may be lost, late or repeated, in any order: so a client may ask all nodes or only
//!   those that called, and give back, leave or decline at any time or never;
//! - calls may be lost, late or repeated, for a waiter may look at any time: here nothing hangs on being called;
//! - whether a waiter's process is subscribed when it is called, and whether a release finds the sign that others wait;
//! - a client may end an attempt at any time, or die, since no step has to be taken;
//! - when a node loses its data; it votes again after the guard's time.

use stateright::{Model, Property};

use crate::scripts::{self, Answer, Ballot, Key, Lock, Owner, Question, Run, Waiter, bit};
use crate::{NODES, QUORUM};

/// At most so many attempts and waiters. [`Queue`] says whose attempts there are.
pub const MAX_ATTEMPTS: usize = 4;
pub const MAX_WAITERS: u8 = 2;

/// The owner that asks when the search wants to know whether anybody still could.
const LATECOMER: Owner = u8::MAX;

/// Who makes an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Client {
    Waits(Waiter),
    /// Tries once, and does not wait.
    Barges,
}

/// The model.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Whose the attempts are.
    pub attempts: &'static [Client],
    pub rules: scripts::Rules,
    /// Whether a client takes a call for a vote.
    pub calls_are_votes: bool,
    /// In ticks; 0 where locks may end at any step.
    pub ttl: u8,
    /// So often may a node lose its data; and how old it must be then to vote.
    pub losses: u8,
    pub kept_out: u8,
    /// Attempts propose ballots up to this one; 0 is without fences.
    pub ballots: Ballot,
    /// Whether owners may leave the lock to those who do not queue, for a window that ends at any step.
    pub windows: bool,
    /// Whether the waiters are of one process.
    pub one_process: bool,
}

/// One node, and whose acquire it granted: one bit for each attempt that counts its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub lock: Lock,
    /// For how long the lock still lives.
    pub left: u8,
    /// For how long the node still does not vote, because it lost its data.
    pub out: u8,
    pub granted: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Idle,
    Asking,
    Held,
    /// Released, given up or lost.
    Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub phase: Phase,
    /// For how long the lock is, or would be, proven held.
    pub validity: u8,
    pub ballot: Ballot,
    /// The largest fence of the attempts that had succeeded when this one began, and its own.
    pub floor: Ballot,
    pub fence: Ballot,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; NODES],
    pub attempts: [Attempt; MAX_ATTEMPTS],
    pub losses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Begin {
        attempt: usize,
        ballot: Ballot,
    },
    /// The acquire arrives at a node; also after the end, which is a late message, or a call after the lock was won.
    Acquire {
        attempt: usize,
        node: usize,
        heard: u8,
        in_window: bool,
    },
    Succeed {
        attempt: usize,
    },
    /// The owner releases, or the client gives up.
    End {
        attempt: usize,
    },
    /// The release arrives at a node, where it finds the sign that others wait, or not.
    Release {
        attempt: usize,
        node: usize,
        heard: u8,
        waiting: bool,
        window: bool,
    },
    /// A window ends.
    Close {
        node: usize,
    },
    /// The waiter gives back a failed attempt; also of one that was won, for good measure.
    StepBack {
        attempt: usize,
        waiter: Waiter,
        node: usize,
        heard: u8,
    },
    /// A waiter has left the queue, or declines a call.
    Leave {
        waiter: Waiter,
        node: usize,
        heard: u8,
    },
    /// A reservation runs out, or a lock where there is no time.
    Expire {
        node: usize,
    },
    /// A node loses its data.
    Lose {
        node: usize,
    },
    Tick,
}

/// Steps.
impl Queue {
    fn is_timed(&self) -> bool {
        self.ttl > 0
    }

    fn begin(&self, state: &mut State, attempt: usize, ballot: Ballot) {
        let fences = state.attempts.iter().map(|attempt| attempt.fence);
        state.attempts[attempt] = Attempt {
            phase: Phase::Asking,
            validity: self.ttl,
            ballot,
            floor: fences.max().unwrap_or(0),
            fence: 0,
        };
    }

    fn acquire(&self, state: &mut State, at: usize, attempt: usize, heard: u8, in_window: bool) {
        let Attempt { phase, ballot, .. } = state.attempts[attempt];
        let question = Question {
            owner: owner(attempt),
            ballot,
            in_window,
        };
        let node = &mut state.nodes[at];
        let before = node.lock.key;
        let mut run = self.run(&mut node.lock, heard);
        let answer = match self.attempts[attempt] {
            Client::Waits(waiter) => run.acquire_waiting(question, waiter),
            Client::Barges => run.acquire(question),
        };
        let called = run.called;
        if node.lock.key == Key::Held(owner(attempt)) && before != node.lock.key {
            node.left = self.ttl;
        }
        if answer == Answer::Granted && phase == Phase::Asking {
            node.granted |= bit(attempt as u8);
        }
        self.call(state, at, called);
    }

    /// A call is a hint, and changes nothing here; unless clients are so bold as to count it.
    fn call(&self, state: &mut State, at: usize, woken: u8) {
        for (index, client) in self.attempts.iter().enumerate() {
            let called = matches!(client, Client::Waits(waiter) if woken & bit(*waiter) != 0);
            if self.calls_are_votes && called && state.attempts[index].phase == Phase::Asking {
                state.nodes[at].granted |= bit(index as u8);
            }
        }
    }

    fn run<'a>(&self, lock: &'a mut Lock, heard: u8) -> Run<'a> {
        let mut run = Run::new(self.rules, lock, heard);
        run.one_process = self.one_process;
        run
    }

    fn release(
        &self,
        state: &mut State,
        at: usize,
        attempt: usize,
        heard: u8,
        (waiting, window): (bool, bool),
    ) {
        let lock = &mut state.nodes[at].lock;
        lock.waiting = waiting;
        let mut run = self.run(lock, heard);
        run.release(owner(attempt), window);
        let called = run.called;
        self.call(state, at, called);
    }

    fn step_back(&self, state: &mut State, at: usize, attempt: usize, waiter: Waiter, heard: u8) {
        let mut run = self.run(&mut state.nodes[at].lock, heard);
        run.step_back(owner(attempt), waiter);
        let called = run.called;
        self.call(state, at, called);
    }

    fn leave(&self, state: &mut State, at: usize, waiter: Waiter, heard: u8) {
        let mut run = self.run(&mut state.nodes[at].lock, heard);
        run.leave(waiter);
        let called = run.called;
        self.call(state, at, called);
    }

    fn succeed(&self, attempt: &mut Attempt) {
        attempt.phase = Phase::Held;
        attempt.fence = attempt.ballot;
    }

    fn lose(&self, state: &mut State, at: usize) {
        state.losses += 1;
        state.nodes[at] = Node {
            out: self.kept_out,
            granted: state.nodes[at].granted,
            ..Node::default()
        };
    }

    fn tick(&self, state: &mut State) {
        for node in &mut state.nodes {
            node.left = node.left.saturating_sub(1);
            if node.left == 0 && matches!(node.lock.key, Key::Held(_)) {
                node.lock.key = Key::Free;
            }
            node.out = node.out.saturating_sub(1);
        }
        for attempt in &mut state.attempts {
            attempt.validity = attempt.validity.saturating_sub(1);
        }
    }

    /// Forgets what can no longer matter.
    fn tidy(&self, state: &mut State) {
        for (index, attempt) in state.attempts.iter_mut().enumerate() {
            if self.is_timed() && attempt.phase != Phase::Idle && attempt.validity == 0 {
                attempt.phase = Phase::Ended;
            }
            if attempt.phase == Phase::Ended {
                attempt.validity = 0;
            }
            if attempt.fence > attempt.floor {
                attempt.floor = 0; // The promise has been kept.
            }
            for node in &mut state.nodes {
                if attempt.phase != Phase::Asking {
                    node.granted &= !bit(index as u8);
                }
            }
        }
        for node in &mut state.nodes {
            node.lock.waiting = false; // Whether a release finds it is left open.
            node.lock.open &= node.lock.key == Key::Free;
            if !matches!(node.lock.key, Key::Held(_)) {
                node.left = 0;
            }
        }
        state.nodes.sort_unstable(); // States count as one that differ only in the nodes' order.
    }
}

/// What can happen.
impl Queue {
    fn owners(&self, state: &State, actions: &mut Vec<Action>) {
        for (attempt, client) in self.attempts.iter().enumerate() {
            match state.attempts[attempt].phase {
                Phase::Idle if self.may_begin(state, attempt, client) => {
                    let ballots = self.ballots.min(1)..=self.ballots;
                    actions.extend(ballots.map(|ballot| Action::Begin { attempt, ballot }));
                }
                Phase::Asking => {
                    let granted = |node: &&Node| node.granted & bit(attempt as u8) != 0;
                    if state.nodes.iter().filter(granted).count() >= QUORUM {
                        actions.push(Action::Succeed { attempt });
                    }
                    actions.push(Action::End { attempt });
                }
                Phase::Held => actions.push(Action::End { attempt }),
                Phase::Idle | Phase::Ended => {}
            }
        }
    }

    /// A client begins an attempt when the one before has ended.
    fn may_begin(&self, state: &State, attempt: usize, client: &Client) -> bool {
        (0..attempt).all(|earlier| {
            self.attempts[earlier] != *client || state.attempts[earlier].phase == Phase::Ended
        })
    }

    fn messages(&self, state: &State, actions: &mut Vec<Action>) {
        for (node, Node { lock, out, .. }) in state.nodes.iter().enumerate() {
            let asking = (0..self.attempts.len())
                .filter(|&attempt| *out == 0 && state.attempts[attempt].phase != Phase::Idle);
            for attempt in asking {
                let windows = if self.ballots == 0 { 1 } else { 2 };
                let calls = lock.key == Key::Free;
                for (heard, window) in
                    hearings(lock.queue, calls).flat_map(|it| (0..windows).map(move |w| (it, w)))
                {
                    actions.push(Action::Acquire {
                        attempt,
                        node,
                        heard,
                        in_window: window == 0,
                    });
                }
            }
            self.endings(state, node, actions);
        }
    }

    fn endings(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        let lock = &state.nodes[node].lock;
        match lock.key {
            Key::Held(owner) if state.attempts[usize::from(owner)].phase == Phase::Ended => {
                let attempt = usize::from(owner);
                let windows = if self.windows { 2 } else { 1 };
                for (heard, waiting) in
                    hearings(lock.queue, true).flat_map(|it| [(it, true), (it, false)])
                {
                    actions.extend((0..windows).map(|window| Action::Release {
                        attempt,
                        node,
                        heard,
                        waiting,
                        window: window == 1,
                    }));
                }
            }
            Key::Held(_) if !self.is_timed() => actions.push(Action::Expire { node }),
            Key::Reserved(_) if self.rules != scripts::Rules::NeverExpires => {
                actions.push(Action::Expire { node });
            }
            _ => {}
        }
        if lock.open {
            actions.push(Action::Close { node });
        }
        for (attempt, client) in self.attempts.iter().enumerate() {
            if let Client::Waits(waiter) = *client
                && state.attempts[attempt].phase == Phase::Ended
            {
                let step_back = |heard| Action::StepBack {
                    attempt,
                    waiter,
                    node,
                    heard,
                };
                let calls = lock.key == Key::Held(owner(attempt));
                actions.extend(hearings(lock.queue | bit(waiter), calls).map(step_back));
            }
        }
        for waiter in 0..MAX_WAITERS {
            let leave = |heard| Action::Leave {
                waiter,
                node,
                heard,
            };
            let calls =
                !matches!(lock.key, Key::Held(_)) || self.rules == scripts::Rules::LeavingFrees;
            actions.extend(hearings(lock.queue, calls).map(leave));
        }
    }

    fn servers(&self, state: &State, actions: &mut Vec<Action>) {
        if state.losses < self.losses {
            actions.extend((0..NODES).map(|node| Action::Lose { node }));
        }
    }
}

/// Which waiters' processes are subscribed, of those that wait or are about to; it does not matter if nobody is called.
fn hearings(queue: u8, calls: bool) -> impl Iterator<Item = u8> {
    let queue = if calls { queue } else { 0 };
    (0..=queue).filter(move |heard| heard & !queue == 0)
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.owners(state, actions);
        self.messages(state, actions);
        self.servers(state, actions);
        if self.is_timed() {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Begin { attempt, ballot } => self.begin(&mut state, attempt, ballot),
            Action::Acquire {
                attempt,
                node,
                heard,
                in_window,
            } => self.acquire(&mut state, node, attempt, heard, in_window),
            Action::Succeed { attempt } => self.succeed(&mut state.attempts[attempt]),
            Action::End { attempt } => state.attempts[attempt].phase = Phase::Ended,
            Action::Release {
                attempt,
                node,
                heard,
                waiting,
                window,
            } => self.release(&mut state, node, attempt, heard, (waiting, window)),
            Action::Close { node } => state.nodes[node].lock.open = false,
            Action::StepBack {
                attempt,
                waiter,
                node,
                heard,
            } => self.step_back(&mut state, node, attempt, waiter, heard),
            Action::Leave {
                waiter,
                node,
                heard,
            } => self.leave(&mut state, node, waiter, heard),
            Action::Expire { node } => state.nodes[node].lock.key = Key::Free,
            Action::Lose { node } => self.lose(&mut state, node),
            Action::Tick => self.tick(&mut state),
        }
        self.tidy(&mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one owner at a time", |_, state| one_owner(state)),
            Property::always("only votes make an owner", |_, state| {
                (0..MAX_ATTEMPTS).all(|attempt| is_voted(state, attempt))
            }),
            Property::always("nobody is locked out for ever", |queue: &Queue, state| {
                (0..MAX_WAITERS).all(|waiter| queue.could_lock(state, waiter))
            }),
            Property::always("fences rise and differ", |_, state| {
                fences_rise(state) && fences_differ(state)
            }),
        ]
    }
}

/// At most one attempt has a lock that is proven held.
fn one_owner(state: &State) -> bool {
    state.attempts.iter().filter(|it| holds(it)).count() <= 1
}

pub fn holds(attempt: &Attempt) -> bool {
    attempt.phase == Phase::Held && attempt.validity > 0
}

/// Whoever holds the lock has the key on a quorum, but for nodes that lost it.
fn is_voted(state: &State, attempt: usize) -> bool {
    let has_key = |node: &&Node| node.lock.key == Key::Held(owner(attempt)) || node.out > 0;
    !holds(&state.attempts[attempt]) || state.nodes.iter().filter(has_key).count() >= QUORUM
}

impl Queue {
    /// Whether this waiter gets the lock if it only tries again, after all that is there has run out: also when all
    /// others' processes hear their calls and never do anything, or when none hears any.
    fn could_lock(&self, state: &State, waiter: Waiter) -> bool {
        [0, !0].into_iter().all(|heard| {
            let mut locks = state.nodes.map(|node| node.lock);
            // Each failure takes at least one of the others off the queue.
            (0..=MAX_WAITERS).any(|_| self.tries(&mut locks, waiter, heard | bit(waiter)))
        })
    }

    fn tries(&self, locks: &mut [Lock; NODES], waiter: Waiter, heard: u8) -> bool {
        let question = Question {
            owner: LATECOMER,
            ballot: 0,
            in_window: true,
        };
        let mut granted = 0;
        for lock in locks.iter_mut() {
            let stays =
                matches!(lock.key, Key::Reserved(_)) && self.rules == scripts::Rules::NeverExpires;
            if !stays {
                lock.key = Key::Free;
            }
            lock.open = false;
            let answer = self.run(lock, heard).acquire_waiting(question, waiter);
            granted += usize::from(answer == Answer::Granted);
        }
        for lock in locks.iter_mut() {
            self.run(lock, heard).step_back(LATECOMER, waiter);
        }
        granted >= QUORUM
    }
}

/// An attempt that began after others had succeeded has a larger fence than they.
fn fences_rise(state: &State) -> bool {
    let rises = |attempt: &Attempt| attempt.fence == 0 || attempt.fence > attempt.floor;
    state.attempts.iter().all(rises)
}

/// No two attempts have the same fence.
fn fences_differ(state: &State) -> bool {
    let mut fences = state.attempts.map(|attempt| attempt.fence);
    fences.sort_unstable();
    fences
        .windows(2)
        .all(|pair| pair[0] == 0 || pair[0] != pair[1])
}

fn owner(attempt: usize) -> Owner {
    attempt as Owner
}
