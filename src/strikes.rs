//! Defects that tests have strike: where, and for the connections to which server.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Where a defect strikes: when a connection's bytes are handled, or when one of its answers is to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Bytes,
    Answer,
}

/// The ports of the servers whose bytes or answers are not borne, and how often that was so.
static STRUCK: Mutex<BTreeMap<(Place, u16), usize>> = Mutex::new(BTreeMap::new());

/// Called in these places.
pub(crate) fn strike(place: Place, port: u16) {
    let mut struck = STRUCK.lock().unwrap();
    let count = struck.get_mut(&(place, port));
    let is_struck = count.map(|count| *count += 1).is_some();
    drop(struck);
    if is_struck {
        panic!("a test's defect");
    }
}

pub(crate) fn begin(place: Place, port: u16) {
    STRUCK.lock().unwrap().insert((place, port), 0);
}

/// Gives how often it was struck.
pub(crate) fn stop(place: Place, port: u16) -> usize {
    let count = STRUCK.lock().unwrap().remove(&(place, port));
    count.expect("it was begun")
}
