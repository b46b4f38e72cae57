//! One operation under way: what it wants, which attempt it is at, and how its outcome is put into words.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::grant::Grant;
use super::hints::Heed;
use super::host::{Entropy, Host};
use super::node::command::{Question, Stranger};
use super::node::config::NodeConfig;
use super::node::target::Target;
use super::node_set::NodeSet;
use super::nodes::ballot_advice;
use super::rules::backoff::Backoff;
use super::rules::quorum::{self, Decision, MAX_NODES, NodeMask, Tally, Vote};
use super::rules::round_trip::RoundTrip;
use super::slab::Key;
use super::token::Token;
use crate::error::{Error, NodeReport, Result, Status};
use crate::time::{self, MILLISECOND, Nanos};

/// How long an operation rests after a split vote, at first and at most: rivals are about to give back what they got,
/// which takes them a round trip or two. In the queue it may become longer, for then a call ends it.
const SPLIT_REST: (Nanos, Nanos) = (MILLISECOND / 4, 8 * MILLISECOND);

/// How often a waiter looks although it was not called, in case a call was lost.
pub(crate) const LOOK_INTERVAL: Nanos = 1_000 * MILLISECOND;

/// For how long a lock that is being handed on stays free now and then, for those who do not queue, in ms; and what part of the
/// time it is held that makes of it. The owner decides when it gives the lock back, so that all nodes do it at once.
const WINDOW_MS: u64 = 5;
const WINDOW_EVERY: u64 = 50;

/// What an operation wants of its resource.
pub(crate) enum Task {
    Acquire {
        ttl_ms: u64,
        /// The ballot of the present round, 0 without fencing; and how many rounds this attempt had.
        ballot: u64,
        rounds: u32,
        /// The least ballot that every node which wanted a larger one would have.
        least: u64,
        /// The end of the wait budget.
        give_up_at: Nanos,
        /// When it began to wait in the queue, in us since 1970 by the nodes' clocks; 0 before that.
        arrival: u64,
        /// After how many ms a look is worth while, by what the nodes that refused said; and whether their holder calls.
        look_after_ms: u64,
        calls: bool,
        /// Rests after a refusal by a holder.
        held: Backoff,
        /// Rests after a vote that nobody won.
        split: Backoff,
    },
    /// Gives back a lock, or the remains of a failed attempt.
    Release {
        /// How long it would last at most.
        ttl_ms: u64,
        /// The waiter whose failed attempt it was, and its arrival.
        waiter: Option<(u64, u64)>,
        /// For how long it stays free before those who wait are called; 0 for not at all.
        window_ms: u64,
    },
    Extend {
        grant: Arc<Grant>,
        ttl_ms: u64,
    },
    IsLocked,
    /// Takes a lock that is held also on nodes that missed it.
    Reinforce {
        ttl_ms: u64,
    },
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits until a timer or a node resumes it.
    Resting,
    /// Waits for its turn, because many others are asking.
    Queued,
    /// Has asked the nodes and counts the votes.
    Asking,
    /// Has ended for its caller; stays until every node that was asked has answered or is gone.
    Ended,
}

/// Why a node did not vote.
struct Note {
    node: usize,
    status: Status,
    message: Arc<str>,
}

/// Who asked for an operation, and is told how it ended.
pub(crate) enum Asker<H: Host> {
    /// Somebody who waits for it.
    Waiting(H::Caller),
    /// Somebody who is told, but does not wait.
    Background(H::Caller),
    /// What keeps a lock alive.
    KeepAlive(Key),
    /// The machine itself: nobody is told.
    Nobody,
}

/// An operation. Its key, set and token are fixed; an acquire's token changes with every attempt.
pub(crate) struct Operation<H: Host> {
    pub(crate) set: Arc<NodeSet>,
    /// `Nobody` once it has ended.
    pub(crate) asker: Asker<H>,
    /// Whether somebody waits for it, and whether it takes turns with others: also after its end.
    is_awaited: bool,
    takes_turns: bool,
    pub(crate) task: Task,
    pub(crate) target: Arc<Target>,
    pub(crate) token: Token,
    /// The lock that it is about, or that came of it.
    pub(crate) lock: Weak<Grant>,
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
    /// When the present attempt's first command was packed; its validity counts from there.
    pub(crate) started: Nanos,
    /// When the present round of questions was packed.
    pub(crate) asked_at: Nanos,
    /// The nodes that were asked in earlier rounds of this attempt and did not refuse.
    earlier: NodeMask,
    /// The nodes that are to be asked at all.
    pub(crate) eligible: NodeMask,
    /// The nodes that were asked in this attempt, and those of them that have not answered.
    pub(crate) asked: NodeMask,
    pub(crate) open: NodeMask,
    pub(crate) tally: Tally,
    /// This attempt asks only the nodes that called.
    pub(crate) gathering: bool,
    /// Nodes that refused in the present round and have put it into their queue.
    put_in_queue: NodeMask,
    /// Nodes that called while the attempt was on that they had refused.
    pub(crate) called: NodeMask,
    /// Nodes whose queue it is in, as far as is known: each of them is going to call.
    pub(crate) queued_on: NodeMask,
    /// Nodes whose connections were lost while they were asked in this round, and whether such a loss has led to another
    /// attempt.
    pub(crate) lost_on: NodeMask,
    had_second_chance: bool,
    /// Until when it waits for nodes that are about to be there, before its next attempt.
    hoped_until: Option<Nanos>,
    /// What it makes of calls.
    pub(crate) heed: Heed,
    /// Nodes whose refusal was taken back in the present round, or that were asked when the lock was won already.
    asked_again: NodeMask,
    /// Nodes that refused because of a key that is no lock of this library; by what it is.
    endless: NodeMask,
    not_strings: NodeMask,
    /// Whether that was logged.
    pub(crate) stranger_logged: bool,
    notes: Vec<Note>,
    /// The least ballots that nodes would have had in this attempt, the largest of each.
    wanted: Vec<(usize, u64)>,
    /// Nodes whose highest ballots lie ahead of their own clocks, and by how many us.
    ahead: Vec<(usize, u64)>,
}

impl<H: Host> Operation<H> {
    fn new(
        set: Arc<NodeSet>,
        asker: Asker<H>,
        task: Task,
        target: Arc<Target>,
        token: Token,
    ) -> Operation<H> {
        let nodes = set.nodes.len();
        Operation {
            set,
            is_awaited: matches!(asker, Asker::Waiting(_)),
            takes_turns: !matches!(asker, Asker::Nobody),
            asker,
            task,
            target,
            token,
            lock: Weak::new(),
            phase: Phase::Resting,
            attempt: 0,
            started: 0,
            asked_at: 0,
            earlier: NodeMask::default(),
            eligible: NodeMask(u64::MAX),
            asked: NodeMask::default(),
            open: NodeMask::default(),
            tally: Tally::new(nodes),
            gathering: false,
            put_in_queue: NodeMask::default(),
            called: NodeMask::default(),
            queued_on: NodeMask::default(),
            lost_on: NodeMask::default(),
            had_second_chance: false,
            hoped_until: None,
            heed: Heed::default(),
            asked_again: NodeMask::default(),
            endless: NodeMask::default(),
            not_strings: NodeMask::default(),
            stranger_logged: false,
            notes: Vec::new(),
            wanted: Vec::new(),
            ahead: Vec::new(),
        }
    }

    /// Takes a lock for `ttl_ms`, trying until `give_up_at`; first as the owner that `token` names.
    pub(crate) fn acquire(
        set: Arc<NodeSet>,
        asker: Asker<H>,
        target: Target,
        ttl_ms: u64,
        give_up_at: Nanos,
        token: Token,
    ) -> Operation<H> {
        let held = Backoff::new(
            time::from_ms(set.settings.retry_min_ms),
            time::from_ms(set.settings.retry_max_ms),
        );
        let task = Task::Acquire {
            ttl_ms,
            ballot: 0,
            rounds: 0,
            least: 0,
            arrival: 0,
            look_after_ms: 0,
            calls: true,
            give_up_at,
            held,
            split: Backoff::new(SPLIT_REST.0, LOOK_INTERVAL),
        };
        Operation::new(set, asker, task, Arc::new(target), token)
    }

    /// Gives a lock back, on every node that took it or may have. It begins at `now`; `random` decides whether the lock is left
    /// to those who do not queue.
    pub(crate) fn release(
        grant: &Arc<Grant>,
        asker: Asker<H>,
        now: Nanos,
        random: u64,
    ) -> Operation<H> {
        let task = Task::Release {
            ttl_ms: grant.longest_ttl_ms(),
            waiter: None,
            window_ms: window_ms(grant, now, random),
        };
        let mut operation = Operation::on_grant(grant, asker, task);
        operation.eligible = grant.nodes();
        operation
    }

    /// Takes a lock that is held on one more node, which missed it. Nobody waits for it.
    pub(crate) fn reinforce(grant: &Arc<Grant>, node: usize, now: Nanos) -> Operation<H> {
        // As long as elsewhere, also when the last extension was for less than was left.
        let task = Task::Reinforce {
            ttl_ms: grant.ttl_ms().max(grant.validity(now) / MILLISECOND),
        };
        let mut operation = Operation::on_grant(grant, Asker::Nobody, task);
        operation.eligible = NodeMask(1 << node);
        operation
    }

    /// Gives back what may be left on `nodes` of an attempt that failed.
    pub(crate) fn give_back(
        set: Arc<NodeSet>,
        target: Arc<Target>,
        token: Token,
        ttl_ms: u64,
        nodes: NodeMask,
    ) -> Operation<H> {
        let task = Task::Release {
            ttl_ms,
            waiter: None,
            window_ms: 0,
        };
        let mut operation = Operation::new(set, Asker::Nobody, task, target, token);
        operation.eligible = nodes;
        operation
    }

    /// Gives back what the present attempt of this acquire may leave on nodes, when it has failed.
    pub(crate) fn step_back(&self, key: Key) -> Option<Operation<H>> {
        let Task::Acquire {
            ttl_ms, arrival, ..
        } = self.task
        else {
            return None;
        };
        let (set, target) = (Arc::clone(&self.set), Arc::clone(&self.target));
        let nodes = self.may_hold();
        let mut release = Operation::give_back(set, target, self.token, ttl_ms, nodes);
        let waiter = self.is_waiting().then_some((key.number(), arrival));
        release.task = Task::Release {
            ttl_ms,
            waiter,
            window_ms: 0,
        };
        Some(release)
    }

    /// Has a lock last for `ttl_ms` from now at least.
    pub(crate) fn extend(grant: &Arc<Grant>, asker: Asker<H>, ttl_ms: u64) -> Operation<H> {
        let task = Task::Extend {
            grant: Arc::clone(grant),
            ttl_ms,
        };
        let mut operation = Operation::on_grant(grant, asker, task);
        operation.eligible = grant.nodes();
        operation
    }

    fn on_grant(grant: &Arc<Grant>, asker: Asker<H>, task: Task) -> Operation<H> {
        let (set, target) = (Arc::clone(&grant.set), Arc::clone(&grant.target));
        let mut operation = Operation::new(set, asker, task, target, grant.token);
        operation.lock = Arc::downgrade(grant);
        operation
    }

    /// Asks whether a resource is locked, by anyone.
    pub(crate) fn is_locked(set: Arc<NodeSet>, asker: Asker<H>, target: Target) -> Operation<H> {
        // A question names no owner; the token is never sent.
        let target = Arc::new(target);
        Operation::new(set, asker, Task::IsLocked, target, Token::NONE)
    }

    /// What each node is asked.
    pub(crate) fn question(&self) -> Question {
        match self.task {
            Task::Acquire {
                ttl_ms,
                ballot,
                rounds: 2..,
                ..
            } => Question::AcquireAgain { ttl_ms, ballot },
            // A script tells more of who holds it, where a waiter looks that is not told by a queue: at first, and at last,
            // when that becomes the error.
            Task::Acquire {
                ttl_ms,
                ballot,
                give_up_at,
                ..
            } if self.attempt == 2 || (self.attempt > 2 && self.asked_at >= give_up_at) => {
                Question::AcquireAgain { ttl_ms, ballot }
            }
            Task::Acquire { ttl_ms, ballot, .. } => Question::Acquire { ttl_ms, ballot },
            // Without a ballot: the lock has its fence. With that a node that lost the lock, but remembers the fence,
            // would take this for a message that came twice.
            Task::Reinforce { ttl_ms } => Question::Acquire { ttl_ms, ballot: 0 },
            Task::Release { window_ms, .. } => Question::Release { window_ms },
            Task::Extend { ttl_ms, .. } => Question::Extend { ttl_ms },
            Task::IsLocked => Question::IsFree,
        }
    }

    /// What a node is asked that can call its waiters.
    pub(crate) fn question_to_caller(&self, key: Key) -> Question {
        match self.task {
            Task::Acquire {
                ttl_ms,
                ballot,
                arrival: arrival @ 1..,
                ..
            } => Question::AcquireOrWait {
                ttl_ms,
                ballot,
                waiter: key.number(),
                arrival,
            },
            Task::Release {
                waiter: Some((waiter, arrival)),
                ..
            } => Question::StepBack { waiter, arrival },
            _ => self.question(),
        }
    }

    /// Whether it waits in the queue.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.task, Task::Acquire { arrival: 1.., .. })
    }

    /// Whether it joins the queue when it is refused.
    fn may_wait(&self) -> bool {
        self.set.settings.fair && self.target.names().len() == 1
    }

    /// Whether it is about to try for the first time, and could wait in a queue.
    pub(crate) fn may_join(&self) -> bool {
        let Task::Acquire { give_up_at, .. } = self.task else {
            return false;
        };
        self.attempt == 0 && give_up_at > 0 && self.may_wait()
    }

    /// Gets into the queue without having tried first.
    pub(crate) fn join(&mut self, time_us: u64) {
        if let Task::Acquire { arrival, .. } = &mut self.task {
            *arrival = time_us;
        }
    }

    /// A node refused, and has put it into the queue.
    pub(crate) fn refused_for(&mut self, node: usize, after_ms: u64, holder_calls: bool) {
        if !self.tally.record(node, Vote::No) {
            return;
        }
        self.put_in_queue.insert(node);
        if holder_calls {
            self.queued_on.insert(node);
        }
        if let Task::Acquire {
            look_after_ms,
            calls,
            ..
        } = &mut self.task
        {
            *look_after_ms = after_ms.max(*look_after_ms);
            *calls &= holder_calls;
        }
    }

    /// Takes back the refusal of a node that has called since, if others have granted: with this node's vote the attempt
    /// may still be won, and it is to be asked as if it had not been. Whether it did.
    ///
    /// A node that puts somebody into its queue accepts no ballot, so that asking once more is as if the first question
    /// had never arrived. It may not be asked so if it has answered a plain acquire.
    pub(crate) fn take_back_refusal(&mut self, node: usize) -> bool {
        let holds_some = !self.tally.yes().is_empty() || !self.tally.low().is_empty();
        let does = holds_some && self.put_in_queue.contains(node) && self.may_ask_again(node);
        if does {
            self.put_in_queue.remove(node);
            self.asked.remove(node);
            self.tally.take_back(node);
        }
        does
    }

    /// Whether a node that has answered in this round may be asked once more because it calls: once only, for a call can be
    /// anybody's.
    pub(crate) fn may_ask_again(&mut self, node: usize) -> bool {
        let may = !self.asked_again.contains(node);
        self.asked_again.insert(node);
        may
    }

    /// About when the one before gave the lock back that this operation has won now, if it was waited for in a queue; 0
    /// otherwise. The call took about as long as the question.
    pub(crate) fn handed_on_at(&self, now: Nanos) -> Nanos {
        match self.is_waiting() {
            true => self
                .started
                .saturating_sub(now.saturating_sub(self.started)),
            false => 0,
        }
    }

    /// A node refused because of such a key.
    pub(crate) fn is_kept_out_by(&mut self, node: usize, stranger: Stranger) {
        match stranger {
            Stranger::NeverExpires => self.endless.insert(node),
            Stranger::NotAString => self.not_strings.insert(node),
        }
    }

    /// When the holder's time is over, as far as is known.
    pub(crate) fn worth_a_look_at(&self) -> Nanos {
        match self.task {
            Task::Acquire { look_after_ms, .. } => self
                .asked_at
                .saturating_add(time::from_ms(look_after_ms.saturating_add(1))),
            _ => 0,
        }
    }

    /// Whether a user waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Whether it may wait a moment for nodes that are being contacted. What goes back goes back at once.
    pub(crate) fn may_wait_for_nodes(&self) -> bool {
        !matches!(self.task, Task::Release { .. } | Task::Reinforce { .. })
    }

    /// Until when it waits for nodes before its next attempt: a node that comes and goes again and again gives hope only once.
    pub(crate) fn hopes_until(&mut self, until: Nanos) -> Nanos {
        let first = *self.hoped_until.get_or_insert(until);
        first.min(until)
    }

    /// Whether it takes its turn when many operations ask at once. What goes back goes back at once.
    pub(crate) fn takes_turns(&self) -> bool {
        self.takes_turns
    }

    /// Whether a node that could not carry out its question is to be asked again. A lock is taken only while votes are
    /// counted, or while it is held.
    pub(crate) fn is_wanted(&self) -> bool {
        let takes = matches!(self.task, Task::Acquire { .. } | Task::Reinforce { .. });
        let is_held = || self.lock.upgrade().is_some_and(|it| !it.is_released());
        !takes || self.phase == Phase::Asking || is_held()
    }

    /// Whether an attempt that failed because of lost connections is made once more. A release is not: those of its nodes
    /// that it could not reach get it when they are back, and the others have carried it out.
    pub(crate) fn takes_second_chance(&mut self) -> bool {
        let may = !matches!(self.task, Task::Release { .. } | Task::Reinforce { .. });
        may && !self.lost_on.is_empty() && !std::mem::replace(&mut self.had_second_chance, true)
    }

    /// How long any node has to answer.
    pub(crate) fn node_timeout(&self) -> Nanos {
        self.set.settings.node_timeout(self.ttl_at_stake())
    }

    /// How long a node has to answer that usually takes so long.
    pub(crate) fn timeout_of(&self, usual: RoundTrip) -> Nanos {
        self.set.settings.timeout_of(self.ttl_at_stake(), usual)
    }

    /// How long a node has that the outcome depends on.
    pub(crate) fn patience_with(&self, usual: RoundTrip) -> Nanos {
        self.set.settings.patience_with(self.ttl_at_stake(), usual)
    }

    /// Whether no quorum is left without these nodes, and one is possible with them.
    pub(crate) fn depends_on(&self, nodes: NodeMask) -> bool {
        let mut without = self.tally;
        for node in nodes.iter() {
            without.record(node, Vote::Unavailable);
        }
        self.tally.decision() == Decision::Pending
            && !matches!(
                without.decision(),
                Decision::Pending | Decision::Won | Decision::TooLow
            )
    }

    fn ttl_at_stake(&self) -> Option<u64> {
        match self.task {
            Task::Acquire { ttl_ms, .. }
            | Task::Extend { ttl_ms, .. }
            | Task::Reinforce { ttl_ms, .. } => Some(ttl_ms),
            Task::Release { .. } | Task::IsLocked => None,
        }
    }

    /// Starts the next attempt: no votes yet. From the second one on an acquire is another owner.
    pub(crate) fn begin_attempt(&mut self, now: Nanos, entropy: &mut dyn Entropy) -> Result<()> {
        self.phase = Phase::Asking;
        self.hoped_until = None;
        if self.attempt > 0 && matches!(self.task, Task::Acquire { .. }) {
            self.token = fresh_token(entropy)?;
        }
        if let Task::Extend { grant, ttl_ms } = &self.task {
            grant.begin_extension(*ttl_ms);
        }
        self.started = now;
        self.wanted.clear();
        self.called = NodeMask::default();
        self.earlier = NodeMask::default();
        if let Task::Acquire {
            look_after_ms,
            calls,
            ..
        } = &mut self.task
        {
            *look_after_ms = 0;
            *calls = true;
        }
        self.begin_round(now);
        Ok(())
    }

    /// Starts the questions anew, under the same token: no votes yet.
    pub(crate) fn begin_round(&mut self, now: Nanos) {
        self.attempt += 1;
        self.asked_at = now;
        self.asked = NodeMask::default();
        self.open = NodeMask::default();
        self.gathering = false;
        self.lost_on = NodeMask::default();
        self.put_in_queue = NodeMask::default();
        self.asked_again = NodeMask::default();
        (self.endless, self.not_strings) = (NodeMask::default(), NodeMask::default());
        self.heed.begin_attempt();
        self.tally = Tally::new(self.set.nodes.len());
        self.notes.clear();
    }

    /// Proposes this ballot in a further round of the same attempt; what the nodes took they keep.
    pub(crate) fn begin_further_round(&mut self, proposal: u64, now: Nanos) {
        self.earlier = self.may_hold();
        self.begin_round(now);
        if let Task::Acquire {
            ballot,
            rounds,
            least,
            ..
        } = &mut self.task
        {
            *ballot = proposal;
            *rounds += 1;
            *least = 0;
        }
    }

    /// Proposes this ballot in an attempt's first round.
    pub(crate) fn propose(&mut self, proposal: u64) {
        if let Task::Acquire {
            ballot,
            rounds,
            least,
            ..
        } = &mut self.task
        {
            *ballot = proposal;
            *rounds = 1;
            *least = 0;
        }
    }

    /// A node took the lock and would have a ballot of at least `needed`.
    pub(crate) fn needs_ballot(&mut self, node: usize, needed: u64) {
        self.tally.record(node, Vote::Low);
        match self.wanted.iter_mut().find(|(other, _)| *other == node) {
            Some((_, least)) => *least = needed.max(*least),
            None => self.wanted.push((node, needed)),
        }
        if let Task::Acquire { least, .. } = &mut self.task {
            *least = needed.max(*least);
        }
    }

    /// The least ballot that a node would have had in this attempt, if it wanted a larger one than was proposed.
    pub(crate) fn wanted_by(&self, node: usize) -> Option<u64> {
        let found = self.wanted.iter().find(|(other, _)| *other == node);
        found.map(|(_, least)| *least)
    }

    /// No ballot was acceptable to a quorum; these nodes' highest ballots lie ahead of their own clocks.
    pub(crate) fn blame(&mut self, ahead: Vec<(usize, u64)>) {
        self.ahead = ahead;
    }

    /// Counts a node's vote.
    pub(crate) fn vote(&mut self, node: usize, vote: Vote) {
        if self.tally.record(node, vote)
            && vote == Vote::No
            && let Task::Acquire { calls, .. } = &mut self.task
        {
            // It refused without putting anybody into a queue.
            *calls = false;
        }
    }

    /// Counts a node as unavailable, for the reason given.
    pub(crate) fn unavailable(&mut self, node: usize, status: Status, message: &Arc<str>) {
        if self.tally.record(node, Vote::Unavailable) {
            let message = Arc::clone(message);
            self.notes.push(Note {
                node,
                status,
                message,
            });
        }
    }

    /// The nodes that may hold this attempt's key: all that were asked and have not refused.
    pub(crate) fn may_hold(&self) -> NodeMask {
        NodeMask(self.asked.0 | self.earlier.0).without(self.tally.no())
    }

    /// Whether an attempt that is lost had better wait for the answers that are missing. A waiter in a queue has time; and
    /// a node that has refused is left alone, where one that was not heard must be sent a release.
    pub(crate) fn awaits_all_refusals(&self) -> bool {
        let in_queue = matches!(self.task, Task::Acquire { arrival: 1.., .. });
        let got_none = self.tally.yes().is_empty() && self.tally.low().is_empty();
        let missing = self.asked.without(self.tally.voted());
        in_queue && got_none && self.called.is_empty() && !missing.is_empty()
    }

    /// How long an acquire rests before its next attempt, `None` when its budget is spent.
    pub(crate) fn rest(&mut self, now: Nanos, time_us: u64, random: u64) -> Option<Nanos> {
        let is_refused = self.tally.decision() == Decision::Refused;
        let is_split = is_refused && self.tally.is_split();
        let (may_wait, look_at) = (self.may_wait(), self.worth_a_look_at());
        let Task::Acquire {
            give_up_at,
            arrival,
            calls,
            held,
            split,
            ..
        } = &mut self.task
        else {
            return None;
        };
        if now >= *give_up_at {
            return None;
        }
        if !is_split {
            split.reset();
        }
        let until = if is_refused && may_wait && *arrival == 0 {
            // Into the queue, at once.
            *arrival = time_us;
            now
        } else if is_split {
            let longest = match may_wait && *calls {
                true => LOOK_INTERVAL,
                false => SPLIT_REST.1,
            };
            now + split.next(random).min(longest)
        } else if is_refused && may_wait && *calls {
            held.reset();
            let jitter = (u128::from(random) * u128::from(LOOK_INTERVAL / 4)) >> 64;
            look_at.clamp(now + MILLISECOND, now + LOOK_INTERVAL + jitter as Nanos)
        } else {
            now + held.next(random)
        };
        Some(until.min(*give_up_at))
    }

    /// The error for a failure that is not any node's doing.
    pub(crate) fn stopped(&self, status: Status) -> Error {
        Error::with_nodes(status, self.sentence(status), self.reports())
    }

    /// The error for an attempt that the votes decided.
    pub(crate) fn failure(&self, decision: Decision) -> Error {
        let status = match (decision, &self.task) {
            (Decision::NoQuorum | Decision::TooLow, _) => Status::NoQuorum,
            (_, Task::Acquire { .. } | Task::IsLocked) => Status::Contended,
            (_, _) if self.is_gone() => Status::Expired,
            (_, _) => Status::NoQuorum,
        };
        self.stopped(status)
    }

    /// Whether a lock, by what the nodes said, can't be on a quorum of them any more.
    pub(crate) fn is_gone(&self) -> bool {
        let nodes = self.set.nodes.len();
        let all = NodeMask(u64::MAX >> (MAX_NODES - nodes));
        let possible = NodeMask(self.eligible.0 & all.0).without(self.tally.no());
        possible.len() < quorum::quorum(nodes)
    }

    /// What failed, why, and what to do.
    fn sentence(&self, status: Status) -> String {
        let (verb, resource) = (self.verb(), self.resources());
        let nodes = self.set.nodes.len();
        let needed = quorum::quorum(nodes);
        match status {
            Status::Contended => format!(
                "{verb} {resource} failed: it is locked by another owner ({} of {nodes} nodes refused){}",
                self.tally.no().len(),
                self.advice_on_strangers()
            ),
            Status::NoQuorum if self.tally.decision() == Decision::TooLow => format!(
                "{verb} {resource} failed: no ballot was acceptable to {needed} of {nodes} nodes: {}",
                self.why_too_low()
            ),
            Status::NoQuorum if nodes - self.notes.len() >= needed => format!(
                "{verb} {resource} failed: only {} of {nodes} nodes agreed, {needed} are needed",
                self.tally.yes().len()
            ),
            Status::NoQuorum => format!(
                "{verb} {resource} failed: only {} of {nodes} nodes could vote, {needed} are needed",
                nodes - self.notes.len()
            ),
            Status::Expired => match self.task {
                Task::Acquire { ttl_ms, .. } => format!(
                    "{verb} {resource} failed: its TTL of {ttl_ms} ms ran out before a quorum had answered; use a longer one"
                ),
                _ => format!(
                    "{verb} {resource} failed: it was not held any more, because its TTL ran out or its keys are gone"
                ),
            },
            Status::Cancelled => format!("{verb} {resource} was cancelled"),
            Status::Closed => format!("{verb} {resource} was ended: the factory was closed"),
            _ => format!("{verb} {resource} failed: {}", status.message()),
        }
    }

    /// What to do about a key that is no lock of this library.
    pub(crate) fn advice_on_strangers(&self) -> &'static str {
        if !self.endless.is_empty() {
            return "; a key of that name never expires, so it is no lock, and is not going to be freed: delete it, or use another name or the option key_prefix";
        }
        match self.not_strings.is_empty() {
            true => "",
            false => {
                "; a key of that name is not a string, so it is a lock of another library, or data: use another name or the option key_prefix"
            }
        }
    }

    /// Why no ballot was acceptable to a quorum, and what to do.
    fn why_too_low(&self) -> String {
        let blamed = |(node, us): &(usize, u64)| {
            let address = self.set.nodes[*node].display();
            let advice = ballot_advice(Duration::from_micros(*us));
            format!("{address}: {advice}")
        };
        match self.ahead.is_empty() {
            true => {
                "their clocks differ by more than a second; synchronise them, or set fencing=off"
                    .to_owned()
            }
            false => self.ahead.iter().map(blamed).collect::<Vec<_>>().join("; "),
        }
    }

    fn verb(&self) -> &'static str {
        match self.task {
            Task::Acquire { .. } | Task::Reinforce { .. } => "acquiring",
            Task::Release { .. } => "releasing",
            Task::Extend { .. } => "extending",
            Task::IsLocked => "asking for",
        }
    }

    /// The resources' names, quoted.
    pub(crate) fn resources(&self) -> String {
        let quoted: Vec<_> = self
            .target
            .names()
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        quoted.join(", ")
    }

    /// Every node's part in the present attempt; empty before the first one.
    fn reports(&self) -> Vec<NodeReport> {
        if self.attempt == 0 {
            return Vec::new();
        }
        let report = |(node, address): (usize, &Arc<NodeConfig>)| {
            let (status, message) = self.node_outcome(node);
            NodeReport {
                address: address.display().to_owned(),
                status,
                message,
            }
        };
        self.set.nodes.iter().enumerate().map(report).collect()
    }

    fn node_outcome(&self, node: usize) -> (Status, String) {
        if let Some(note) = self.notes.iter().find(|note| note.node == node) {
            return (note.status, note.message.to_string());
        }
        let (status, message) = if self.endless.contains(node) {
            (Status::Contended, "held by a key that never expires")
        } else if self.not_strings.contains(node) {
            (Status::Contended, "held by a key that is not a string")
        } else if self.tally.yes().contains(node) {
            match self.task {
                Task::Acquire { .. } | Task::Reinforce { .. } => {
                    (Status::Ok, "granted; given back")
                }
                Task::Release { .. } => (Status::Ok, "released"),
                Task::Extend { .. } => (Status::Ok, "extended"),
                Task::IsLocked => (Status::Ok, "free"),
            }
        } else if self.tally.no().contains(node) {
            match self.task {
                Task::Acquire { .. } | Task::Reinforce { .. } | Task::IsLocked => {
                    (Status::Contended, "held by another owner")
                }
                Task::Release { .. } | Task::Extend { .. } => {
                    (Status::Expired, "not held here any more")
                }
            }
        } else if self.tally.low().contains(node) {
            (Status::Ok, "granted, but not with this ballot; given back")
        } else {
            (Status::Unanswered, Status::Unanswered.message())
        };
        (status, message.to_owned())
    }
}

/// For how long a lock that is given back stays free: in the mean, a small part of the time that it was held.
fn window_ms(grant: &Grant, now: Nanos, random: u64) -> u64 {
    if grant.handed_on_at == 0 {
        return 0;
    }
    let held = now.saturating_sub(grant.handed_on_at);
    let every = WINDOW_EVERY * time::from_ms(WINDOW_MS);
    match random % every < held {
        true => WINDOW_MS,
        false => 0,
    }
}

fn fresh_token(entropy: &mut dyn Entropy) -> Result<Token> {
    entropy.token().map_err(|error| {
        let message = format!("the operating system has no random bytes for a token: {error}");
        Error::new(Status::System, message)
    })
}
