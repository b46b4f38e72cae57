//! Checks of a set's nodes: each node that is there is asked about its ballots, and for a moment the check waits for that.

use std::sync::Arc;

use super::{Machine, NodePlace, mark_dirty};
use crate::protocol::host::Host;
use crate::protocol::node::command::{Answer, Form, Question};
use crate::protocol::node::target::Target;
use crate::protocol::nodes::{Check, Link, Mark, Node, NodeHealth, Nodes};
use crate::protocol::outcome::{Outcome, Output};
use crate::protocol::rules::quorum::NodeMask;
use crate::protocol::timer::Timer;
use crate::time::{MILLISECOND, Nanos};

/// For how long a check waits for the nodes; one that has not answered is shown with what was known before.
const PATIENCE: Nanos = 250 * MILLISECOND;

/// How often a failure may ask, at most.
const SELDOM: Nanos = 1_000 * MILLISECOND;

impl<H: Host> Machine<H> {
    /// Tells how the nodes of a set are.
    pub(crate) fn inspect(&mut self, now: Nanos, place: usize, caller: H::Caller) {
        self.now = now;
        let open = self.survey(place);
        let due = self.now + PATIENCE;
        match self.sets[place].as_mut() {
            Some(set) if !open.is_empty() => set.checks.push(Check { caller, open, due }),
            set => {
                let health = set.map_or_else(Vec::new, |set| set.health(self.now));
                return self
                    .outputs
                    .push(Output::Done(caller, Outcome::Health(health)));
            }
        }
        self.timers.set(due, Timer::Check { set: place });
    }

    /// No ballot was acceptable to a quorum: asks why, for the next error of that kind, but not again and again.
    pub(super) fn survey_seldom(&mut self, place: usize) {
        let last = self.sets[place].as_ref().map(|set| set.surveyed_at);
        if last.is_some_and(|at| at + SELDOM <= self.now) {
            self.survey(place);
        }
    }

    /// Asks the nodes that are there about their ballots; which they are.
    pub(super) fn survey(&mut self, place: usize) -> NodeMask {
        let mut asked = NodeMask::default();
        let Some(set) = self.sets[place].as_mut() else {
            return asked;
        };
        set.surveyed_at = self.now;
        let target = Target::one(Arc::clone(&set.settings.key_prefix), "");
        for (index, node) in set.nodes.iter_mut().enumerate() {
            if let (Link::Up(connection), None) = (&mut node.link, node.silent_since) {
                let question = (Mark::NONE, Question::Survey);
                connection.ask(question, &target, b"", Form::Whole, self.now);
                mark_dirty(&mut self.dirty, &mut node.dirty, (place, index));
                asked.insert(index);
            }
        }
        asked
    }

    pub(super) fn surveyed(&mut self, (place, index): NodePlace, answer: Answer) {
        let now = self.now;
        if let Some(node) = self.node((place, index)) {
            node.survey = match answer {
                Answer::Survey(survey) => Some((*survey, now)),
                _ => None,
            };
        }
        if let Some(set) = self.sets[place].as_mut() {
            for check in &mut set.checks {
                check.open = check.open.without(NodeMask(1 << index));
            }
        }
        self.end_checks(place);
    }

    /// Ends the checks of which all nodes have answered, or the time is over.
    pub(super) fn end_checks(&mut self, place: usize) {
        let now = self.now;
        let Some(set) = self.sets.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let is_over = |check: &mut Check<H>| check.open.is_empty() || check.due <= now;
        let over: Vec<_> = set.checks.extract_if(.., is_over).collect();
        for check in over {
            let outcome = Outcome::Health(set.health(now));
            self.outputs.push(Output::Done(check.caller, outcome));
        }
    }
}

impl<H: Host> Nodes<H> {
    fn health(&self, now: Nanos) -> Vec<NodeHealth> {
        let health = |node: &Node| node.health(now, self.all_new, &self.settings.key_prefix);
        self.nodes.iter().map(health).collect()
    }
}
