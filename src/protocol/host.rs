//! What the machine takes from those who use it.

use std::io;

use super::token::Token;

/// What belongs to those who use the machine. It keeps it and hands it back, without looking into it.
pub(crate) trait Host {
    /// Who is told how an operation ended.
    type Caller: Send;
    /// Who is told that a lock is lost which is kept alive.
    type Observer: Send;
}

/// Where random numbers come from.
pub(crate) trait Entropy: Send {
    /// A number drawn evenly from all of `u64`, for delays. No safety hangs on it.
    fn random(&mut self) -> u64;

    /// The token of a new owner, which nobody can guess and nobody has had before.
    fn token(&mut self) -> io::Result<Token>;
}
