//! Credentials that the program gives while nodes are being connected.

use std::sync::Arc;

use super::Core;
use crate::clock::{MILLISECOND, Nanos};
use crate::engine::nodes::Link;
use crate::engine::queue::QueueState;
use crate::error::Status;
use crate::node::setup::SetupError;

/// A program that owes an answer for so long is asked again: it may have lost the question.
const ASK_AGAIN_AFTER: Nanos = 30_000 * MILLISECOND;

impl Core {
    pub(super) fn ask_on(&mut self, place: usize, queue: Arc<QueueState>, id: u64) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        set.asker = Some((queue, id));
        set.asked_since = None;
        let waits = |link: &Link| matches!(link, Link::Connecting(dial) if dial.asks());
        if set.nodes.iter().any(|node| waits(&node.link)) {
            self.ask_for_credentials(place);
        }
    }

    /// One question for all that wait, as one answer serves them all.
    pub(super) fn ask_for_credentials(&mut self, place: usize) {
        let now = self.now;
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        let Some((queue, id)) = &set.asker else {
            return;
        };
        if set
            .asked_since
            .is_some_and(|since| now < since + ASK_AGAIN_AFTER)
        {
            return;
        }
        set.asked_since = Some(now);
        self.deliveries.asks(Arc::clone(queue), *id);
    }

    /// Whoever waits for credentials goes on. If nobody is asked, so does a node that has refused the former ones; otherwise it asks
    /// itself, after its rest, as those that it is given may be refused again.
    pub(super) fn credentials(&mut self, place: usize, given: Result<(), String>) {
        let Some(set) = self.sets[place].as_mut() else {
            return;
        };
        set.asked_since = None;
        let are_asked_for = set.credentials.are_asked_for();
        for index in 0..set.nodes.len() {
            let at = (place, index);
            let Some(node) = self.node(at) else { continue };
            match (&node.link, &given) {
                (Link::Connecting(dial), Ok(())) if dial.asks() => self.dial(at),
                (Link::Connecting(dial), Err(reason)) if dial.asks() => {
                    let message = format!("the program has no credentials: {reason}");
                    self.dialled(at, Err(SetupError::new(Status::Unreachable, message)));
                }
                (Link::Down, Ok(())) if !are_asked_for && node.trouble.0 == Status::Server => {
                    node.backoff.reset();
                    self.connect(at);
                }
                _ => {}
            }
        }
    }
}
