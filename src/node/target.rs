//! What an operation is about: one resource or several, and their keys in Redis.

use std::sync::Arc;

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

    /// The keys of the highest ballots. The braces make a hash tag of the lock's key.
    pub(crate) fn ballots(&self) -> impl Iterator<Item = [&[u8]; 4]> {
        self.locks()
            .map(|[prefix, name]| -> [&[u8]; 4] { [b"{", prefix, name, b"}:redlock:ballot"] })
    }
}
