//! Locks that are kept alive: extended in time, or reported as lost.

use super::Machine;
use crate::error::{Error, Status};
use crate::protocol::grant::Grant;
use crate::protocol::host::Host;
use crate::protocol::kept::{self, Kept};
use crate::protocol::operation::{Asker, Operation};
use crate::protocol::outcome::{Outcome, Output};
use crate::protocol::slab::Key;
use crate::protocol::timer::Timer;
use crate::time::Nanos;

impl<H: Host> Machine<H> {
    /// Keeps a lock alive.
    pub(crate) fn keep(&mut self, now: Nanos, kept: Kept<H>) {
        self.now = now;
        let Some(grant) = kept.grant.upgrade() else {
            return;
        };
        let after = kept::first_after(grant.ttl_ms(), grant.validity(now), self.entropy.random());
        let key = self.kept.insert(kept);
        grant.set_keeper(key);
        self.see_to(key, after);
    }

    /// Sees to a kept lock again after so long, and not before.
    fn see_to(&mut self, key: Key, after: Nanos) {
        let due = self.now + after;
        if let Some(kept) = self.kept.get_mut(key) {
            kept.due = due;
            self.timers.set(due, Timer::KeepAlive { kept: key });
        }
    }

    /// Extends a kept lock, unless that is over. An extension that is under way still has come too late.
    pub(super) fn keep_alive(&mut self, key: Key) {
        let now = self.now;
        let Some(kept) = self.kept.get_mut(key).filter(|kept| kept.due <= now) else {
            return;
        };
        let sets = &self.sets;
        let is_shut = |place: usize| sets[place].as_ref().is_none_or(|set| set.is_shut);
        let grant = kept.grant.upgrade().filter(|grant| {
            !grant.is_released() && grant.is_kept_by(kept.call) && !is_shut(grant.set.place)
        });
        let Some(grant) = grant else {
            self.kept.remove(key);
            return;
        };
        let (ttl_ms, validity) = (grant.ttl_ms(), grant.validity(self.now));
        let spare = validity.saturating_sub(kept::notice_time(ttl_ms));
        if kept.asking && spare > 0 {
            // Its owner has extended it meanwhile.
            return self.see_to(key, spare);
        }
        if kept.asking || validity == 0 {
            let error = not_extended_in_time(&grant);
            return self.lost(key, &grant, error);
        }
        kept.asking = true;
        self.see_to(key, kept::patience(ttl_ms, validity));
        let extension = Operation::extend(&grant, Asker::KeepAlive(key), ttl_ms);
        self.begin(Box::new(extension));
    }

    pub(super) fn kept_outcome(&mut self, key: Key, outcome: Outcome) {
        let Some(kept) = self.kept.get_mut(key) else {
            return;
        };
        kept.asking = false;
        let Some(grant) = kept.grant.upgrade() else {
            self.kept.remove(key);
            return;
        };
        let (ttl_ms, validity) = (grant.ttl_ms(), grant.validity(self.now));
        let error = match outcome {
            Outcome::Failed(error) => error,
            _ => return self.see_to(key, kept::next_after(ttl_ms, validity)),
        };
        let spare = validity.saturating_sub(kept::notice_time(ttl_ms));
        if spare > 0 && error.status() != Status::Expired {
            return self.see_to(key, kept::again_after(ttl_ms).min(spare));
        }
        self.lost(key, &grant, error);
    }

    /// A lock's owner has extended it, or tried to: the next extension that keeps it alive follows from what is left.
    pub(super) fn owner_has_extended(&mut self, grant: &Grant) {
        if let Some(key) = self.idle_keeper(grant) {
            let after = kept::next_after(grant.ttl_ms(), grant.validity(self.now));
            self.see_to(key, after);
        }
    }

    /// What keeps a lock alive, unless it is about to hear of an extension of its own.
    fn idle_keeper(&self, grant: &Grant) -> Option<Key> {
        let key = grant.keeper()?;
        self.kept.get(key).filter(|kept| !kept.asking).map(|_| key)
    }

    /// A kept lock can't be kept: its owner is told, while it still has a little time.
    pub(super) fn lost(&mut self, key: Key, grant: &Grant, error: Error) {
        let Some(kept) = self.kept.remove(key) else {
            return;
        };
        if !grant.is_released() && grant.is_kept_by(kept.call) {
            self.outputs.push(Output::Lost(kept.observer, error));
        }
    }
}

fn not_extended_in_time(grant: &Grant) -> Error {
    let resource = grant.target.first();
    let message = format!(
        "keeping {resource:?} alive failed: no quorum of nodes has answered before its validity was about to end"
    );
    Error::new(Status::NoQuorum, message)
}
