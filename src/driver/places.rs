//! Numbers for sets of nodes, which no two sets have at the same time.

use std::sync::Mutex;

use crate::sync::lock;

/// See the module.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    free: Vec<usize>,
    next: usize,
}

impl Places {
    /// A number for a new set of nodes.
    pub(super) fn reserve(&self) -> usize {
        let mut state = lock(&self.0);
        state.free.pop().unwrap_or_else(|| {
            state.next += 1;
            state.next - 1
        })
    }

    /// The set that had this number is gone.
    pub(super) fn free(&self, place: usize) {
        lock(&self.0).free.push(place);
    }
}
