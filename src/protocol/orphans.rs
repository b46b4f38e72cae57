//! Releases that could not be delivered to a node: kept until it is back, within a limit.

use std::collections::VecDeque;
use std::sync::Arc;

use super::node::target::Target;
use super::token::Token;
use crate::time::{self, MILLISECOND, Nanos};

/// For how long after its TTL an undelivered release is kept.
const GRACE: Nanos = 60_000 * MILLISECOND;
/// How much memory the releases that one node is owed may take, in bytes. The locks of those that are dropped last until
/// their TTLs end on that node.
pub(crate) const MOST_KEPT: usize = 16 * 1024 * 1024;
/// What one takes besides its target.
const OWN_SIZE: usize = 128;

/// A release that could not be delivered.
pub(crate) struct Orphan {
    pub(crate) target: Arc<Target>,
    pub(crate) token: Token,
    pub(crate) ttl_ms: u64,
    until: Nanos,
}

impl Orphan {
    fn size(&self) -> usize {
        OWN_SIZE + self.target.size()
    }
}

/// The releases that one node is owed, oldest first.
#[derive(Default)]
pub(crate) struct Orphans {
    queue: VecDeque<Orphan>,
    /// The size of all, in bytes.
    size: usize,
}

impl Orphans {
    /// Keeps a release. Those whose key has run out by then are dropped, and the oldest if there are too many; whether one
    /// was dropped for that.
    pub(crate) fn add(
        &mut self,
        target: Arc<Target>,
        token: Token,
        ttl_ms: u64,
        now: Nanos,
    ) -> bool {
        // Expired ones go when the number doubles.
        if self.queue.len().is_power_of_two() {
            self.queue.retain(|orphan| orphan.until > now);
            self.size = self.queue.iter().map(Orphan::size).sum();
        }
        let orphan = Orphan {
            target,
            token,
            ttl_ms,
            until: now
                .saturating_add(time::from_ms(ttl_ms))
                .saturating_add(GRACE),
        };
        self.size += orphan.size();
        self.queue.push_back(orphan);
        let is_full = self.size > MOST_KEPT;
        while self.size > MOST_KEPT {
            self.next();
        }
        is_full
    }

    /// Takes the oldest out.
    pub(crate) fn next(&mut self) -> Option<Orphan> {
        let orphan = self.queue.pop_front()?;
        self.size -= orphan.size();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(orphan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large(number: usize) -> Arc<Target> {
        let names: Vec<String> = (0..128)
            .map(|index| format!("{number}:{index}:{:0>480}", 0))
            .collect();
        Arc::new(Target::many("".into(), &names))
    }

    #[test]
    fn the_oldest_go_beyond_the_limit() {
        let mut orphans = Orphans::default();
        let dropped = (0..1_000)
            .filter(|number| orphans.add(large(*number), Token::NONE, 1_000, 1))
            .count();
        let mut kept: Vec<Orphan> = std::iter::from_fn(|| orphans.next()).collect();
        assert!(kept.len() >= MOST_KEPT / (80 << 10), "{}", kept.len());
        let bytes = |orphan: &Orphan| -> usize {
            orphan.target.names().iter().map(|name| name.len()).sum()
        };
        assert!(kept.iter().map(bytes).sum::<usize>() <= MOST_KEPT);
        assert!(dropped > 0 && dropped <= 1_000 - kept.len(), "{dropped}");
        let last = kept.pop().expect("there are some");
        assert!(last.target.first().starts_with("999:"));
        assert_eq!(orphans.size, 0);
    }

    #[test]
    fn those_whose_keys_have_run_out_go_when_the_number_doubles() {
        let mut orphans = Orphans::default();
        let small = Arc::new(Target::one("".into(), "r"));
        for _ in 0..4 {
            orphans.add(Arc::clone(&small), Token::NONE, 1, 0);
        }
        orphans.add(small, Token::NONE, 1, 2 * GRACE);
        assert_eq!(std::iter::from_fn(|| orphans.next()).count(), 1);
    }
}
