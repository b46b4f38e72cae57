//! What an operation is about: one resource or several, and their keys in Redis.

use std::sync::Arc;

use crc::{CRC_16_XMODEM, Crc};

/// What Redis Cluster finds a key's slot by.
const SLOT: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
/// How many cells there are for the highest ballots of all resources.
const CELLS: u16 = 1 << 14;

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

    /// The keys of the first lock, of the mark that others wait for it, and of its queue.
    pub(crate) fn queue_keys(&self) -> [[&[u8]; 4]; 3] {
        let (prefix, name) = (self.prefix.as_bytes(), self.first().as_bytes());
        [
            [b"", prefix, name, b""],
            [b"{", prefix, name, b"}:redlock:waiting"],
            [b"{", prefix, name, b"}:redlock:queue"],
        ]
    }

    /// The key of the highest ballots of all resources that have this prefix, in parts.
    pub(crate) fn ballots(&self) -> [&[u8]; 3] {
        [b"{", self.prefix.as_bytes(), b"}:redlock:ballots"]
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
    fn a_cell_is_the_slot_of_the_lock_s_key() {
        let cells = |prefix: &str, name: &str| Target::one(prefix.into(), name).cells().next();
        // What CLUSTER KEYSLOT says.
        assert_eq!(cells("", "123456789"), Some(12739));
        assert_eq!(cells("12345", "6789"), Some(12739));
        assert_eq!(cells("", "foo"), Some(12182));
    }
}
