//! Fences from plain counters on the nodes, in ways that look right. Each of them is refuted by the checker.
//!
//! A node counts up whenever it grants the lock, and answers its count; clients make a fence of the answers. Messages and
//! answers may be lost, late or repeated, and locks end at any step, as in [`crate::fencing`].

use stateright::{Model, Property};

use crate::{NODES, QUORUM};

/// So many attempts are enough to break them all.
pub const ATTEMPTS: usize = 2;

/// An attempt's owner token: its number from 1.
pub type Token = u8;

const FREE: Token = 0;

/// How answers become a fence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The largest count that a node of the quorum answered.
    Maximum,
    /// The middle one of all nodes' counts, a quorum having granted the lock.
    Median,
    /// The largest count of all nodes that answered, also of those that refused.
    MaximumWithBusy,
}

#[derive(Clone, Debug)]
pub struct Counters {
    pub rule: Rule,
    /// The search goes no further than to this count.
    pub counts: u8,
}

/// One node, and what it answered to each attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub holder: Token,
    pub count: u8,
    /// The counts that it answered last, 0 for none: with a grant, and with a refusal.
    pub granted: [u8; ATTEMPTS],
    pub refused: [u8; ATTEMPTS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub begun: bool,
    /// The largest fence of the attempts that had succeeded when this one began, and its own.
    pub floor: u8,
    pub fence: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; NODES],
    pub attempts: [Attempt; ATTEMPTS],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Begin { attempt: usize },
    Acquire { attempt: usize, node: usize },
    Succeed { attempt: usize },
    Free { node: usize },
}

impl Counters {
    fn begin(&self, state: &mut State, attempt: usize) {
        let floor = state
            .attempts
            .iter()
            .map(|attempt| attempt.fence)
            .max()
            .unwrap_or(0);
        state.attempts[attempt] = Attempt {
            begun: true,
            floor,
            ..Attempt::default()
        };
    }

    fn acquire(&self, state: &mut State, at: usize, attempt: usize) {
        let asking = state.attempts[attempt].fence == 0;
        let node = &mut state.nodes[at];
        if node.holder != FREE && node.holder != token(attempt) {
            if asking && self.rule != Rule::Maximum {
                node.refused[attempt] = node.count;
            }
            return;
        }
        node.holder = token(attempt);
        node.count += 1;
        if asking {
            node.granted[attempt] = node.count;
        }
    }

    /// The fence that the answers make, if they are enough.
    fn fence(&self, state: &State, attempt: usize) -> Option<u8> {
        let granted = state.nodes.map(|node| node.granted[attempt]);
        let refused = state.nodes.map(|node| node.refused[attempt]);
        if granted.iter().filter(|&&count| count != 0).count() < QUORUM {
            return None;
        }
        match self.rule {
            Rule::Maximum => granted.into_iter().max(),
            Rule::MaximumWithBusy => granted.into_iter().chain(refused).max(),
            Rule::Median => {
                let mut counts = [0, 1, 2].map(|node| granted[node].max(refused[node]));
                counts.sort_unstable();
                (counts[0] != 0).then_some(counts[NODES / 2])
            }
        }
    }

    fn succeed(&self, state: &mut State, attempt: usize) -> Option<()> {
        state.attempts[attempt].fence = self.fence(state, attempt)?;
        for node in &mut state.nodes {
            (node.granted[attempt], node.refused[attempt]) = (0, 0); // Nobody counts them any more.
        }
        Some(())
    }
}

impl Model for Counters {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for attempt in 0..ATTEMPTS {
            let Attempt { begun, fence, .. } = state.attempts[attempt];
            if !begun {
                actions.push(Action::Begin { attempt });
                break; // Attempts are numbered in the order in which they begin.
            }
            actions.extend((0..NODES).map(|node| Action::Acquire { attempt, node }));
            if fence == 0 && self.fence(state, attempt).is_some() {
                actions.push(Action::Succeed { attempt });
            }
        }
        let held = (0..NODES).filter(|&node| state.nodes[node].holder != FREE);
        actions.extend(held.map(|node| Action::Free { node }));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Begin { attempt } => self.begin(&mut state, attempt),
            Action::Acquire { attempt, node } => self.acquire(&mut state, node, attempt),
            Action::Succeed { attempt } => self.succeed(&mut state, attempt)?,
            Action::Free { node } => state.nodes[node].holder = FREE,
        }
        state.nodes.sort_unstable(); // States count as one that differ only in the nodes' order.
        (state != *before).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.nodes.iter().all(|node| node.count <= self.counts)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("fences rise", |_, state: &State| {
            state.attempts.iter().all(rises)
        })]
    }
}

fn rises(attempt: &Attempt) -> bool {
    attempt.fence == 0 || attempt.fence > attempt.floor
}

fn token(attempt: usize) -> Token {
    attempt as Token + 1
}

/// The largest count of a quorum once more, when all goes well: one acquire after the other, by some quorum each.
#[derive(Clone, Debug)]
pub struct Calm;

/// The nodes' counts, the last fence, and whether it was larger than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CalmState {
    pub counts: [u8; NODES],
    pub fence: u8,
    pub stale: bool,
}

/// The node that has no part in an acquire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllBut(usize);

impl Model for Calm {
    type State = CalmState;
    type Action = AllBut;

    fn init_states(&self) -> Vec<CalmState> {
        vec![CalmState::default()]
    }

    fn actions(&self, _: &CalmState, actions: &mut Vec<AllBut>) {
        actions.extend((0..NODES).map(AllBut));
    }

    fn next_state(&self, before: &CalmState, AllBut(absent): AllBut) -> Option<CalmState> {
        let mut counts = before.counts;
        let present = (0..NODES).filter(|&node| node != absent);
        present.clone().for_each(|node| counts[node] += 1);
        let fence = present.map(|node| counts[node]).max()?;
        Some(CalmState {
            counts,
            fence,
            stale: fence <= before.fence,
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("fences rise", |_, state: &CalmState| {
            !state.stale
        })]
    }
}
