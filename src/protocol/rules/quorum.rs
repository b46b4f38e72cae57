//! From the nodes' votes to a decision, as soon as no further vote could change it.

/// The most nodes that a factory can have: one bit each in the sets below.
pub(crate) const MAX_NODES: usize = 64;

/// A set of nodes, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeMask(pub(crate) u64);

impl NodeMask {
    pub(crate) fn contains(self, node: usize) -> bool {
        self.0 & (1 << node) != 0
    }

    pub(crate) fn insert(&mut self, node: usize) {
        self.0 |= 1 << node;
    }

    pub(crate) fn remove(&mut self, node: usize) {
        self.0 &= !(1 << node);
    }

    pub(crate) fn without(self, other: NodeMask) -> NodeMask {
        NodeMask(self.0 & !other.0)
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let node = rest.trailing_zeros() as usize;
            (rest != 0).then(|| rest &= rest - 1).map(|()| node)
        })
    }
}

/// One node's answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// Granted, released, extended, or free: what was asked for.
    Yes,
    /// Held by another, or not held any more.
    No,
    /// Granted, but the ballot was not accepted: a larger one is needed.
    Low,
    /// No answer that counts: not connected, too late, or an error.
    Unavailable,
}

/// What the votes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Votes still to come can turn it either way.
    Pending,
    /// A quorum said yes.
    Won,
    /// A quorum could say yes to a larger ballot, and can't to this one.
    TooLow,
    /// A quorum can't say yes any more, and the nodes that answer are enough for one: some of them refused.
    Refused,
    /// So many nodes are unavailable that the others could not make a quorum, whatever they say.
    NoQuorum,
}

/// The votes on one question to `nodes` nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    nodes: usize,
    yes: NodeMask,
    no: NodeMask,
    low: NodeMask,
    unavailable: NodeMask,
}

/// How many of `nodes` nodes make a quorum: more than half, so that any two quorums share a node.
pub(crate) fn quorum(nodes: usize) -> usize {
    nodes / 2 + 1
}

impl Tally {
    /// No votes yet, from `nodes` (1 to [`MAX_NODES`]) nodes.
    pub(crate) fn new(nodes: usize) -> Tally {
        debug_assert!((1..=MAX_NODES).contains(&nodes));
        Tally {
            nodes,
            yes: NodeMask(0),
            no: NodeMask(0),
            low: NodeMask(0),
            unavailable: NodeMask(0),
        }
    }

    /// Counts a node's vote. A node's first vote stands: a repeated or contradicting one changes nothing, and
    /// `false` says so.
    pub(crate) fn record(&mut self, node: usize, vote: Vote) -> bool {
        if self.voted().contains(node) {
            return false;
        }
        match vote {
            Vote::Yes => self.yes.insert(node),
            Vote::No => self.no.insert(node),
            Vote::Low => self.low.insert(node),
            Vote::Unavailable => self.unavailable.insert(node),
        }
        true
    }

    /// Takes back a node's refusal: it is asked once more.
    pub(crate) fn take_back(&mut self, node: usize) {
        self.no.remove(node);
    }

    /// What is certain now. Once it is not `Pending`, no further vote changes whether it is `Won`.
    pub(crate) fn decision(&self) -> Decision {
        let quorum = quorum(self.nodes);
        let open = self.nodes - self.voted().len();
        if self.yes.len() >= quorum {
            Decision::Won
        } else if self.yes.len() + open >= quorum {
            Decision::Pending
        } else if self.yes.len() + self.low.len() + open >= quorum {
            Decision::TooLow
        } else if self.unavailable.len() > self.nodes - quorum {
            Decision::NoQuorum
        } else {
            Decision::Refused
        }
    }

    /// Whether the nodes that have granted are a quorum already, and only some ballots were too low.
    pub(crate) fn could_do_with_larger_ballot(&self) -> bool {
        !self.low.is_empty() && self.yes.len() + self.low.len() >= quorum(self.nodes)
    }

    /// Whether a refusal is the work of several rivals that each got too few nodes, rather than of one holder: no
    /// quorum refused, and some node did say yes. Worth a quick new attempt.
    pub(crate) fn is_split(&self) -> bool {
        !(self.yes.is_empty() && self.low.is_empty()) && self.no.len() < quorum(self.nodes)
    }

    /// The nodes that have voted.
    pub(crate) fn voted(&self) -> NodeMask {
        NodeMask(self.yes.0 | self.no.0 | self.low.0 | self.unavailable.0)
    }

    /// The nodes that said yes.
    pub(crate) fn yes(&self) -> NodeMask {
        self.yes
    }

    /// The nodes that wanted a larger ballot.
    pub(crate) fn low(&self) -> NodeMask {
        self.low
    }

    /// The nodes that said no.
    pub(crate) fn no(&self) -> NodeMask {
        self.no
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTES: [Vote; 4] = [Vote::Yes, Vote::No, Vote::Unavailable, Vote::Low];
    /// So many nodes at most vote in all possible ways. Miri takes ten thousand times as long.
    const MOST_NODES: usize = if cfg!(miri) { 3 } else { 7 };

    #[test]
    fn a_larger_ballot_helps_where_a_quorum_granted_and_some_wanted_one() {
        let helps = |votes: &[Vote]| {
            let mut tally = Tally::new(5);
            for (node, vote) in votes.iter().enumerate() {
                tally.record(node, *vote);
            }
            tally.could_do_with_larger_ballot()
        };
        use Vote::{Low, No, Yes};
        assert!(helps(&[Yes, Low, Yes]) && helps(&[Low, Low, Low]) && helps(&[No, Low, Yes, Low]));
        assert!(!helps(&[Yes, Yes, Yes]) && !helps(&[Low, Yes]) && !helps(&[Low, No, No, Yes]));
    }

    /// Calls `check` for every assignment of a vote or silence to `nodes` nodes, in every rotation of the order of
    /// arrival.
    fn every_assignment(nodes: usize, mut check: impl FnMut(&[(usize, Option<Vote>)])) {
        let choices = VOTES.len() + 1;
        for code in 0..choices.pow(nodes as u32) {
            let votes: Vec<_> = (0..nodes)
                .map(|node| {
                    (
                        node,
                        VOTES
                            .get(code / choices.pow(node as u32) % choices)
                            .copied(),
                    )
                })
                .collect();
            for first in 0..nodes {
                let mut order = votes.clone();
                order.rotate_left(first);
                check(&order);
            }
        }
    }

    /// What follows from the votes by the definition, with the silent nodes free to vote either way.
    fn by_definition(nodes: usize, votes: &[Option<Vote>]) -> Decision {
        let count = |wanted| votes.iter().filter(|vote| **vote == Some(wanted)).count();
        let silent = votes.iter().filter(|vote| vote.is_none()).count();
        let majority = |count: usize| 2 * count > nodes;
        if majority(count(Vote::Yes)) {
            Decision::Won
        } else if majority(count(Vote::Yes) + silent) {
            Decision::Pending
        } else if majority(count(Vote::Yes) + count(Vote::Low) + silent) {
            Decision::TooLow
        } else if !majority(nodes - count(Vote::Unavailable)) {
            Decision::NoQuorum
        } else {
            Decision::Refused
        }
    }

    #[test]
    fn every_sequence_of_votes_is_decided_as_defined_and_as_early_as_possible() {
        for nodes in 1..=MOST_NODES {
            every_assignment(nodes, |order| {
                let mut tally = Tally::new(nodes);
                let mut seen = vec![None; nodes];
                for &(node, vote) in order {
                    let Some(vote) = vote else { continue };
                    assert!(tally.record(node, vote));
                    seen[node] = Some(vote);
                    assert_eq!(tally.decision(), by_definition(nodes, &seen), "{order:?}");
                }
            });
        }
    }

    #[test]
    fn a_late_vote_never_turns_a_decision() {
        for nodes in 1..=MOST_NODES {
            every_assignment(nodes, |order| {
                let mut tally = Tally::new(nodes);
                let mut first = None;
                for &(node, vote) in order {
                    let Some(vote) = vote else { continue };
                    tally.record(node, vote);
                    let decision = tally.decision();
                    let won = decision == Decision::Won;
                    match first {
                        None if decision != Decision::Pending => first = Some(won),
                        Some(first) => assert_eq!(first, won, "{order:?}"),
                        None => {}
                    }
                }
            });
        }
    }

    #[test]
    fn a_node_votes_once() {
        for nodes in 1..=MOST_NODES {
            every_assignment(nodes, |order| {
                let mut once = Tally::new(nodes);
                let mut twice = Tally::new(nodes);
                for &(node, vote) in order {
                    let Some(vote) = vote else { continue };
                    once.record(node, vote);
                    twice.record(node, vote);
                    for again in VOTES {
                        assert!(!twice.record(node, again));
                    }
                }
                assert_eq!(once.decision(), twice.decision());
                assert_eq!(once.yes(), twice.yes());
            });
        }
    }

    #[test]
    fn an_even_split_is_decided() {
        let mut tally = Tally::new(4);
        for (node, vote) in [(0, Vote::Yes), (1, Vote::No), (2, Vote::Yes), (3, Vote::No)] {
            tally.record(node, vote);
        }
        assert_eq!(tally.decision(), Decision::Refused);
        assert!(tally.is_split());
    }

    #[test]
    fn a_held_lock_is_no_split() {
        let mut tally = Tally::new(5);
        for (node, vote) in [(0, Vote::Yes), (1, Vote::No), (2, Vote::No), (3, Vote::No)] {
            tally.record(node, vote);
        }
        assert_eq!(tally.decision(), Decision::Refused);
        assert!(!tally.is_split());
    }

    #[test]
    fn any_two_quorums_share_a_node() {
        for nodes in 1..=MAX_NODES {
            assert!(2 * quorum(nodes) > nodes);
        }
    }

    #[test]
    fn a_mask_lists_its_nodes() {
        let mut mask = NodeMask::default();
        for node in [0, 3, 63] {
            mask.insert(node);
        }
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0, 3, 63]);
        assert_eq!(mask.len(), 3);
        assert_eq!(mask.without(NodeMask(1)).iter().next(), Some(3));
    }
}
