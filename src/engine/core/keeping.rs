//! Locks that are kept alive: extended in time, or reported as lost.

use super::Core;
use crate::engine::grant::Grant;
use crate::engine::kept::{self, Kept};
use crate::engine::operation::Operation;
use crate::engine::slab::Key;
use crate::engine::ticket::{Outcome, Ticket};
use crate::engine::timer::Timer;
use crate::error::{Error, Status};

impl Core {
    pub(super) fn keep(&mut self, kept: Kept) {
        let at = self.now + kept::first_after(kept.ttl_ms, rand::random());
        let kept = self.kept.insert(kept);
        self.timers.set(at, Timer::KeepAlive { kept });
    }

    /// Extends a kept lock, unless that is over.
    pub(super) fn keep_alive(&mut self, key: Key) {
        let Some(kept) = self.kept.get(key) else {
            return;
        };
        let grant = kept.grant.upgrade().filter(|grant| {
            !grant.is_released() && grant.is_kept_by(kept.call) && !grant.set.is_closed()
        });
        let Some(grant) = grant else {
            self.kept.remove(key);
            return;
        };
        let ticket = Ticket::for_kept(self.runtime, key);
        let extend = Operation::extend(&grant, ticket, kept.ttl_ms);
        self.begin(Box::new(extend));
    }

    pub(super) fn kept_outcome(&mut self, key: Key, outcome: Outcome) {
        let Some(kept) = self.kept.get(key) else {
            return;
        };
        let ttl_ms = kept.ttl_ms;
        let error = match outcome {
            Outcome::Failed(error) => error,
            _ => {
                let at = self.now + kept::next_after(ttl_ms);
                return self.timers.set(at, Timer::KeepAlive { kept: key });
            }
        };
        let Some(grant) = kept.grant.upgrade() else {
            self.kept.remove(key);
            return;
        };
        let spare = grant.validity().saturating_sub(kept::notice_time(ttl_ms));
        if spare > 0 && error.status() != Status::Expired {
            let at = self.now + kept::again_after(ttl_ms).min(spare);
            return self.timers.set(at, Timer::KeepAlive { kept: key });
        }
        self.lost(key, &grant, error);
    }

    /// A kept lock can't be kept: its owner is told, while it still has a little time.
    pub(super) fn lost(&mut self, key: Key, grant: &Grant, error: Error) {
        let Some(kept) = self.kept.remove(key) else {
            return;
        };
        if !grant.is_released() && grant.is_kept_by(kept.call) {
            kept.notice.tell(error);
        }
    }
}
