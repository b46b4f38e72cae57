//! A future for one operation, for any executor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock;
use crate::driver::core::{Operation, Request};
use crate::driver::runtime;
use crate::driver::ticket::{Outcome, Ticket};
use crate::error::{Error, Result, Status};
use crate::protocol::grant::Grant;
use crate::protocol::rules::validity;

/// The outcome to come of an operation that is already under way. Dropping it before that cancels the operation, if it
/// can be: an acquire takes no lock then, or gives it back.
#[must_use = "an operation is cancelled when its future is dropped"]
pub struct Pending<T> {
    state: State,
    convert: fn(Outcome) -> Result<T>,
}

enum State {
    Refused(Option<Error>),
    UnderWay(Arc<Ticket>),
    Done,
}

impl<T> Pending<T> {
    pub(super) fn start(
        begun: Result<(Operation, Arc<Ticket>)>,
        convert: fn(Outcome) -> Result<T>,
    ) -> Pending<T> {
        let submitted = begun.and_then(|(operation, ticket)| {
            runtime::get()?.submit(operation);
            Ok(ticket)
        });
        let state = match submitted {
            Ok(ticket) => State::UnderWay(ticket),
            Err(error) => State::Refused(Some(error)),
        };
        Pending { state, convert }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut self.state {
            State::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => panic!("polled after its end"),
            },
            State::Done => panic!("polled after its end"),
            State::UnderWay(ticket) if ticket.is_inherited() => {
                self.state = State::Done;
                Poll::Ready(Err(Error::new(
                    Status::Forked,
                    "the operation was begun before a fork, by the parent process",
                )))
            }
            State::UnderWay(ticket) => match ticket.take_or_wake(context.waker()) {
                None => Poll::Pending,
                Some(outcome) => {
                    self.state = State::Done;
                    Poll::Ready((self.convert)(outcome))
                }
            },
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let State::UnderWay(ticket) = &self.state
            && !ticket.is_inherited()
            && let Ok(runtime) = runtime::get()
        {
            runtime.send(Request::Cancel(Arc::clone(ticket)));
        }
    }
}

/// The error for a lock that had run out when its outcome was taken.
pub(super) fn run_out(verb: &str, grant: &Grant) -> Error {
    let (resource, ttl_ms) = (grant.target.first(), grant.ttl_ms());
    let message = format!(
        "{verb} {resource:?} failed: its TTL of {ttl_ms} ms ran out before the outcome was taken; use a longer one"
    );
    Error::new(Status::Expired, message)
}

pub(crate) fn released(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Released => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// For how long the lock is valid that was extended. That it was given back since does not matter.
pub(crate) fn time_left(outcome: Outcome) -> Result<Duration> {
    let grant = match outcome {
        Outcome::Extended(grant) => grant,
        other => return Err(unexpected(other)),
    };
    match grant.time_left(clock::now()) {
        left if validity::is_worth_having(left) => Ok(Duration::from_nanos(left)),
        _ => Err(run_out("extending", &grant)),
    }
}

pub(crate) fn extended(outcome: Outcome) -> Result<()> {
    time_left(outcome).map(drop)
}

pub(crate) fn locked(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Locked(is_locked) => Ok(is_locked),
        other => Err(unexpected(other)),
    }
}

/// The error in an outcome that is not the wanted one.
pub(crate) fn unexpected(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Failed(error) => error,
        _ => Error::new(Status::Internal, "an operation ended in another's outcome"),
    }
}
