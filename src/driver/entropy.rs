//! Random numbers of the operating system, for the machine.

use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::{Error, Result, Status};
use crate::jitter;
use crate::protocol::host::Entropy;
use crate::protocol::token::{self, Token};

/// See the module.
pub(super) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn random(&mut self) -> u64 {
        jitter::random()
    }

    fn token(&mut self) -> io::Result<Token> {
        draw()
    }
}

/// A fresh token, or the operating system's reason for having no random bytes.
pub(super) fn draw() -> io::Result<Token> {
    let mut bytes = [0; token::ENTROPY];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Token::of(bytes))
}

/// The token of an operation's first attempt.
pub(crate) fn fresh_token() -> Result<Token> {
    draw().map_err(|error| {
        let message = format!("the operating system has no random bytes for a token: {error}");
        Error::new(Status::System, message)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_printable_and_all_different() {
        let tokens: HashSet<String> = (0..10_000)
            .map(|_| draw().unwrap().as_str().to_owned())
            .collect();
        assert_eq!(tokens.len(), 10_000);
        for token in tokens {
            assert_eq!(token.len(), 40);
            assert!(token.bytes().all(|c| c.is_ascii_hexdigit()));
        }
    }
}
