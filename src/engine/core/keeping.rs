//! Locks that are kept alive: extended in time, or reported as lost.

use std::sync::Arc;

use super::Core;
use crate::clock::Nanos;
use crate::engine::grant::Grant;
use crate::engine::kept::{self, Kept};
use crate::engine::operation::Operation;
use crate::engine::slab::Key;
use crate::engine::ticket::{Outcome, Ticket};
use crate::engine::timer::Timer;
use crate::error::{Error, Status};

impl Core {
    pub(super) fn keep(&mut self, kept: Kept) {
        let Some(grant) = kept.grant.upgrade() else {
            return;
        };
        let validity = grant.validity();
        let at = self.now + kept::first_after(kept.ttl_ms, validity, rand::random());
        // Whoever asks near the end is given the chance of one extension.
        let last_call = self.now + spare(&kept, &grant).max(validity / 2);
        let kept = self.kept.insert(kept);
        self.timers.set(at, Timer::KeepAlive { kept });
        self.timers.set(last_call, Timer::LastCall { kept });
    }

    /// The lock of an entry that is still to be kept; otherwise the entry goes.
    fn still_kept(&mut self, key: Key) -> Option<Arc<Grant>> {
        let kept = self.kept.get(key)?;
        let grant = kept.grant.upgrade().filter(|grant| {
            !grant.is_released() && grant.is_kept_by(kept.call) && !grant.set.is_closed()
        });
        if grant.is_none() {
            self.kept.remove(key);
        }
        grant
    }

    /// Extends a kept lock, unless that is over.
    pub(super) fn keep_alive(&mut self, key: Key) {
        let Some(grant) = self.still_kept(key) else {
            return;
        };
        let Some(kept) = self.kept.get(key) else {
            return;
        };
        let ticket = Ticket::for_kept(self.runtime, key);
        let extend = Operation::extend(&grant, ticket, kept.ttl_ms);
        self.begin(Box::new(extend));
    }

    pub(super) fn kept_outcome(&mut self, key: Key, outcome: Outcome) {
        let Some(grant) = self.still_kept(key) else {
            return;
        };
        let Some(kept) = self.kept.get_mut(key) else {
            return;
        };
        let after = match outcome {
            Outcome::Failed(error) if error.status() == Status::Expired => {
                return self.lost(key, &grant, error);
            }
            Outcome::Failed(error) => {
                kept.failure = Some(error);
                kept::again_after(kept.ttl_ms)
            }
            _ => {
                kept.failure = None;
                kept::next_after(kept.ttl_ms)
            }
        };
        let at = self.now + after;
        self.timers.set(at, Timer::KeepAlive { kept: key });
    }

    /// Gives a kept lock up when the end of its validity is near, whatever its extension still waits for.
    pub(super) fn last_call(&mut self, key: Key) {
        let Some(grant) = self.still_kept(key) else {
            return;
        };
        let Some(kept) = self.kept.get_mut(key) else {
            return;
        };
        let spare = spare(kept, &grant);
        if spare > 0 {
            // It was extended since this was set.
            let at = self.now + spare;
            return self.timers.set(at, Timer::LastCall { kept: key });
        }
        let error = kept.failure.take().unwrap_or_else(|| unanswered(&grant));
        self.lost(key, &grant, error);
    }

    /// A kept lock can't be kept: its owner is told, while it still has a little time.
    fn lost(&mut self, key: Key, grant: &Grant, error: Error) {
        let Some(kept) = self.kept.remove(key) else {
            return;
        };
        if !grant.is_released() && grant.is_kept_by(kept.call) {
            kept.notice.tell(error);
        }
    }
}

/// How long a kept lock need not be given up yet.
fn spare(kept: &Kept, grant: &Grant) -> Nanos {
    let notice_time = kept::notice_time(kept.ttl_ms);
    grant.validity().saturating_sub(notice_time)
}

fn unanswered(grant: &Grant) -> Error {
    Error::new(
        Status::NoQuorum,
        format!(
            "extending {:?} failed: its validity nearly ended before enough nodes had answered",
            grant.target.first()
        ),
    )
}
