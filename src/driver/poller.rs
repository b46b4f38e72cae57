//! The driver's wait for sockets: awake for a moment while answers are about to come, asleep otherwise.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token as PollToken};

use crate::clock::{self, Nanos};
use crate::descriptors::Ours;
use crate::threads::BlockedSignals;

pub(super) use self::waker::Waker;

/// Sockets that are looked at in one turn.
const EVENTS: usize = 256;

/// The poll token of the wake-up from other threads; nodes count up from 0.
pub(super) const WAKER: PollToken = PollToken(usize::MAX);

/// What one driver at a time waits for sockets with.
pub(super) struct Poller {
    poll: Ours<Poll>,
    pub(super) events: Events,
    waker: Arc<Waker>,
}

/// For how long to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Awake until then, at most.
    pub(crate) busy_until: Nanos,
    /// And then asleep until then, at most.
    pub(crate) until: Nanos,
    /// When the next lock is due that is kept alive.
    pub(crate) keep_due: Nanos,
}

impl Patience {
    /// A look, and no wait.
    pub(crate) const NONE: Patience = Patience {
        busy_until: 0,
        until: 0,
        keep_due: Nanos::MAX,
    };
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let poll = Ours::anonymous(Poll::new()?);
        let waker = Arc::new(Waker::new(poll.registry())?);
        Ok(Poller {
            poll,
            events: Events::with_capacity(EVENTS),
            waker,
        })
    }

    /// Wakes whoever waits with this.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// What sockets are watched by.
    pub(super) fn registry(&self) -> io::Result<Ours<Registry>> {
        self.poll.registry().try_clone().map(Ours::anonymous)
    }

    /// Waits, and gives when the sockets were looked at: before the look or the wait that found something, for that may
    /// have been long before this thread goes on. While it sleeps, this thread takes signals as it did before `blocked`, if
    /// that is given.
    pub(super) fn wait(
        &mut self,
        patience: Patience,
        blocked: Option<&BlockedSignals>,
    ) -> (io::Result<()>, Nanos) {
        loop {
            let looked_at = clock::now();
            if looked_at < patience.busy_until {
                let polled = self.poll.poll(&mut self.events, Some(Duration::ZERO));
                if polled.is_err() || !self.events.is_empty() {
                    return (polled, looked_at);
                }
                // Servers of this machine, and others who have something to do, come first.
                thread::yield_now();
                continue;
            }
            let timeout = match patience.until {
                Nanos::MAX => None,
                until => Some(Duration::from_nanos(until.saturating_sub(looked_at))),
            };
            let mut asleep = || self.poll.poll(&mut self.events, timeout);
            let polled = match blocked {
                Some(blocked) if patience.until > looked_at => blocked.while_let_through(asleep),
                _ => asleep(),
            };
            return (polled, looked_at);
        }
    }
}

/// The wake-up, where the library makes the descriptor itself: it has to know the number.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod waker {
    use std::os::fd::{FromRawFd, OwnedFd};

    use mio::Interest;
    use mio::unix::SourceFd;

    use super::{AsRawFd, Ours, Registry, WAKER, io};

    pub(crate) struct Waker(Ours<OwnedFd>);

    impl Waker {
        pub(super) fn new(registry: &Registry) -> io::Result<Waker> {
            // SAFETY: no pointers; the result is checked and owned by no one else.
            let file = unsafe {
                match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
                    -1 => return Err(io::Error::last_os_error()),
                    fd => OwnedFd::from_raw_fd(fd),
                }
            };
            let file = Ours::anonymous(file);
            registry.register(&mut SourceFd(&file.as_raw_fd()), WAKER, Interest::READABLE)?;
            Ok(Waker(file))
        }

        /// Fails if the descriptor is not its own any more, and then touches nothing.
        pub(crate) fn wake(&self) -> io::Result<()> {
            if !self.0.is_ours() {
                return Err(io::Error::from_raw_os_error(libc::EBADF));
            }
            let one = 1u64.to_ne_bytes();
            // SAFETY: the bytes live through the call, which cannot block. Nobody reads them: each write is an event of
            // its own, and so many that the counter is full do not happen.
            unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
            Ok(())
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod waker {
    use super::{Registry, WAKER, io};

    pub(crate) struct Waker(mio::Waker);

    impl Waker {
        pub(super) fn new(registry: &Registry) -> io::Result<Waker> {
            mio::Waker::new(registry, WAKER).map(Waker)
        }

        pub(crate) fn wake(&self) -> io::Result<()> {
            self.0.wake()
        }
    }
}
