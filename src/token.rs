//! The owner token: what tells one grant's key from every other's.

use rand::TryRng;
use rand::rngs::SysRng;

/// Bytes from the operating system's generator in one token. 20, as in the Redlock specification.
const ENTROPY: usize = 20;

/// 20 random bytes as 40 lower-case hex digits: printable, and the same type of value that the other Redlock
/// libraries store. Each attempt has a token of its own, and none is ever used again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; 2 * ENTROPY]);

impl Token {
    /// No owner: for questions that name none.
    pub(crate) const NONE: Token = Token([b'0'; 2 * ENTROPY]);

    /// A fresh token, or the operating system's reason for having no random bytes.
    pub(crate) fn generate() -> Result<Token, rand::rngs::SysError> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; ENTROPY];
        SysRng.try_fill_bytes(&mut bytes)?;
        let mut digits = [0; 2 * ENTROPY];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Ok(Token(digits))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn tokens_are_printable_and_all_different() {
        let tokens: HashSet<String> = (0..10_000)
            .map(|_| Token::generate().unwrap().as_str().to_owned())
            .collect();
        assert_eq!(tokens.len(), 10_000);
        for token in tokens {
            assert_eq!(token.len(), 40);
            assert!(token.bytes().all(|c| c.is_ascii_hexdigit()));
        }
    }
}
