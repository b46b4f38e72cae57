//! Mutual exclusion on one resource while nodes restart without their data, and locks that are extended.
//!
//! Time passes in ticks, the same for all; what clocks may differ in their rates is in the validity's drift and not here.
//! A lock lives on a node for its TTL from when the node took it; an owner counts from before it asked. The longest TTL is
//! [`Restarts::longest_ttl`] ticks. Time has no end in this model, and nodes restart as often as they like.
//!
//! Each attempt is a client of its own. Left open, so that the search tries it all: every message and every answer may be
//! lost, late or repeated, in any order; an owner may release at any time, or die; a node may restart at any time. Each
//! extension may be for another TTL, longer or shorter than those before; its messages arrive at any time after it was begun,
//! also when it has failed and later ones have been won.

use stateright::{Model, Property};

use crate::{NODES, QUORUM};

/// At most so many attempts. The arrays have this size; [`Restarts`] says how many are used.
pub const MAX_ATTEMPTS: usize = 3;

/// An attempt's owner token: its number from 1.
pub type Token = u8;

const FREE: Token = 0;

/// When a node that has restarted votes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    /// At once.
    Off,
    /// When its uptime says that it is old enough.
    Uptime,
    /// The same, with a server whose wall clock, and so its uptime, may be set forward.
    UptimeOfSteppedClock,
    /// When it keeps the witness of a client that was connected to this boot for long enough.
    Witness,
    /// When it once was old enough: a verdict remembered for the address, a proxy that changes the server behind a
    /// connection, a marker in the data, or a server that keeps its scripts over a restart.
    VerdictOutlivesBoot,
    /// By uptime, except for nodes that a client meets for the first time while all that it has met are new.
    Auto,
    /// The same, where a node that was new when it was met counts as new for ever.
    AutoForEver,
}

/// Which restarts there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Which {
    Any,
    /// None that makes a quorum of young nodes.
    FewAtOnce,
}

/// Which extensions count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extending {
    Never,
    /// Those that are decided before the validity ends, as the library has it. They never shorten anything.
    InTime,
    /// Those also that began before it ended.
    Late,
    /// As in time, but an extension sets the TTL of a lock, be that shorter than what is left; the validity is shortened
    /// before the first node is asked, and becomes what the extension is for when that is won.
    MayShorten,
}

/// The model.
#[derive(Clone, Debug)]
pub struct Restarts {
    pub attempts: usize,
    pub guard: Guard,
    pub which: Which,
    pub extending: Extending,
    pub longest_ttl: u8,
    /// How old a node must be to vote.
    pub kept_out: u8,
}

/// One node: the lock, and what the clients know of it, one bit for each attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub holder: Token,
    /// For how long the lock still lives.
    pub left: u8,
    /// Since its last start, at most as old as it takes to vote.
    pub age: u8,
    pub witness: bool,
    /// Whose acquire, or extension, it granted.
    pub granted: u8,
    pub extended: u8,
    /// Who is connected to this boot, who ever was to any, for whom it was then new, and for whom that was another boot.
    pub connected: u8,
    pub met: u8,
    pub new: u8,
    pub replaced: u8,
    /// Whose acquire was sent to this boot.
    pub asked: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Idle,
    Asking,
    Held,
    Extending,
    /// Released, given up or lost.
    Ended,
}

/// One attempt to acquire, and the lock that came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub phase: Phase,
    pub ttl: u8,
    /// For how long the lock is, or would be, proven held.
    pub validity: u8,
    /// The same for an extension under way, and its TTL.
    pub next_validity: u8,
    pub next_ttl: u8,
    /// The TTLs of all extensions that were begun, one bit for each: their messages may still arrive.
    pub sent: u8,
    /// Whether it was extended.
    pub extended: bool,
    /// Another one has had the lock since.
    pub interrupted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; NODES],
    pub attempts: [Attempt; MAX_ATTEMPTS],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Begin {
        attempt: usize,
        ttl: u8,
    },
    /// The acquire arrives at a node, also after the end; or one for a lock that missed the node before, with the TTL of an
    /// extension.
    Acquire {
        attempt: usize,
        node: usize,
        ttl: u8,
    },
    Succeed {
        attempt: usize,
    },
    Extend {
        attempt: usize,
        ttl: u8,
    },
    /// An extension of that TTL arrives at a node, maybe one that has ended.
    Arrive {
        attempt: usize,
        node: usize,
        ttl: u8,
    },
    Extended {
        attempt: usize,
    },
    /// The extension fails; the lock is still held.
    NotExtended {
        attempt: usize,
    },
    /// The owner releases, or gives up.
    End {
        attempt: usize,
    },
    /// The release arrives at a node.
    Free {
        node: usize,
    },
    /// A client connects to a node.
    Connect {
        attempt: usize,
        node: usize,
    },
    Restart {
        node: usize,
    },
    /// Some client leaves its witness.
    Witness {
        node: usize,
    },
    /// The server's wall clock is set forward.
    Step {
        node: usize,
    },
    Tick,
}

/// Who votes for whom.
impl Restarts {
    fn has_exemption(&self) -> bool {
        matches!(self.guard, Guard::Auto | Guard::AutoForEver)
    }

    fn is_young(&self, node: &Node) -> bool {
        node.age < self.kept_out
    }

    fn votes(&self, state: &State, at: usize, attempt: usize) -> bool {
        let node = &state.nodes[at];
        match self.guard {
            Guard::Off => true,
            Guard::Uptime | Guard::UptimeOfSteppedClock => !self.is_young(node),
            Guard::Witness | Guard::VerdictOutlivesBoot => node.witness,
            Guard::Auto | Guard::AutoForEver => has(node.asked, attempt),
        }
    }

    fn connect(&self, state: &mut State, at: usize, attempt: usize) {
        let mut met = state
            .nodes
            .iter()
            .enumerate()
            .filter(|(other, node)| *other != at && has(node.met, attempt));
        let only_young =
            self.guard == Guard::AutoForEver || met.all(|(_, node)| self.is_young(node));
        let node = &mut state.nodes[at];
        node.connected |= bit(attempt);
        if !has(node.met, attempt) {
            node.met |= bit(attempt);
            if self.is_young(node) && only_young {
                node.new |= bit(attempt);
            }
        }
    }

    /// Sends an acquire to the nodes that may vote for this client by what it knows now; with an exemption only, since
    /// otherwise what it knows when the message arrives will do.
    fn ask(&self, state: &mut State, attempt: usize) {
        if self.has_exemption() {
            let all_new = state
                .nodes
                .iter()
                .all(|node| !has(node.met, attempt) || has(node.new, attempt));
            for node in &mut state.nodes {
                let exempt = all_new && !has(node.replaced, attempt);
                if has(node.connected, attempt) && (exempt || !self.is_young(node)) {
                    node.asked |= bit(attempt);
                }
            }
        }
    }

    fn restart(&self, node: &mut Node) {
        *node = Node {
            granted: node.granted,
            extended: node.extended,
            witness: node.witness && self.guard == Guard::VerdictOutlivesBoot,
            met: node.met,
            new: node.new,
            replaced: node.met,
            ..Node::default()
        };
    }
}

/// Locks.
impl Restarts {
    fn acquire(&self, state: &mut State, at: usize, attempt: usize, ttl: u8) {
        let phase = state.attempts[attempt].phase;
        let node = &mut state.nodes[at];
        if node.holder == FREE {
            node.holder = token(attempt);
            node.left = ttl;
        }
        if node.holder == token(attempt) && phase == Phase::Asking {
            node.granted |= bit(attempt);
        }
    }

    fn extend(&self, state: &mut State, at: usize, attempt: usize, ttl: u8) {
        let asking = state.attempts[attempt];
        let node = &mut state.nodes[at];
        if node.holder == token(attempt) {
            node.left = match self.extending {
                Extending::MayShorten => ttl,
                _ => node.left.max(ttl),
            };
            if asking.phase == Phase::Extending && asking.next_ttl == ttl {
                node.extended |= bit(attempt);
            }
        }
    }

    fn begin_extension(&self, attempt: &mut Attempt, ttl: u8) {
        attempt.phase = Phase::Extending;
        attempt.next_ttl = ttl;
        attempt.next_validity = ttl;
        attempt.sent |= bit(usize::from(ttl));
        if self.extending == Extending::MayShorten {
            attempt.validity = attempt.validity.min(ttl);
        }
    }

    fn has_quorum(&self, state: &State, attempt: usize, granted: fn(&Node) -> u8) -> bool {
        state
            .nodes
            .iter()
            .filter(|node| has(granted(node), attempt))
            .count()
            >= QUORUM
    }

    fn succeed(&self, state: &mut State, attempt: usize) {
        for (other, rival) in state.attempts.iter_mut().enumerate() {
            if other != attempt && matches!(rival.phase, Phase::Held | Phase::Extending) {
                rival.interrupted = true;
            }
        }
        state.attempts[attempt].phase = Phase::Held;
    }

    fn extended(&self, attempt: &mut Attempt) {
        attempt.validity = match self.extending {
            Extending::MayShorten => attempt.next_validity,
            _ => attempt.validity.max(attempt.next_validity),
        };
        attempt.extended = true;
        not_extending(attempt);
    }

    fn tick(&self, state: &mut State) {
        for node in &mut state.nodes {
            node.left = node.left.saturating_sub(1);
            if node.left == 0 {
                node.holder = FREE;
            }
            node.age = (node.age + 1).min(self.kept_out);
        }
        for attempt in &mut state.attempts {
            attempt.validity = attempt.validity.saturating_sub(1);
            attempt.next_validity = attempt.next_validity.saturating_sub(1);
        }
    }

    /// Forgets what can no longer matter.
    fn tidy(&self, state: &mut State) {
        for (index, attempt) in state.attempts.iter_mut().enumerate() {
            let over = match (attempt.phase, self.extending) {
                (Phase::Extending, Extending::Late) => {
                    attempt.validity == 0 && attempt.next_validity == 0
                }
                (Phase::Asking | Phase::Held | Phase::Extending, _) => attempt.validity == 0,
                (Phase::Idle | Phase::Ended, _) => false,
            };
            if over {
                attempt.phase = Phase::Ended;
            }
            if attempt.phase == Phase::Ended {
                // What it still leaves on nodes may be freed at any time, so that it does not matter how long it lasts.
                *attempt = Attempt {
                    phase: Phase::Ended,
                    ttl: self.longest_ttl,
                    ..Attempt::default()
                };
                for node in &mut state.nodes {
                    if node.holder == token(index) {
                        node.left = self.longest_ttl;
                    }
                }
            }
            for node in &mut state.nodes {
                if attempt.phase != Phase::Asking {
                    node.granted &= !bit(index);
                }
                if attempt.phase != Phase::Extending {
                    node.extended &= !bit(index);
                }
                if attempt.phase != Phase::Idle {
                    for known in [
                        &mut node.connected,
                        &mut node.met,
                        &mut node.new,
                        &mut node.replaced,
                    ] {
                        *known &= !bit(index); // It was for what the attempt asks.
                    }
                }
            }
        }
        state.nodes.sort_unstable();
    }
}

/// What can happen.
impl Restarts {
    fn owners(&self, state: &State, actions: &mut Vec<Action>) {
        for attempt in 0..self.attempts {
            let phase = state.attempts[attempt].phase;
            match phase {
                Phase::Idle => {
                    actions
                        .extend((1..=self.longest_ttl).map(|ttl| Action::Begin { attempt, ttl }));
                }
                Phase::Asking => {
                    if self.has_quorum(state, attempt, |node| node.granted) {
                        actions.push(Action::Succeed { attempt });
                    }
                    actions.push(Action::End { attempt });
                }
                Phase::Held => {
                    if self.extending != Extending::Never {
                        let ttls = 1..=self.longest_ttl;
                        actions.extend(ttls.map(|ttl| Action::Extend { attempt, ttl }));
                    }
                    actions.push(Action::End { attempt });
                }
                Phase::Extending => {
                    if self.has_quorum(state, attempt, |node| node.extended) {
                        actions.push(Action::Extended { attempt });
                    }
                    actions.push(Action::NotExtended { attempt });
                    actions.push(Action::End { attempt });
                }
                Phase::Ended => {}
            }
            if phase == Phase::Idle {
                break; // Attempts are numbered in the order in which they begin.
            }
        }
    }

    fn messages(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..NODES {
            for attempt in 0..self.attempts {
                let Attempt {
                    phase, ttl, sent, ..
                } = state.attempts[attempt];
                if phase == Phase::Idle || !self.votes(state, node, attempt) {
                    continue;
                }
                actions.push(Action::Acquire { attempt, node, ttl });
                for extended in (1..=self.longest_ttl).filter(|ttl| has(sent, usize::from(*ttl))) {
                    let ttl = extended;
                    actions.push(Action::Arrive { attempt, node, ttl });
                    actions.push(Action::Acquire { attempt, node, ttl });
                }
            }
            let holder = state.nodes[node].holder;
            if holder != FREE && state.attempts[usize::from(holder) - 1].phase == Phase::Ended {
                actions.push(Action::Free { node });
            }
        }
    }

    fn servers(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..NODES {
            let is_young = |other: &usize| *other != node && self.is_young(&state.nodes[*other]);
            if self.which == Which::Any || (0..NODES).filter(is_young).count() + 1 < QUORUM {
                actions.push(Action::Restart { node });
            }
            if self.has_exemption() {
                let idle = (0..self.attempts)
                    .filter(|&attempt| state.attempts[attempt].phase == Phase::Idle);
                actions.extend(idle.map(|attempt| Action::Connect { attempt, node }));
            }
            let keeps_witness = matches!(self.guard, Guard::Witness | Guard::VerdictOutlivesBoot);
            if keeps_witness && !self.is_young(&state.nodes[node]) {
                actions.push(Action::Witness { node });
            }
            if self.guard == Guard::UptimeOfSteppedClock {
                actions.push(Action::Step { node });
            }
        }
    }
}

impl Model for Restarts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.owners(state, actions);
        self.messages(state, actions);
        self.servers(state, actions);
        actions.push(Action::Tick);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Begin { attempt, ttl } => {
                let asking = Attempt {
                    phase: Phase::Asking,
                    ttl,
                    validity: ttl,
                    ..Attempt::default()
                };
                state.attempts[attempt] = asking;
                self.ask(&mut state, attempt);
            }
            Action::Acquire { attempt, node, ttl } => {
                self.acquire(&mut state, node, attempt, ttl);
            }
            Action::Succeed { attempt } => self.succeed(&mut state, attempt),
            Action::Extend { attempt, ttl } => {
                self.begin_extension(&mut state.attempts[attempt], ttl);
            }
            Action::Arrive { attempt, node, ttl } => self.extend(&mut state, node, attempt, ttl),
            Action::Extended { attempt } => self.extended(&mut state.attempts[attempt]),
            Action::NotExtended { attempt } => not_extending(&mut state.attempts[attempt]),
            Action::End { attempt } => state.attempts[attempt].phase = Phase::Ended,
            Action::Free { node } => {
                state.nodes[node].holder = FREE;
                state.nodes[node].left = 0;
            }
            Action::Connect { attempt, node } => self.connect(&mut state, node, attempt),
            Action::Restart { node } => self.restart(&mut state.nodes[node]),
            Action::Witness { node } => state.nodes[node].witness = true,
            Action::Step { node } => state.nodes[node].age = self.kept_out,
            Action::Tick => self.tick(&mut state),
        }
        self.tidy(&mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("one owner at a time", |_, state| {
            one_owner(state) && unbroken(state)
        })]
    }
}

/// At most one attempt has a lock that is proven held.
fn one_owner(state: &State) -> bool {
    state
        .attempts
        .iter()
        .filter(|attempt| holds(attempt))
        .count()
        <= 1
}

/// Who holds a lock has held it since it was acquired: nobody else had it in between.
fn unbroken(state: &State) -> bool {
    state
        .attempts
        .iter()
        .all(|attempt| !(holds(attempt) && attempt.interrupted))
}

fn not_extending(attempt: &mut Attempt) {
    attempt.phase = Phase::Held;
    attempt.next_validity = 0;
    attempt.next_ttl = 0;
}

pub fn holds(attempt: &Attempt) -> bool {
    matches!(attempt.phase, Phase::Held | Phase::Extending) && attempt.validity > 0
}

fn token(attempt: usize) -> Token {
    attempt as Token + 1
}

fn bit(attempt: usize) -> u8 {
    1 << attempt
}

fn has(bits: u8, attempt: usize) -> bool {
    bits & bit(attempt) != 0
}
