//! Random numbers for back-off and the like, on which no safety hangs.
//!
//! Not `rand`'s own generator of each thread: a lock may be dropped while its thread ends, when thread-local values are gone
//! already, and a fork must not find a lock taken. So this is an atomic counter and the mixing function of SplitMix64 (Steele,
//! Lea, Flood 2014), seeded by the operating system.

use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceNonZeroUsize;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::fork;

/// What SplitMix64 adds for each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

static DRAWN: AtomicU64 = AtomicU64::new(0);
static SEED: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// A number drawn evenly from all of `u64`. A forked child draws others than its parent.
pub(crate) fn random() -> u64 {
    let seed = SEED.get_or_init(|| {
        let drawn = SysRng.try_next_u64().unwrap_or_default();
        std::num::NonZeroUsize::new(drawn as usize).unwrap_or(std::num::NonZeroUsize::MIN)
    });
    let count = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    let start = (seed.get() as u64) ^ fork::generation().rotate_right(8);
    mix(start.wrapping_add(count.wrapping_mul(STEP)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc;

    use super::*;

    /// The first numbers of the reference implementation for the seed 0.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let numbers = [1u64, 2, 3].map(|count| mix(count.wrapping_mul(STEP)));
        let expected = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_thread_that_ends_still_draws() {
        struct Last(mpsc::Sender<u64>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.send(random()).unwrap();
            }
        }
        thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
        let (send, drawn) = mpsc::channel();
        std::thread::spawn(move || LAST.set(Some(Last(send))))
            .join()
            .unwrap();
        assert_ne!(drawn.recv().unwrap(), random());
    }
}
