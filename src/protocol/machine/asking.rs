//! Operations: attempts, rounds of ballots, what the votes amount to, and what is given back.

use std::sync::Arc;

use super::{MAX_ROUNDS, Machine, NodePlace, mark_dirty};
use crate::error::{Error, Status};
use crate::level::Level;
use crate::protocol::grant::{Grant, Won};
use crate::protocol::host::Host;
use crate::protocol::node::command::{Form, Question};
use crate::protocol::nodes::{Availability, Link, MAX_ASKING, Mark, Node, Nodes};
use crate::protocol::operation::{Asker, Operation, Phase, Task};
use crate::protocol::outcome::{Outcome, Output};
use crate::protocol::rules::quorum::{Decision, NodeMask, Tally, Vote};
use crate::protocol::rules::validity;
use crate::protocol::slab::Key;
use crate::protocol::timer::Timer;
use crate::time::{MILLISECOND, Nanos};

/// How many node timeouts a node that goes on answering others' questions may take for one.
const MOST_TIMEOUTS: u64 = 20;

impl<H: Host> Machine<H> {
    pub(super) fn begin(&mut self, operation: Box<Operation<H>>) -> Key {
        if operation.is_awaited() {
            self.awaited += 1;
        }
        let place = operation.set.place;
        if let Some(set) = self.sets[place].as_mut() {
            set.operations += 1;
        }
        let key = self.operations.insert(operation);
        self.resume(key);
        key
    }

    /// Starts an operation's next attempt, or lets it wait for nodes that are about to be there.
    pub(super) fn resume(&mut self, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if operation.phase != Phase::Resting {
            return;
        }
        let place = operation.set.place;
        let ends_with_factory = matches!(operation.task, Task::Acquire { .. } | Task::IsLocked);
        let Some(set) = self.sets.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if ends_with_factory && set.is_shut {
            return self.stop(key, Status::Closed);
        }
        let wait_until = match operation.may_wait_for_nodes() {
            true => worth_waiting_until(set, self.now)
                .map(|until| operation.hopes_until(until))
                .filter(|until| self.now < *until),
            false => None,
        };
        if let Some(until) = wait_until {
            set.waiting.push(key);
            let attempt = operation.attempt;
            let timer = Timer::Resume {
                operation: key,
                attempt,
            };
            self.timers.set(until, timer);
            return;
        }
        if operation.takes_turns() {
            if set.asking >= MAX_ASKING {
                operation.phase = Phase::Queued;
                return set.queued.push_back(key);
            }
            set.asking += 1;
        }
        self.ask_all(key);
    }

    /// An attempt is decided: the next operation's turn has come.
    fn turn_over(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        if operation.phase != Phase::Asking || !operation.takes_turns() {
            return;
        }
        let place = operation.set.place;
        if let Some(set) = self.sets[place].as_mut() {
            set.asking -= 1;
            if !set.queued.is_empty() {
                self.turns.push(place);
            }
        }
    }

    /// Starts the operations whose turn has come.
    pub(crate) fn start_queued(&mut self) {
        while let Some(place) = self.turns.pop() {
            while let Some(key) = self.next_queued(place) {
                self.ask_all(key);
            }
        }
    }

    fn next_queued(&mut self, place: usize) -> Option<Key> {
        let set = self.sets[place].as_mut()?;
        while set.asking < MAX_ASKING {
            let key = set.queued.pop_front()?;
            // One that was stopped while it waited is gone, or stays only until a node has answered an earlier attempt.
            let phase = self.operations.get(key).map(|operation| operation.phase);
            if phase == Some(Phase::Queued) {
                set.asking += 1;
                return Some(key);
            }
        }
        None
    }

    /// Starts an attempt: all nodes at once.
    fn ask_all(&mut self, key: Key) {
        self.mind_window(key);
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        if let Err(error) = operation.begin_attempt(self.now, &mut *self.entropy) {
            return self.end(key, Outcome::Failed(error));
        }
        if let Some(set) = self.sets[operation.set.place].as_mut()
            && set.settings.fencing
            && matches!(operation.task, Task::Acquire { .. })
        {
            operation.propose(set.ballots.propose(self.now));
        }
        self.ask_round(key);
    }

    /// Too low a ballot for some node: proposes a larger one, to all nodes, under the same token.
    pub(super) fn propose_again(&mut self, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let Task::Acquire {
            ballot,
            rounds,
            least,
            ..
        } = operation.task
        else {
            return;
        };
        if rounds >= MAX_ROUNDS {
            let place = operation.set.place;
            if let Some(set) = self.sets[place].as_ref() {
                let ahead = |(index, node): (usize, &Node)| {
                    let wanted = operation.wanted_by(index);
                    let us = node.ballot_ahead_us(Some(wanted?), self.now)?;
                    Some((index, us))
                };
                operation.blame(set.nodes.iter().enumerate().filter_map(ahead).collect());
            }
            self.survey_seldom(place);
            return self.retry_or(key, |operation| operation.failure(Decision::TooLow));
        }
        if let Some(set) = self.sets[operation.set.place].as_mut() {
            let proposal = set.ballots.propose_again(ballot, least, self.now);
            operation.begin_further_round(proposal, self.now);
        }
        self.ask_round(key);
    }

    /// Asks every node that may be asked; those that can't be are counted right away.
    fn ask_round(&mut self, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let place = operation.set.place;
        let question = operation.question();
        let mark = Mark {
            operation: key,
            attempt: operation.attempt,
        };
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        if operation.is_awaited() {
            self.busy_poll.asked(self.now, set.settings.busy_poll());
        }
        let is_release = matches!(question, Question::Release { .. });
        let (mut first_due, mut news) = (Nanos::MAX, None);
        for (index, node) in set.nodes.iter_mut().enumerate() {
            if !operation.eligible.contains(index) {
                let message = "has no part in this lock".into();
                operation.unavailable(index, Status::Unreachable, &message);
                continue;
            }
            let votes = node.silent_since.is_none() && node.admission.votes(self.now, set.all_new);
            match &mut node.link {
                // A release follows its acquire even to a node that is silent, or may not vote.
                Link::Up(connection) if is_release || votes => {
                    let (target, token) = (&operation.target, operation.token.as_bytes());
                    let question = match connection.can_call() {
                        true => operation.question_to_caller(key),
                        false => question,
                    };
                    let timeout = operation.timeout_of(connection.round_trip());
                    first_due = first_due.min(self.now.saturating_add(timeout));
                    connection.ask((mark, question), target, token, Form::Brief, self.now);
                    operation.asked.insert(index);
                    operation.open.insert(index);
                    mark_dirty(&mut self.dirty, &mut node.dirty, (place, index));
                }
                _ => {
                    let (status, message) = node.why_not(self.now);
                    operation.unavailable(index, status, &message);
                    if let Task::Release { ttl_ms, .. } = operation.task {
                        let target = Arc::clone(&operation.target);
                        let token = operation.token;
                        news = node.remember(target, token, ttl_ms, self.now).or(news);
                    }
                }
            }
        }
        if !operation.asked.is_empty() {
            let timer = Timer::NodeTimeout {
                operation: key,
                attempt: operation.attempt,
            };
            self.timers.set(first_due, timer);
        }
        if let Some(news) = news {
            self.log(Level::Warn, news);
        }
        self.evaluate(key);
    }

    /// Draws the consequence of the votes so far, if there is one.
    pub(super) fn evaluate(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        if operation.phase == Phase::Ended {
            return self.forget_if_answered(key);
        }
        if operation.phase != Phase::Asking {
            return;
        }
        match operation.tally.decision() {
            Decision::Pending => self.mind_stragglers(key),
            Decision::Won => self.won(key),
            Decision::TooLow => self.propose_again(key),
            decision => self.not_won(key, decision),
        }
    }

    /// Votes are missing. Where a larger ballot could do without them they are not awaited until the node timeout, for their
    /// nodes may hang; but for as long again as the others took, because a further round is not for nothing.
    fn mind_stragglers(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        if operation.tally.could_do_with_larger_ballot() {
            let taken = (self.now - operation.asked_at).max(MILLISECOND);
            let timer = Timer::Straggling {
                operation: key,
                attempt: operation.attempt,
            };
            self.timers.set(self.now + taken, timer);
        }
    }

    pub(super) fn straggling(&mut self, key: Key, attempt: u32) {
        if let Some(operation) = self.operations.get(key)
            && operation.attempt == attempt
            && operation.phase == Phase::Asking
        {
            self.propose_again(key);
        }
    }

    fn won(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let now = self.now;
        match &operation.task {
            Task::Acquire { ttl_ms, ballot, .. } => {
                let valid_until = validity::valid_until(operation.started, *ttl_ms);
                let worth = |at| validity::is_worth_having(validity::remaining(valid_until, at));
                if !worth(now) {
                    let hopeless = !worth(operation.started);
                    let error = |operation: &Operation<H>| operation.stopped(Status::Expired);
                    // A TTL that the drift eats up whole is never valid, however often it is tried.
                    return match hopeless {
                        true => self.fail(key, error),
                        false => self.retry_or(key, error),
                    };
                }
                let grant = Arc::new(Grant::new(Won {
                    set: Arc::clone(&operation.set),
                    target: Arc::clone(&operation.target),
                    token: operation.token,
                    fence: *ballot,
                    ttl_ms: *ttl_ms,
                    nodes: operation.may_hold(),
                    valid_until,
                    handed_on_at: operation.handed_on_at(now),
                }));
                let called = operation.called;
                if let Some(operation) = self.operations.get_mut(key) {
                    operation.lock = Arc::downgrade(&grant);
                }
                called.iter().for_each(|node| self.take_too(key, node));
                self.end(key, Outcome::Acquired(grant));
            }
            Task::Release { .. } | Task::Reinforce { .. } => self.end(key, Outcome::Released),
            Task::Extend { grant, ttl_ms } => {
                // Decided after the old validity had ended, it proves nothing: another may have had the lock meanwhile,
                // and a late message of ours may have taken it again on a node.
                if grant.time_left(now) == 0 {
                    grant.lost();
                    let error = operation.stopped(Status::Expired);
                    return self.end(key, Outcome::Failed(error));
                }
                let valid_until = validity::valid_until(operation.started, *ttl_ms);
                grant.extended_until(valid_until, *ttl_ms);
                let grant = Arc::clone(grant);
                self.end(key, Outcome::Extended(grant));
            }
            Task::IsLocked => self.end(key, Outcome::Locked(false)),
        }
    }

    fn not_won(&mut self, key: Key, decision: Decision) {
        if decision == Decision::NoQuorum && self.has_second_chance(key) {
            return;
        }
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        match &operation.task {
            Task::Acquire { .. } if operation.awaits_all_refusals() => {}
            Task::Acquire { .. } => self.retry_or(key, |operation| operation.failure(decision)),
            Task::IsLocked if decision == Decision::Refused => {
                self.end(key, Outcome::Locked(true));
            }
            Task::Extend { grant, .. } => {
                if operation.is_gone() {
                    grant.lost();
                }
                let error = operation.failure(decision);
                self.end(key, Outcome::Failed(error));
            }
            _ => {
                let error = operation.failure(decision);
                self.end(key, Outcome::Failed(error));
            }
        }
    }

    /// The votes of nodes are missing whose connections turned out to be dead when they were used, as those of a process that
    /// was frozen are: waits for them to be made anew and asks once more, also if the caller does not wait for a lock.
    fn has_second_chance(&mut self, key: Key) -> bool {
        let Some(operation) = self.operations.get_mut(key) else {
            return false;
        };
        if !operation.takes_second_chance() {
            return false;
        }
        self.give_back(key);
        self.turn_over(key);
        self.busy_poll.answered(self.now);
        if let Some(operation) = self.operations.get_mut(key) {
            operation.phase = Phase::Resting;
        }
        self.resume(key);
        true
    }

    /// An attempt to acquire has failed: gives back what it may have got, then rests for another, or ends.
    fn retry_or(&mut self, key: Key, error: impl FnOnce(&Operation<H>) -> Error) {
        self.give_back(key);
        self.turn_over(key);
        self.busy_poll.answered(self.now);
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let time = self.sets[operation.set.place]
            .as_ref()
            .map_or(0, |set| set.ballots.time(self.now));
        let called = operation.called;
        match operation.rest(self.now, time, self.entropy.random()) {
            Some(_) if !called.is_empty() && operation.heed.may_attempt(self.now) => {
                operation.phase = Phase::Resting;
                self.gather(key);
            }
            Some(until) if until <= self.now => {
                operation.phase = Phase::Resting;
                self.resume(key);
            }
            Some(until) => {
                operation.phase = Phase::Resting;
                let attempt = operation.attempt;
                let timer = Timer::Resume {
                    operation: key,
                    attempt,
                };
                self.timers.set(until, timer);
            }
            None => {
                let error = error(operation);
                operation.phase = Phase::Resting;
                self.end(key, Outcome::Failed(error));
            }
        }
    }

    /// An acquire has failed for good: gives back what it may have got, and ends.
    fn fail(&mut self, key: Key, error: impl FnOnce(&Operation<H>) -> Error) {
        self.give_back(key);
        if let Some(operation) = self.operations.get(key) {
            let error = error(operation);
            self.end(key, Outcome::Failed(error));
        }
    }

    /// Releases the present attempt's key wherever it may be. On each connection the release goes behind the acquire,
    /// and before the next attempt: so a grant that comes late is gone as soon as it lands.
    fn give_back(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        if operation.phase != Phase::Asking || operation.may_hold().is_empty() {
            return;
        }
        if let Some(release) = operation.step_back(key) {
            self.begin(Box::new(release));
        }
    }

    /// Ends an operation that is not decided yet. A release or an extension is not stopped: it is on its way.
    pub(super) fn stop(&mut self, key: Key, status: Status) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let can_stop = matches!(operation.task, Task::Acquire { .. } | Task::IsLocked);
        if operation.phase == Phase::Ended || !can_stop {
            return;
        }
        self.fail(key, |operation| operation.stopped(status));
    }

    /// Tells the caller. The operation stays until the last node has answered.
    pub(super) fn end(&mut self, key: Key, outcome: Outcome) {
        self.turn_over(key);
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        operation.phase = Phase::Ended;
        if operation.is_waiting() && matches!(outcome, Outcome::Failed(_)) {
            self.leave_queue(key);
        }
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let by_owner = operation.is_awaited();
        if by_owner {
            self.awaited -= 1;
            self.busy_poll.answered(self.now);
        }
        let extended = match &operation.task {
            Task::Extend { grant, .. } if by_owner => Some(Arc::clone(grant)),
            _ => None,
        };
        match std::mem::replace(&mut operation.asker, Asker::Nobody) {
            Asker::Waiting(caller) | Asker::Background(caller) => {
                self.outputs.push(Output::Done(caller, outcome));
            }
            Asker::KeepAlive(kept) => self.kept_outcome(kept, outcome),
            Asker::Nobody => {}
        }
        if let Some(grant) = extended {
            self.owner_has_extended(&grant);
        }
        self.forget_if_answered(key);
    }

    fn forget_if_answered(&mut self, key: Key) {
        match self.operations.get(key) {
            Some(operation) if operation.open.is_empty() => {}
            _ => return,
        }
        let Some(operation) = self.operations.remove(key) else {
            return;
        };
        if let Task::Extend { grant, .. } = &operation.task
            && operation.tally.decision() == Decision::Won
        {
            self.reinforce(grant, operation.tally.yes());
        }
        let place = operation.set.place;
        if let Some(set) = self.sets[place].as_mut() {
            set.operations -= 1;
        }
        self.end_if_unused(place);
    }

    /// Takes a lock that was just extended also on the nodes that missed it, or lost it.
    ///
    /// This is safe because the extension was won by nodes on which the lock was there without a break: nobody else can
    /// have a quorum, so what is free elsewhere is nobody's. The new nodes did not count for this extension.
    fn reinforce(&mut self, grant: &Arc<Grant>, holding: NodeMask) {
        let Some(set) = self.sets[grant.set.place].as_ref() else {
            return;
        };
        let missing: Vec<_> = set
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, node)| {
                let available = node.availability(self.now, set.all_new);
                !holding.contains(*index) && matches!(available, Availability::Ready)
            })
            .map(|(index, _)| index)
            .collect();
        for index in missing {
            if grant.validity(self.now) > 0 && grant.add_node(index) {
                self.begin(Box::new(Operation::reinforce(grant, index, self.now)));
            }
        }
    }

    /// The nodes that have not answered by now are counted as unavailable, and not asked again until they answer. One
    /// that is busy answering others' questions gets the timeout anew from its last answer: it is not silent, and the
    /// validity counts from the start in any case. Not for ever: one that is that busy is no better than a silent one.
    pub(super) fn node_timeout(&mut self, key: Key, attempt: u32) {
        if !self.is_at(key, attempt) {
            return;
        }
        if self.operations.get(key).is_some_and(|it| it.gathering) {
            return self.ask_uncalled(key);
        }
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let (place, open) = (operation.set.place, operation.open);
        let asked_at = operation.asked_at;
        let mut again: Option<Nanos> = None;
        for index in open.iter() {
            match self.answer_is_due(key, (place, index)) {
                Some(at) if at > self.now => {
                    again = Some(again.map_or(at, |soonest| soonest.min(at)))
                }
                _ => match self.worth_the_patience(key, (place, index)) {
                    Some(at) => again = Some(again.map_or(at, |soonest| soonest.min(at))),
                    None => self.overdue(key, (place, index), asked_at),
                },
            }
        }
        if let Some(at) = again {
            let timer = Timer::NodeTimeout {
                operation: key,
                attempt,
            };
            self.timers.set(at, timer);
        }
        self.evaluate(key);
    }

    /// When a node's answer is late, if it is connected.
    fn answer_is_due(&self, key: Key, (place, index): NodePlace) -> Option<Nanos> {
        let operation = self.operations.get(key)?;
        let Link::Up(connection) = &self.sets[place].as_ref()?.nodes[index].link else {
            return None;
        };
        let (asked_at, timeout) = (
            operation.asked_at,
            operation.timeout_of(connection.round_trip()),
        );
        let latest = asked_at.saturating_add(timeout.saturating_mul(MOST_TIMEOUTS));
        let heard = connection.last_heard().max(asked_at);
        Some(heard.saturating_add(timeout).min(latest))
    }

    /// Until when a late answer is waited for all the same, because there is no quorum without it: it costs time then, and not
    /// the lock.
    fn worth_the_patience(&self, key: Key, (place, index): NodePlace) -> Option<Nanos> {
        let operation = self.operations.get(key)?;
        let Link::Up(connection) = &self.sets[place].as_ref()?.nodes[index].link else {
            return None;
        };
        let patience = operation.patience_with(connection.round_trip());
        let until = operation.asked_at.saturating_add(patience);
        let is_worth_it = self.now < until && operation.depends_on(NodeMask(1 << index));
        is_worth_it.then_some(until)
    }

    fn overdue(&mut self, key: Key, at: NodePlace, asked_at: Nanos) {
        let waited = (self.now - asked_at) / MILLISECOND;
        let usual = self.node(at).and_then(Node::connection);
        let usual = usual.map_or(0, |it| it.round_trip().usual()) / MILLISECOND;
        let message = match usual {
            0 => format!("no answer within {waited} ms (node_timeout_ms)"),
            _ => format!(
                "no answer within {waited} ms (node_timeout_ms); this node usually takes {usual} ms"
            ),
        };
        if let Some(operation) = self.operations.get_mut(key) {
            operation.unavailable(at.1, Status::Timeout, &message.into());
        }
        self.fell_silent(at);
    }
}

/// Until when an attempt had better wait for nodes that are about to be there: for as long as they could make the
/// quorum that is missing, and, on first contact, for a moment, so that a new factory's first lock is on all nodes.
fn worth_waiting_until<H: Host>(set: &mut Nodes<H>, now: Nanos) -> Option<Nanos> {
    // All ready is the common case by far.
    let mut tally = Tally::new(set.nodes.len());
    let mut hoped_until: Option<Nanos> = None;
    let mut first_contact = false;
    for (index, node) in set.nodes.iter().enumerate() {
        match node.availability(now, set.all_new) {
            Availability::Ready => tally.record(index, Vote::Yes),
            Availability::Hoped(until) => {
                hoped_until = Some(hoped_until.map_or(until, |hoped| hoped.min(until)));
                first_contact |= !node.contacted;
                continue;
            }
            Availability::Away => tally.record(index, Vote::Unavailable),
        };
    }
    match tally.decision() {
        Decision::Pending => hoped_until,
        Decision::Won if first_contact => {
            set.quorum_since.get_or_insert(now);
            Some(set.first_contact_until(now)).filter(|until| now < *until)
        }
        _ => None,
    }
}
