//! What an operation is about: one resource or several, and their keys in Redis.

use std::sync::Arc;

use crc::{CRC_16_XMODEM, Crc};

/// What Redis Cluster finds a key's slot by.
const SLOT: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
/// How many cells there are for the highest ballots of all resources.
const CELLS: u16 = 1 << 14;

/// What every key of the library's own begins with, behind the key prefix. No resource's key contains it, whatever its
/// prefix: so no lock is ever one of these keys, of this service or of another. It has no part that it both begins and ends
/// with, so that the first place where it stands in a key tells the prefix.
pub(crate) const RESERVED: &str = "libredlock:";
const WAITING: &[u8] = b"libredlock:waiting:";
const OPEN: &[u8] = b"libredlock:open:";
const QUEUE: &[u8] = b"libredlock:queue:";
const BALLOTS: &[u8] = b"libredlock:ballots";

/// Whether the key of this resource would be, or look like, one of the library's own.
pub(crate) fn is_reserved(prefix: &str, name: &str) -> bool {
    let is_made_together = |at| {
        let (head, tail) = RESERVED.split_at(at);
        prefix.ends_with(head) && name.starts_with(tail)
    };
    prefix.contains(RESERVED)
        || name.contains(RESERVED)
        || (1..RESERVED.len()).any(is_made_together)
}

/// The resources of one lock, in the order given, and what is put before their names to make their keys.
#[derive(Debug)]
pub(crate) struct Target {
    prefix: Arc<str>,
    names: Names,
}

/// One name is by far the most common case, and saves an allocation.
#[derive(Debug)]
enum Names {
    One(Box<str>),
    Many(Box<[Box<str>]>),
}

impl Target {
    /// The lock on one resource.
    pub(crate) fn one(prefix: Arc<str>, resource: &str) -> Target {
        Target {
            prefix,
            names: Names::One(resource.into()),
        }
    }

    /// The lock on several resources at once.
    pub(crate) fn many<S: AsRef<str>>(prefix: Arc<str>, resources: &[S]) -> Target {
        match resources {
            [resource] => Target::one(prefix, resource.as_ref()),
            _ => Target {
                prefix,
                names: Names::Many(resources.iter().map(|name| name.as_ref().into()).collect()),
            },
        }
    }

    /// The resources' names.
    pub(crate) fn names(&self) -> &[Box<str>] {
        match &self.names {
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        }
    }

    /// How much memory it takes, about, in bytes.
    pub(crate) fn size(&self) -> usize {
        let names = self.names().iter();
        let in_names: usize = names
            .map(|name| name.len() + 2 * size_of::<Box<str>>())
            .sum();
        size_of::<Target>() + in_names
    }

    /// The first resource's name.
    pub(crate) fn first(&self) -> &str {
        &self.names()[0]
    }

    /// The keys of the locks, each in parts. Without a prefix a key is the name itself: the common format, by which the
    /// locks of other libraries and ours exclude each other.
    pub(crate) fn locks(&self) -> impl Iterator<Item = [&[u8]; 2]> {
        let prefix = self.prefix.as_bytes();
        self.names()
            .iter()
            .map(move |name| [prefix, name.as_bytes()])
    }

    /// The keys of the first lock, of the mark that others wait for it, and of its queue, in parts.
    pub(crate) fn queue_keys(&self) -> [[&[u8]; 3]; 3] {
        self.own_keys(self.first())
    }

    /// The key that is there while the first lock is left to those who do not queue, in parts.
    pub(crate) fn open_key(&self) -> [&[u8]; 3] {
        [self.prefix.as_bytes(), OPEN, self.first().as_bytes()]
    }

    /// The same as [`queue_keys`](Self::queue_keys) for each lock.
    pub(crate) fn all_queue_keys(&self) -> impl Iterator<Item = [[&[u8]; 3]; 3]> {
        self.names().iter().map(|name| self.own_keys(name))
    }

    fn own_keys<'a>(&'a self, name: &'a str) -> [[&'a [u8]; 3]; 3] {
        let (prefix, name) = (self.prefix.as_bytes(), name.as_bytes());
        [
            [prefix, b"", name],
            [prefix, WAITING, name],
            [prefix, QUEUE, name],
        ]
    }

    /// The key of the highest ballots of all resources that have this prefix, in parts.
    pub(crate) fn ballots(&self) -> [&[u8]; 2] {
        [self.prefix.as_bytes(), BALLOTS]
    }

    /// Where in there each resource's highest ballot is: the slot of the lock's key, as CLUSTER KEYSLOT tells it for keys
    /// without a hash tag. Resources that share a cell share its highest ballot, which does no harm: it only has to be
    /// above all that were accepted.
    pub(crate) fn cells(&self) -> impl Iterator<Item = u16> {
        self.locks().map(|[prefix, name]| {
            let mut digest = SLOT.digest();
            digest.update(prefix);
            digest.update(name);
            digest.finalize() % CELLS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_keys_stand_below_the_prefix_and_contain_what_no_resource_s_key_does() {
        let target = Target::one("app:".into(), "r");
        let [lock, waiting, queue] = target.queue_keys().map(|parts| parts.concat());
        assert_eq!(lock, b"app:r");
        assert_eq!(waiting, b"app:libredlock:waiting:r");
        assert_eq!(queue, b"app:libredlock:queue:r");
        assert_eq!(target.ballots().concat(), b"app:libredlock:ballots");
        assert!(!is_reserved("app:", "r"));
        for key in [waiting, queue, target.ballots().concat()] {
            let key = String::from_utf8(key).unwrap();
            for split in 0..key.len() {
                let (prefix, name) = key.split_at(split);
                assert!(is_reserved(prefix, name), "{prefix:?}, {name:?}");
            }
        }
        let is_border = |length: &usize| RESERVED.ends_with(&RESERVED[..*length]);
        assert_eq!((1..RESERVED.len()).find(is_border), None);
    }

    #[test]
    fn a_cell_is_the_slot_of_the_lock_s_key() {
        let cells = |prefix: &str, name: &str| Target::one(prefix.into(), name).cells().next();
        // What CLUSTER KEYSLOT says.
        assert_eq!(cells("", "123456789"), Some(12739));
        assert_eq!(cells("12345", "6789"), Some(12739));
        assert_eq!(cells("", "foo"), Some(12182));
    }
}
