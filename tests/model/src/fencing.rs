//! The fencing protocol of one resource: ballots, accepted by a quorum of nodes, become fences.
//!
//! Beside the script `acquire.lua` of the library and `src/protocol/node/ballots.rs`, with the same words. A *node* keeps the *holder's*
//! token and the *highest* ballot that it ever accepted. An *attempt* to acquire, which is a token of its own, proposes a *ballot* to
//! all nodes, and proposes again when it likes. When a *quorum* accepted the same ballot, that is its *fence*.
//!
//! What is left open, so that the search tries it all:
//! - every message may be lost, late or repeated, for ever and in any order: what was once sent stays deliverable;
//! - every answer too: a client may count an acceptance at any time after it was given, or never;
//! - a lock may end at any step, by running out or by a release;
//! - a resource that shares its cell may have the highest ballot rise at any step ([`Acceptance::Apart`]);
//! - a client may propose any ballot in any round, not only one above the highest that it learnt; it may stop anywhere
//!   (it dies), since no step has to be taken;
//! - what a node's clock says, in [`Clocks::Unknown`], and when a node loses its data.

use stateright::{Model, Property};

use crate::{NODES, QUORUM};

/// At most so many attempts, and proposals of each. The arrays have this size; [`Fencing`] says how many are used.
pub const MAX_ATTEMPTS: usize = 3;
pub const MAX_ROUNDS: usize = 2;

/// A ballot; 0 is none.
pub type Ballot = u8;

/// An attempt's owner token: its number from 1. 0 is none, a free lock.
pub type Token = u8;

const FREE: Token = 0;

/// The protocol's variants: the library's, and those that the checker must refute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rules {
    /// The library's.
    Sound,
    /// A node accepts the ballot that it accepted last once more.
    AcceptEqual,
    /// The same, only if the lock is this attempt's own.
    AcceptEqualIfOwn,
    /// A client counts acceptances of all its ballots together, and takes its last ballot for the fence.
    MixBallots,
}

/// From whom a node accepts a ballot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Acceptance {
    /// From the holder only, as in `acquire.lua`.
    ByHolder,
    /// From anybody, as for `ballots.rs`. Then the lock makes no difference, and nodes keep none here.
    Apart,
}

/// What the nodes' clocks are good for. They tick in units of a ballot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clocks {
    /// Any clock may say anything at any time: whether a ballot is within a node's window is left open.
    Unknown,
    /// A node's clock, also that of the machine that takes over its address, says `now ..= now + wander`.
    Bounded(Bounds),
}

/// A node accepts only ballots from its clock - `behind` up to its clock + `ahead`, or its highest + 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub ahead: u8,
    pub behind: u8,
    pub wander: u8,
    /// How long a node that lost its data is kept from voting.
    pub kept_out: u8,
    /// How long after its last acceptance a node forgets its highest ballot.
    pub retention: u8,
    /// The search ends at this time.
    pub end: u8,
}

/// The model. `reduced` treats states as one that differ only in the nodes' order, or in what the ballots are apart from
/// their order; without it ballots go up to `ballots`.
#[derive(Clone, Debug)]
pub struct Fencing {
    pub attempts: usize,
    /// At most so many proposals for an attempt, and for all of them together.
    pub rounds: usize,
    pub proposals: usize,
    pub rules: Rules,
    pub acceptance: Acceptance,
    pub clocks: Clocks,
    /// So often may a node lose its data; any of the nodes.
    pub losses: u8,
    pub reduced: bool,
    pub ballots: Ballot,
}

/// One node, and the acceptances that it answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub holder: Token,
    pub highest: Ballot,
    /// One bit for each proposal that it accepted and whose client still counts.
    pub accepted: u16,
    /// When it accepted last, and when it votes again after a loss; only with bounded clocks.
    pub accepted_at: u8,
    pub back_at: u8,
}

/// One attempt to acquire: the ballots that it proposed, one a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub ballots: [Ballot; MAX_ROUNDS],
    /// The largest fence of the attempts that had succeeded when this one began.
    pub floor: Ballot,
    /// Its fence, once it succeeded.
    pub fence: Ballot,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub now: u8,
    pub losses: u8,
    pub nodes: [Node; NODES],
    pub attempts: [Attempt; MAX_ATTEMPTS],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// A client begins an attempt, or a further round of it, and sends the ballot to all nodes.
    Propose {
        attempt: usize,
        round: usize,
        ballot: Ballot,
    },
    /// The message arrives at a node, whose clock lets the ballot pass or not.
    Acquire {
        attempt: usize,
        round: usize,
        node: usize,
        in_window: bool,
    },
    /// The client has the answers of a quorum, and a fence.
    Succeed {
        attempt: usize,
        round: usize,
    },
    /// A node accepts a ballot for another resource whose cell is the same. (It may also take one that will not count, since it
    /// is below the window. That is left out: it only has the node refuse more, as the next one is below the window, too.)
    Share {
        node: usize,
        ballot: Ballot,
    },
    /// The lock runs out on a node, or is released there.
    Free {
        node: usize,
    },
    /// A node loses its data.
    Lose {
        node: usize,
    },
    /// A node's record of its highest ballot expires.
    Forget {
        node: usize,
    },
    Tick,
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Accepted,
    /// The lock may have been taken all the same.
    NotAccepted,
    /// Another one holds the lock.
    Refused,
}

impl Fencing {
    fn acquire(&self, node: &mut Node, token: Token, ballot: Ballot, in_window: bool) -> Answer {
        match self.acceptance {
            Acceptance::ByHolder => self.acquire_by_holder(node, token, ballot, in_window),
            Acceptance::Apart => self.accept(node, ballot, in_window, false),
        }
    }

    fn acquire_by_holder(
        &self,
        node: &mut Node,
        token: Token,
        ballot: Ballot,
        in_window: bool,
    ) -> Answer {
        let free = node.holder == FREE;
        let own = node.holder == token;
        if !free && !own {
            return Answer::Refused;
        }
        let accept_equal = match self.rules {
            Rules::AcceptEqual => true,
            Rules::AcceptEqualIfOwn => own,
            Rules::Sound | Rules::MixBallots => false,
        };
        if free && ballot == node.highest && !accept_equal {
            return Answer::NotAccepted; // A repeat that lands after the release takes nothing.
        }
        node.holder = token;
        self.accept(node, ballot, in_window, accept_equal)
    }

    fn accept(
        &self,
        node: &mut Node,
        ballot: Ballot,
        in_window: bool,
        accept_equal: bool,
    ) -> Answer {
        if ballot < node.highest || (ballot == node.highest && !accept_equal) || !in_window {
            return Answer::NotAccepted;
        }
        node.highest = ballot;
        Answer::Accepted
    }

    fn propose(&self, state: &mut State, attempt: usize, round: usize, ballot: Ballot) {
        if round == 0 {
            state.attempts[attempt].floor = largest_fence(state);
        }
        state.attempts[attempt].ballots[round] = ballot;
    }

    fn deliver(&self, state: &mut State, attempt: usize, round: usize, at: usize, in_window: bool) {
        let ballot = state.attempts[attempt].ballots[round];
        let node = &mut state.nodes[at];
        if self.acquire(node, token(attempt), ballot, in_window) == Answer::Accepted {
            self.note_time(node, state.now);
            if state.attempts[attempt].fence == 0 {
                node.accepted |= proposal(attempt, round);
            }
        }
    }

    fn share(&self, state: &mut State, at: usize, ballot: Ballot) {
        let node = &mut state.nodes[at];
        node.highest = ballot;
        self.note_time(node, state.now);
    }

    fn note_time(&self, node: &mut Node, now: u8) {
        if let Clocks::Bounded(_) = self.clocks {
            node.accepted_at = now;
        }
    }

    /// How many nodes' acceptances the client may count for this round's ballot.
    fn votes(&self, state: &State, attempt: usize, round: usize) -> usize {
        let counted = match self.rules {
            Rules::MixBallots => proposals(attempt),
            _ => proposal(attempt, round),
        };
        state
            .nodes
            .iter()
            .filter(|node| node.accepted & counted != 0)
            .count()
    }

    fn succeed(&self, state: &mut State, attempt: usize, round: usize) {
        state.attempts[attempt].fence = state.attempts[attempt].ballots[round];
        for node in &mut state.nodes {
            node.accepted &= !proposals(attempt); // Nobody counts them any more.
        }
    }

    fn lose(&self, state: &mut State, node: usize) {
        state.losses += 1;
        let back_at = match self.clocks {
            Clocks::Unknown => 0,
            Clocks::Bounded(bounds) => state.now + bounds.kept_out,
        };
        let accepted = state.nodes[node].accepted;
        state.nodes[node] = Node {
            accepted,
            back_at,
            ..Node::default()
        };
    }
}

impl Fencing {
    fn proposing(&self, state: &State, actions: &mut Vec<Action>) {
        if count_proposals(state) == self.proposals {
            return;
        }
        for attempt in 0..self.attempts {
            let Attempt { ballots, fence, .. } = state.attempts[attempt];
            let Some(round) = ballots[..self.rounds]
                .iter()
                .position(|&ballot| ballot == 0)
            else {
                continue;
            };
            if fence == 0 {
                let fresh =
                    (1..=self.largest_choice(state)).filter(|ballot| !ballots.contains(ballot));
                actions.extend(fresh.map(|ballot| Action::Propose {
                    attempt,
                    round,
                    ballot,
                }));
            }
            if round == 0 {
                break; // Attempts are numbered in the order in which they begin.
            }
        }
    }

    /// Reduced, only the order matters: a ballot is one of those that there are, or between two of them.
    fn largest_choice(&self, state: &State) -> Ballot {
        if self.renumbers() {
            2 * in_use(state).count_ones() as Ballot + 1
        } else {
            self.ballots
        }
    }

    fn arriving(&self, state: &State, actions: &mut Vec<Action>) {
        for attempt in 0..self.attempts {
            for round in 0..self.rounds {
                let ballot = state.attempts[attempt].ballots[round];
                for node in 0..NODES {
                    if ballot != 0 && state.nodes[node].back_at <= state.now {
                        let readings = self.readings(state, &state.nodes[node], ballot);
                        let arrives = |in_window| Action::Acquire {
                            attempt,
                            round,
                            node,
                            in_window,
                        };
                        actions.extend(readings.into_iter().flatten().map(arrives));
                    }
                }
            }
        }
    }

    fn sharing(&self, state: &State, actions: &mut Vec<Action>) {
        if self.acceptance == Acceptance::ByHolder {
            return;
        }
        for node in 0..NODES {
            let Node {
                highest, back_at, ..
            } = state.nodes[node];
            if back_at > state.now {
                continue;
            }
            let higher = highest + 1..=self.largest_choice(state);
            let in_window = higher.filter(|&ballot| {
                let readings = self.readings(state, &state.nodes[node], ballot);
                readings.contains(&Some(true))
            });
            actions.extend(in_window.map(|ballot| Action::Share { node, ballot }));
        }
    }

    /// Whether the node's clock may place the ballot within the window, and whether without.
    fn readings(&self, state: &State, node: &Node, ballot: Ballot) -> [Option<bool>; 2] {
        let Clocks::Bounded(bounds) = self.clocks else {
            return [Some(true), Some(false)];
        };
        // Less than one acceptance in a unit of time: otherwise highest + 1 could run ahead of the clocks.
        let above_highest =
            ballot == node.highest + 1 && (node.highest == 0 || state.now > node.accepted_at);
        let within = |clock: u8| {
            ballot + bounds.behind >= clock && (ballot <= clock + bounds.ahead || above_highest)
        };
        let mut clocks = state.now..=state.now + bounds.wander;
        [
            clocks.clone().any(within).then_some(true),
            (!clocks.all(within)).then_some(false),
        ]
    }

    fn ending(&self, state: &State, actions: &mut Vec<Action>) {
        for attempt in 0..self.attempts {
            for round in 0..self.rounds {
                let Attempt { ballots, fence, .. } = state.attempts[attempt];
                if fence == 0 && ballots[round] != 0 && self.votes(state, attempt, round) >= QUORUM
                {
                    actions.push(Action::Succeed { attempt, round });
                }
            }
        }
    }

    fn happening(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..NODES {
            let Node {
                holder,
                highest,
                accepted_at,
                back_at,
                ..
            } = state.nodes[node];
            if holder != FREE {
                actions.push(Action::Free { node });
            }
            if state.losses < self.losses && highest != 0 {
                actions.push(Action::Lose { node });
            }
            if let Clocks::Bounded(bounds) = self.clocks {
                // Keys expire by the node's clock, which may be ahead by all that clocks wander.
                let age = state.now + bounds.wander - accepted_at;
                if highest != 0 && back_at == 0 && age >= bounds.retention {
                    actions.push(Action::Forget { node });
                }
            }
        }
        if let Clocks::Bounded(bounds) = self.clocks
            && state.now < bounds.end
        {
            actions.push(Action::Tick);
        }
    }
}

/// Counts states as one that are alike.
impl Fencing {
    /// Clocks give ballots a size; without them only the order of the ballots matters.
    fn renumbers(&self) -> bool {
        self.reduced && self.clocks == Clocks::Unknown
    }

    fn tidy(&self, state: &mut State) {
        for attempt in &mut state.attempts {
            if attempt.fence > attempt.floor {
                attempt.floor = 0; // The promise has been kept.
            }
        }
        if let Clocks::Bounded(bounds) = self.clocks {
            forget_times(state, bounds);
        }
        if self.reduced {
            state.nodes.sort_unstable();
        }
        if self.renumbers() {
            renumber(state);
        }
    }
}

impl Model for Fencing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.proposing(state, actions);
        self.arriving(state, actions);
        self.sharing(state, actions);
        self.ending(state, actions);
        self.happening(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Propose {
                attempt,
                round,
                ballot,
            } => self.propose(&mut state, attempt, round, ballot),
            Action::Acquire {
                attempt,
                round,
                node,
                in_window,
            } => {
                self.deliver(&mut state, attempt, round, node, in_window);
            }
            Action::Share { node, ballot } => self.share(&mut state, node, ballot),
            Action::Succeed { attempt, round } => self.succeed(&mut state, attempt, round),
            Action::Free { node } => state.nodes[node].holder = FREE,
            Action::Lose { node } => self.lose(&mut state, node),
            Action::Forget { node } => state.nodes[node].highest = 0,
            Action::Tick => state.now += 1,
        }
        self.tidy(&mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("fences rise and differ", |_, state| {
            rise(state) && differ(state)
        })]
    }
}

/// An attempt that began after others had succeeded has a larger fence than they.
fn rise(state: &State) -> bool {
    state
        .attempts
        .iter()
        .all(|attempt| attempt.fence == 0 || attempt.fence > attempt.floor)
}

/// No two attempts have the same fence.
fn differ(state: &State) -> bool {
    let [a, b, c] = state.attempts.map(|attempt| attempt.fence);
    (a == 0 || a != b) && (b == 0 || b != c) && (c == 0 || c != a)
}

fn token(attempt: usize) -> Token {
    attempt as Token + 1
}

fn proposal(attempt: usize, round: usize) -> u16 {
    1 << (attempt * MAX_ROUNDS + round)
}

fn proposals(attempt: usize) -> u16 {
    (0..MAX_ROUNDS).map(|round| proposal(attempt, round)).sum()
}

fn count_proposals(state: &State) -> usize {
    state
        .attempts
        .iter()
        .flat_map(|attempt| attempt.ballots)
        .filter(|&ballot| ballot != 0)
        .count()
}

fn largest_fence(state: &State) -> Ballot {
    state
        .attempts
        .iter()
        .map(|attempt| attempt.fence)
        .max()
        .unwrap_or(0)
}

/// Forgets how long ago it was what can no longer matter.
fn forget_times(state: &mut State, bounds: Bounds) {
    let can_expire = bounds.retention <= bounds.end + bounds.wander;
    let longest = if can_expire { bounds.retention } else { 1 };
    for node in &mut state.nodes {
        if node.back_at <= state.now {
            node.back_at = 0;
        }
        node.accepted_at = node.accepted_at.max(state.now.saturating_sub(longest));
        if node.highest == 0 {
            node.accepted_at = 0;
        }
    }
}

/// Numbers the ballots anew in their order: 2, 4, 6 and so on.
fn renumber(state: &mut State) {
    let used = in_use(state);
    let renumber =
        |ballot: &mut Ballot| *ballot = 2 * (used & ((2 << *ballot) - 1)).count_ones() as Ballot;
    for node in &mut state.nodes {
        renumber(&mut node.highest);
    }
    for attempt in &mut state.attempts {
        attempt.ballots.iter_mut().for_each(renumber);
        renumber(&mut attempt.floor);
        renumber(&mut attempt.fence);
    }
}

/// One bit for each ballot that occurs in the state; none for 0.
fn in_use(state: &State) -> u64 {
    let mut used = 0;
    let mut add = |ballot: Ballot| used |= 1 << ballot;
    for node in &state.nodes {
        add(node.highest);
    }
    for attempt in &state.attempts {
        attempt.ballots.iter().copied().for_each(&mut add);
        add(attempt.floor);
        add(attempt.fence);
    }
    used & !1
}
