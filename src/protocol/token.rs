//! The owner token: what tells one grant's key from every other's.

/// Random bytes in one token. 20, as in the Redlock specification.
pub(crate) const ENTROPY: usize = 20;

/// 20 random bytes as 40 lower-case hex digits: printable, and the same type of value that the other Redlock
/// libraries store. Each attempt has a token of its own, and none is ever used again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; 2 * ENTROPY]);

impl Token {
    /// No owner: for questions that name none.
    pub(crate) const NONE: Token = Token([b'0'; 2 * ENTROPY]);

    /// The token that these random bytes make.
    pub(crate) fn of(bytes: [u8; ENTROPY]) -> Token {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 2 * ENTROPY];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Token(digits)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
