//! The driver's wait for sockets: awake for a moment while answers are about to come, asleep otherwise.

use std::io;
use std::thread;
use std::time::Duration;

use mio::{Events, Poll};

use crate::clock::{self, Nanos};

/// Sockets that are looked at in one turn.
const EVENTS: usize = 256;

/// What the driver waits for sockets with.
pub(super) struct Poller {
    poll: Poll,
    pub(super) events: Events,
}

/// For how long to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Awake until then, at most.
    pub(crate) busy_until: Nanos,
    /// And then asleep until then, at most.
    pub(crate) until: Nanos,
}

impl Patience {
    /// A look, and no wait.
    pub(crate) const NONE: Patience = Patience {
        busy_until: 0,
        until: 0,
    };
}

impl Poller {
    pub(super) fn new(poll: Poll) -> Poller {
        Poller {
            poll,
            events: Events::with_capacity(EVENTS),
        }
    }

    /// Waits, and gives when the sockets were looked at: before the look or the wait that found something, for that may
    /// have been long before this thread goes on.
    pub(super) fn wait(&mut self, patience: Patience) -> (io::Result<()>, Nanos) {
        loop {
            let looked_at = clock::now();
            let busy = looked_at < patience.busy_until;
            let asleep = match patience.until {
                Nanos::MAX => None,
                until => Some(Duration::from_nanos(until.saturating_sub(looked_at))),
            };
            let timeout = if busy { Some(Duration::ZERO) } else { asleep };
            let polled = self.poll.poll(&mut self.events, timeout);
            if !busy || polled.is_err() || !self.events.is_empty() {
                return (polled, looked_at);
            }
            // Servers of this machine, and others who have something to do, come first.
            thread::yield_now();
        }
    }
}
