//! The tables behind opaque pointers. An opaque pointer is no address but a number that names a slot of a table and the slot's
//! generation; so a handle that was freed, freed twice, of another type or plain garbage is recognised, not dereferenced.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use once_cell::sync::OnceCell;

// kind | generation | index | 3 zero bits. Aligned like an address of an object, below 2^47 like an address of user space, since
// languages keep it in their pointer types; never 0, as kinds begin at 1.
#[cfg(target_pointer_width = "64")]
const BITS: Bits = Bits {
    generation: 16,
    index: 24,
};
#[cfg(target_pointer_width = "32")]
const BITS: Bits = Bits {
    generation: 6,
    index: 19,
};

const ALIGNMENT_BITS: u32 = 3;

/// Kinds of handles are below this number.
const KINDS: usize = 16;

/// Threads that make and free handles at once meet in different shards.
const SHARDS: usize = 16;

/// A slot rests until so many others of its shard are free too: a stale handle is mistaken for a new one only after the
/// slot's generations have all been used, and this multiplies the time that takes.
const RESTING: usize = 256;

struct Bits {
    generation: u32,
    index: u32,
}

/// One table: the live objects of one type.
pub(super) struct Registry<T> {
    kind: usize,
    shards: [RwLock<Shard<T>>; SHARDS],
    turn: AtomicUsize,
}

/// A part of a table, locked for itself.
pub(super) struct Shard<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
}

struct Slot<T> {
    generation: usize,
    object: Option<Arc<T>>,
}

/// Where a handle points to.
#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    slot: usize,
    generation: usize,
}

/// A table, whatever its objects are.
pub(super) trait Table: Sync {
    /// Locks the whole table, until what is given is dropped.
    fn hold(&'static self) -> Box<dyn Any>;
    /// Whether a number is a live handle of this table.
    fn is_live(&self, handle: usize) -> bool;
    /// Takes the object of a handle from C and ends it, if it is one of this table.
    fn end(&self, handle: usize);
}

/// An object in a table.
pub(super) trait Ends: Send + Sync + 'static {
    /// C has freed it. Other threads may be inside of calls with it, so that dropping it alone might not end those.
    fn end(&self) {}
}

/// The tables that were ever used, by their kinds.
static TABLES: [OnceCell<&'static dyn Table>; KINDS] = [const { OnceCell::new() }; KINDS];

/// The tables that were ever used, in the order of their kinds.
pub(super) fn tables() -> impl Iterator<Item = &'static dyn Table> {
    TABLES.iter().filter_map(|table| table.get().copied())
}

impl<T: Ends> Table for Registry<T> {
    fn hold(&'static self) -> Box<dyn Any> {
        let shards: Vec<RwLockWriteGuard<'static, Shard<T>>> =
            self.shards.iter().map(write).collect();
        Box::new(shards)
    }

    fn is_live(&self, handle: usize) -> bool {
        self.get(handle).is_some()
    }

    fn end(&self, handle: usize) {
        if let Some(object) = self.remove(handle) {
            object.end();
        }
    }
}

impl<T: Ends> Registry<T> {
    /// From now on it is one of [`tables`].
    pub(super) fn publish(&'static self) {
        TABLES[self.kind].get_or_init(|| self);
    }
}

impl<T> Registry<T> {
    /// An empty table for handles of the kind 1 to 15.
    pub(super) const fn new(kind: usize) -> Registry<T> {
        assert!(kind >= 1 && kind < KINDS);
        Registry {
            kind,
            shards: [const { RwLock::new(Shard::new()) }; SHARDS],
            turn: AtomicUsize::new(0),
        }
    }

    /// Enters an object and gives its handle; `None` when the table is full.
    pub(super) fn insert(&self, object: T) -> Option<usize> {
        let shard = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let object = Arc::new(object);
        let (slot, generation) = write(&self.shards[shard]).insert(object)?;
        Some(self.encode(Place {
            shard,
            slot,
            generation,
        }))
    }

    /// The object of a handle.
    pub(super) fn get(&self, handle: usize) -> Option<Arc<T>> {
        let place = self.decode(handle)?;
        let shard = read(&self.shards[place.shard]);
        let slot = shard.slots.get(place.slot)?;
        (slot.generation == place.generation)
            .then(|| slot.object.clone())
            .flatten()
    }

    /// Takes the object of a handle, which is invalid from now on. The caller drops it, outside of the table's lock.
    pub(super) fn remove(&self, handle: usize) -> Option<Arc<T>> {
        let place = self.decode(handle)?;
        write(&self.shards[place.shard]).remove(place)
    }

    /// Whether a handle says that it is one of this table.
    pub(super) fn is_of_this_kind(&self, handle: usize) -> bool {
        self.decode(handle).is_some()
    }

    fn encode(&self, place: Place) -> usize {
        let index = place.slot * SHARDS + place.shard;
        (((self.kind << BITS.generation | place.generation) << BITS.index) | index)
            << ALIGNMENT_BITS
    }

    fn decode(&self, handle: usize) -> Option<Place> {
        let number = handle >> ALIGNMENT_BITS;
        let (kind, rest) = split(number, BITS.generation + BITS.index);
        let (generation, index) = split(rest, BITS.index);
        (handle == number << ALIGNMENT_BITS && kind == self.kind).then_some(Place {
            shard: index % SHARDS,
            slot: index / SHARDS,
            generation,
        })
    }
}

impl<T> Shard<T> {
    const fn new() -> Shard<T> {
        Shard {
            slots: Vec::new(),
            free: VecDeque::new(),
        }
    }

    fn insert(&mut self, object: Arc<T>) -> Option<(usize, usize)> {
        let slot = self.choose_slot()?;
        let entry = &mut self.slots[slot];
        entry.object = Some(object);
        Some((slot, entry.generation))
    }

    fn choose_slot(&mut self) -> Option<usize> {
        let full = self.slots.len() == (1 << BITS.index) / SHARDS;
        if full || self.free.len() > RESTING {
            return self.free.pop_front().map(|slot| slot as usize);
        }
        self.slots.push(Slot {
            generation: 0,
            object: None,
        });
        Some(self.slots.len() - 1)
    }

    fn remove(&mut self, place: Place) -> Option<Arc<T>> {
        let slot = self.slots.get_mut(place.slot)?;
        if slot.generation != place.generation {
            return None;
        }
        let object = slot.object.take()?;
        slot.generation = (slot.generation + 1) & ((1 << BITS.generation) - 1);
        // The index of a slot has fewer than 32 bits.
        self.free.push_back(place.slot as u32);
        Some(object)
    }
}

fn split(number: usize, low_bits: u32) -> (usize, usize) {
    (number >> low_bits, number & ((1 << low_bits) - 1))
}

// Nothing under these locks can leave a shard half changed, so poison says nothing.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_handle_looks_like_an_address() {
        let registry = Registry::new(15);
        for _ in 0..100_000 {
            let handle = registry.insert(()).unwrap();
            assert_ne!(handle, 0);
            assert_eq!(handle % 8, 0);
            #[cfg(target_pointer_width = "64")]
            assert!(handle < 1 << 47);
        }
    }

    #[test]
    fn a_removed_handle_stays_unknown_while_its_slot_is_used_again() {
        let registry = Registry::new(1);
        let mut seen = HashSet::new();
        for _ in 0..SHARDS * RESTING * 4 {
            let handle = registry.insert(()).unwrap();
            assert!(seen.insert(handle), "a handle was given twice");
            assert!(registry.remove(handle).is_some());
            assert!(registry.get(handle).is_none());
            assert!(registry.remove(handle).is_none());
        }
        assert!(
            seen.into_iter()
                .all(|handle| registry.get(handle).is_none())
        );
        let slots: usize = registry
            .shards
            .iter()
            .map(|shard| read(shard).slots.len())
            .sum();
        assert!(slots <= SHARDS * (RESTING + 1), "slots are not used again");
    }

    #[test]
    fn tables_of_different_kinds_share_no_handle() {
        let (one, two) = (Registry::new(1), Registry::new(2));
        let (a, b) = (one.insert("a").unwrap(), two.insert("b").unwrap());
        assert!(one.get(b).is_none() && two.get(a).is_none());
        assert!(one.is_of_this_kind(a) && !one.is_of_this_kind(b));
    }

    proptest! {
        #[test]
        fn garbage_is_unknown(handle: usize) {
            let registry = Registry::new(3);
            let live = registry.insert(()).unwrap();
            prop_assume!(handle != live);
            prop_assert!(registry.get(handle).is_none());
            prop_assert!(registry.remove(handle).is_none());
            prop_assert!(registry.get(live).is_some());
        }

        #[test]
        fn a_handle_finds_its_own_object(removals in proptest::collection::vec(any::<bool>(), 1..300)) {
            let registry = Registry::new(4);
            let mut live = Vec::new();
            for (number, remove) in removals.into_iter().enumerate() {
                live.push((registry.insert(number).unwrap(), number));
                if remove {
                    let (handle, number) = live.swap_remove(number % live.len());
                    prop_assert_eq!(*registry.remove(handle).unwrap(), number);
                }
            }
            for (handle, number) in live {
                prop_assert_eq!(*registry.get(handle).unwrap(), number);
            }
        }
    }
}
