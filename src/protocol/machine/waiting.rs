//! Waiters: called by the node that a lock became free on, or looking for themselves when no call comes.

use std::sync::Arc;

use super::{Machine, NodePlace};
use crate::level::Level;
use crate::protocol::hints::Turn;
use crate::protocol::host::Host;
use crate::protocol::node::command::{Answer, Form, Question, Stranger};
use crate::protocol::node::target::Target;
use crate::protocol::nodes::{Link, Mark};
use crate::protocol::operation::{LOOK_INTERVAL, Phase, Task};
use crate::protocol::outcome::Outcome;
use crate::protocol::rules::quorum::NodeMask;
use crate::protocol::slab::Key;
use crate::protocol::timer::Timer;
use crate::time::{self, MILLISECOND, Nanos};

/// For how long a waiter that was called by one node waits for the calls of the others: the release is on its way to them.
const GATHERING: Nanos = 5 * MILLISECOND;

impl<H: Host> Machine<H> {
    /// A node has called one of this process's waiters. A call is a hint only: it may be late, lost or repeated, and it
    /// grants nothing.
    pub(super) fn call(&mut self, at: NodePlace, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let mut words = text.splitn(3, ' ');
        let (Some(number), Some(what), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            return;
        };
        let Ok(number) = number.parse() else {
            return;
        };
        let key = Key::from_number(number);
        match what {
            "wake" if self.is_here(key, at, rest) => self.called(key, at.1),
            "wake" => self.decline(at, rest, number),
            "standby" => {
                if let Ok(ms) = rest.parse() {
                    self.stand_by(key, ms);
                }
            }
            _ => {}
        }
    }

    /// Whether this operation is one that can use the call of that node for that lock.
    fn is_here(&self, key: Key, (place, _): NodePlace, lock: &str) -> bool {
        let Some(operation) = self.operations.get(key) else {
            return false;
        };
        let is_over = operation.phase == Phase::Ended && operation.lock.upgrade().is_none();
        operation.set.place == place && operation.is_waiting() && !is_over && {
            let key = operation.target.locks().next().map(|parts| parts.concat());
            key.as_deref() == Some(lock.as_bytes())
        }
    }

    /// It is this waiter's turn on this node: asks the node, within an attempt that collects those which call.
    pub(super) fn called(&mut self, key: Key, node: usize) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        operation.queued_on.remove(node);
        let is_new = !operation.asked.contains(node) && !operation.tally.voted().contains(node);
        match operation.phase {
            Phase::Resting if operation.heed.may_attempt(self.now) => self.gather(key),
            // Nobody is called so often: somebody pretends to be a node.
            Phase::Resting => {}
            Phase::Asking if operation.gathering && is_new => self.ask_caller(key, node),
            Phase::Asking => {
                // The missing votes may be those of nodes that hang.
                match operation.take_back_refusal(node) {
                    true => self.ask_callers(key, NodeMask(1 << node)),
                    // Heeded when the present attempt is over.
                    false => operation.called.insert(node),
                }
                self.evaluate(key);
            }
            Phase::Ended => self.take_too(key, node),
            // It is about to ask all of them.
            Phase::Queued => {}
        }
    }

    /// The lock was won by the votes of others before this node called: takes it here as well, or lets it go.
    pub(super) fn take_too(&mut self, key: Key, node: usize) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let granted = operation.tally.yes().contains(node) || operation.tally.low().contains(node);
        if granted || (operation.asked.contains(node) && operation.open.contains(node)) {
            // It has granted, or is going to: the question came behind the call.
            return;
        }
        let grant = operation.lock.upgrade();
        if grant.is_some_and(|grant| grant.validity(now) > 0 && grant.add_node(node))
            && operation.may_ask_again(node)
        {
            return self.ask_caller(key, node);
        }
        let (at, target) = ((operation.set.place, node), Arc::clone(&operation.target));
        if let Some(lock) = target.locks().next().map(|parts| parts.concat()) {
            self.decline(at, &String::from_utf8_lossy(&lock), key.number());
        }
    }

    /// Begins an attempt when the first node calls: asks it, and those that have no reason to call because the waiter is
    /// not in their queue. The others call any moment, for the lock was given back on all of them at once.
    pub(super) fn gather(&mut self, key: Key) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let Some(set) = self.sets[operation.set.place].as_mut() else {
            return;
        };
        if set.is_shut {
            return;
        }
        if let Err(error) = operation.begin_attempt(now, &mut *self.entropy) {
            operation.phase = Phase::Resting;
            return self.end(key, Outcome::Failed(error));
        }
        if set.settings.fencing {
            operation.propose(set.ballots.propose(now));
        }
        set.asking += 1;
        operation.gathering = true;
        let all = NodeMask(u64::MAX >> (64 - set.nodes.len()));
        let others = all.without(operation.queued_on);
        operation.open = operation.queued_on;
        let timer = Timer::NodeTimeout {
            operation: key,
            attempt: operation.attempt,
        };
        self.timers.set(now + GATHERING, timer);
        self.ask_callers(key, others);
        self.evaluate(key);
    }

    /// The other nodes have had time to call as well. Those that have not are asked all the same: the lock may be free
    /// there without anybody having given it back.
    pub(super) fn ask_uncalled(&mut self, key: Key) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        operation.gathering = false;
        let uncalled = operation.open.without(operation.asked);
        operation.open = NodeMask(operation.open.0 & operation.asked.0);
        let timer = Timer::NodeTimeout {
            operation: key,
            attempt: operation.attempt,
        };
        self.timers.set(now + operation.node_timeout(), timer);
        match operation.phase {
            Phase::Asking => self.ask_callers(key, uncalled),
            Phase::Ended => uncalled.iter().for_each(|node| self.take_too(key, node)),
            // The attempt has failed, and the nodes are going to call for the next.
            Phase::Resting | Phase::Queued => {}
        }
        self.evaluate(key);
    }

    fn ask_callers(&mut self, key: Key, nodes: NodeMask) {
        for node in nodes.iter() {
            self.ask_caller(key, node);
        }
        self.count_out(key, nodes);
    }

    /// Of these nodes, those that could not be asked do not count in this attempt.
    fn count_out(&mut self, key: Key, nodes: NodeMask) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let Some(set) = self.sets[operation.set.place].as_ref() else {
            return;
        };
        for index in nodes.without(operation.asked).iter() {
            let (status, reason) = &set.nodes[index].trouble;
            operation.unavailable(index, *status, reason);
        }
    }

    fn ask_caller(&mut self, key: Key, index: usize) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let place = operation.set.place;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let Some(node) = set.nodes.get_mut(index) else {
            return;
        };
        let votes = node.silent_since.is_none() && node.admission.votes(now, set.all_new);
        let Link::Up(connection) = &mut node.link else {
            return;
        };
        if !votes {
            return;
        }
        let mark = Mark {
            operation: key,
            attempt: operation.attempt,
        };
        if operation.is_awaited() {
            let window = set.settings.busy_poll();
            match operation.asked.is_empty() {
                true => self.busy_poll.asked(now, window),
                false => self.busy_poll.asked_also(now, window),
            }
        }
        let question = operation.question_to_caller(key);
        let (target, token) = (&operation.target, operation.token.as_bytes());
        connection.ask((mark, question), target, token, Form::Brief, now);
        operation.asked.insert(index);
        operation.open.insert(index);
        self.is_to_send((place, index));
    }

    /// A waiter is told when the lock may be free without anybody being called, in ms from now: when a holder's time is over,
    /// or a reservation. What it was told before does not hold any more.
    fn stand_by(&mut self, key: Key, ms: u64) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        // During an attempt, too: that may be about a time before.
        let rests = matches!(operation.phase, Phase::Resting | Phase::Asking);
        if rests && operation.is_waiting() {
            let at = now.saturating_add(time::from_ms(ms.saturating_add(1)));
            let timer = Timer::Look {
                operation: key,
                attempt: operation.attempt,
            };
            if let Some(due) = operation.heed.look(at, now) {
                self.timers.set(due, timer);
            }
        }
    }

    /// It may be the time at which a waiter was told to look.
    pub(super) fn look(&mut self, key: Key) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let timer = Timer::Look {
            operation: key,
            attempt: operation.attempt,
        };
        if operation.phase == Phase::Asking {
            if let Some(due) = operation.heed.look(now + MILLISECOND, now) {
                self.timers.set(due, timer);
            }
            return;
        }
        match operation.heed.is_time_to_look(now) {
            Ok(()) => {
                self.note_look(key);
                self.resume(key);
            }
            Err(Some(due)) => self.timers.set(due, timer),
            Err(None) => {}
        }
    }

    fn note_look(&mut self, key: Key) {
        if let Some(operation) = self.operations.get(key)
            && let Some(set) = self.sets[operation.set.place].as_mut()
        {
            set.looks.set(&operation.target, self.now);
        }
    }

    /// A waiter's rest is over. Whether it looks now: of the waiters of a set that have no reason to, one in a second.
    pub(super) fn may_look(&mut self, key: Key, attempt: u32) -> bool {
        let now = self.now;
        let Some(operation) = self.operations.get(key) else {
            return false;
        };
        let Task::Acquire {
            give_up_at, calls, ..
        } = operation.task
        else {
            return true;
        };
        if !operation.is_waiting() || give_up_at <= now || !calls {
            return true;
        }
        let Some(set) = self.sets[operation.set.place].as_mut() else {
            return false;
        };
        let worth_at = operation.worth_a_look_at();
        let turn = match worth_at <= now {
            true => Turn::after(set.looks.of(&operation.target), worth_at, now),
            false => Turn::Never,
        };
        let is_for_certainty = turn == Turn::Never && set.last_look + LOOK_INTERVAL <= now;
        if turn == Turn::Now || is_for_certainty {
            set.last_look = now;
            set.looks.set(&operation.target, now);
            return true;
        }
        let jitter = self.entropy.random() % (LOOK_INTERVAL / MILLISECOND) * MILLISECOND;
        let again = match turn {
            Turn::At(at) => at,
            Turn::Now | Turn::Never => now + LOOK_INTERVAL / 2 + jitter,
        };
        let again: Nanos = again.min(give_up_at);
        let timer = Timer::Resume {
            operation: key,
            attempt,
        };
        self.timers.set(again, timer);
        false
    }

    /// A lock that is handed on among those who queue may be left to others for a moment: while this process knows of that, it
    /// gets into the queue without trying first. And it begins to know of it when it gives such a lock back.
    pub(super) fn mind_window(&mut self, key: Key) {
        let now = self.now;
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let Some(set) = self.sets[operation.set.place].as_mut() else {
            return;
        };
        if let Task::Release {
            window_ms: ms @ 1..,
            ..
        } = operation.task
        {
            set.windows.set(&operation.target, now + time::from_ms(ms));
        } else if operation.may_join() && set.windows.of(&operation.target) > now {
            operation.join(set.ballots.time(now));
        }
    }

    /// A waiter waits no more: out of the queue, on every node that has one.
    pub(super) fn leave_queue(&mut self, key: Key) {
        let Some(operation) = self.operations.get(key) else {
            return;
        };
        let (place, target) = (operation.set.place, Arc::clone(&operation.target));
        let count = self.sets[place].as_ref().map_or(0, |set| set.nodes.len());
        for index in 0..count {
            self.leave(
                (place, index),
                &target,
                (Mark::NONE, key.number()),
                Form::Whole,
            );
        }
    }

    /// A call for a waiter that is gone: it must not keep the others waiting. But anybody may have made it up, so few are
    /// declined at a time; what one that stays costs is that its reservation runs out.
    fn decline(&mut self, at: NodePlace, lock: &str, waiter: u64) {
        let now = self.now;
        if let Some(node) = self.node(at)
            && node.connection().is_some_and(|it| it.can_call())
            && node.declines.add(waiter, lock, now)
        {
            self.ask_to_decline(at, lock, waiter, Form::Brief);
        }
    }

    fn ask_to_decline(&mut self, at: NodePlace, lock: &str, waiter: u64, form: Form) {
        let Some(set) = self.sets.get(at.0).and_then(Option::as_ref) else {
            return;
        };
        let prefix = Arc::clone(&set.settings.key_prefix);
        let name: Box<str> = lock.strip_prefix(&*prefix).unwrap_or(lock).into();
        let mark = match form {
            Form::Whole => Mark::DECLINED_AGAIN,
            Form::Brief | Form::Apart => Mark::DECLINED,
        };
        self.leave(at, &Target::one(prefix, &name), (mark, waiter), form);
    }

    /// A node has answered that a waiter left.
    pub(super) fn has_left(&mut self, at: NodePlace, mark: Mark, answer: &Answer) {
        if mark != Mark::DECLINED && mark != Mark::DECLINED_AGAIN {
            return;
        }
        let Some(node) = self.node(at) else {
            return;
        };
        let Some(call) = node.declines.answered() else {
            return;
        };
        if mark == Mark::DECLINED && *answer == Answer::NoScript {
            node.declines.again(call.clone());
            self.ask_to_decline(at, &call.lock, call.waiter, Form::Whole);
        }
    }

    /// A node refused a lock because of a key that is no lock of this library: nobody is going to give it back. The one who
    /// waits for it may do so for ever, and is told in the log.
    pub(super) fn kept_out(&mut self, key: Key, at: NodePlace, stranger: Stranger) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        operation.is_kept_out_by(at.1, stranger);
        let endless = stranger == Stranger::NeverExpires;
        if !endless || std::mem::replace(&mut operation.stranger_logged, true) {
            return;
        }
        if let Some(operation) = self.operations.get(key) {
            let message = format!(
                "{}: waiting for {}{}",
                operation.set.nodes[at.1].display(),
                operation.resources(),
                operation.advice_on_strangers()
            );
            self.log(Level::Warn, message);
        }
    }

    /// In whole, if nobody would ask again on NOSCRIPT: one that stays is called in vain when its turn comes.
    fn leave(&mut self, at: NodePlace, target: &Target, (mark, waiter): (Mark, u64), form: Form) {
        let now = self.now;
        let Some(connection) = self.node(at).and_then(|node| node.connection()) else {
            return;
        };
        if connection.can_call() {
            connection.ask((mark, Question::Leave { waiter }), target, b"", form, now);
            self.is_to_send(at);
        }
    }
}
