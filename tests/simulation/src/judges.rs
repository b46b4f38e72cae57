//! What is judged, from outside and by the one true time.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::Nanos;

const MS: Nanos = 1_000_000;

/// The longest that an operation may last beyond its budget, while its process does not stand still.
pub const OVERRUN: Nanos = 5_000 * MS;
/// When nothing goes wrong, how soon a free lock is taken by somebody who waits for it.
pub const PICKED_UP: Nanos = 300 * MS;
/// How much longer that may take if the lock ran out before it was given back: then nobody is woken, and who waits has to look.
pub const LOOK: Nanos = 1_000 * MS;
/// When nothing goes wrong, how often one who waits is overtaken by others who came so much later, at most.
pub const OVERTAKEN: u32 = 2;
/// See [`OVERTAKEN`].
pub const LATER: Nanos = 50 * MS;
/// When nothing goes wrong, how many commands an operation costs on all nodes together, on average.
pub const COMMANDS: u64 = 40;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Nanos,
    /// What was judged.
    pub rule: &'static str,
    /// What happened.
    pub message: String,
}

/// An operation that has not ended.
#[derive(Clone, Debug)]
struct Operation {
    process: usize,
    what: &'static str,
    began: Nanos,
    budget: Nanos,
    /// For how long its process stood still since.
    paused: Nanos,
    /// The keys that are to be locked.
    keys: Vec<usize>,
    /// Whether it waits, in order.
    waits: bool,
    overtaken: u32,
}

/// A lock that somebody takes for his own.
#[derive(Clone, Debug)]
struct Holder {
    process: usize,
    keys: Vec<usize>,
    until: Nanos,
    is_kept: bool,
    loss_told: bool,
}

/// The judges of a run.
#[derive(Debug, Default)]
pub struct Judges {
    /// What was found, the first one first.
    pub violations: Vec<Violation>,
    /// How many operations have ended.
    pub ended: u64,
    /// How many locks were won.
    pub won: u64,
    /// The longest time by which one outlasted its budget.
    pub overrun: Nanos,
    /// The longest time for which a lock was free that somebody waited for.
    pub picked_up: Nanos,
    /// How often one who waited was overtaken, at most.
    pub overtaken: u32,
    /// Whether order and speed are judged.
    pub judges_order: bool,
    operations: FxHashMap<u64, Operation>,
    holders: BTreeMap<u64, Holder>,
    /// By key: since when it is free.
    free_since: FxHashMap<usize, Nanos>,
    /// Keys that are left to those who do not queue, by a release that was the last.
    windows: FxHashSet<usize>,
    /// By what fences compare in: when locks were won, and the highest fence until then.
    fences: FxHashMap<usize, Vec<(Nanos, u64)>>,
    all_fences: FxHashSet<(usize, u64)>,
}

fn at(time: Nanos) -> String {
    format!("{}.{:06} ms", time / MS, time % MS)
}

impl Judges {
    /// Judges of a run that has not begun, who look at order and speed, too, if wanted.
    pub fn new(judges_order: bool) -> Judges {
        Judges {
            judges_order,
            ..Judges::default()
        }
    }

    fn found(&mut self, now: Nanos, rule: &'static str, message: String) {
        self.violations.push(Violation {
            at: now,
            rule,
            message,
        });
    }

    /// An operation begins.
    pub fn began(
        &mut self,
        now: Nanos,
        id: u64,
        process: usize,
        what: &'static str,
        budget: Nanos,
    ) {
        let operation = Operation {
            process,
            what,
            began: now,
            budget: budget.max(now),
            paused: 0,
            keys: Vec::new(),
            waits: false,
            overtaken: 0,
        };
        self.operations.insert(id, operation);
    }

    /// The operation is one that asks for these locks, and perhaps waits for them.
    pub fn asks(&mut self, id: u64, keys: &[usize], waits: bool) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.keys = keys.to_vec();
            operation.waits = waits;
        }
    }

    /// A process stands still for so long.
    pub fn paused(&mut self, process: usize, lasts: Nanos) {
        for operation in self.operations.values_mut() {
            if operation.process == process {
                operation.paused += lasts;
            }
        }
    }

    /// An operation has ended. Returns when it began.
    pub fn ended(&mut self, now: Nanos, id: u64) -> Option<Nanos> {
        let Some(operation) = self.operations.remove(&id) else {
            self.found(
                now,
                "ends once",
                format!("operation {id} ended, and was not under way"),
            );
            return None;
        };
        self.ended += 1;
        let over = now.saturating_sub(operation.budget + operation.paused);
        self.overrun = self.overrun.max(over);
        if over > OVERRUN {
            let what = operation.what;
            let began = at(operation.began);
            let over = at(over);
            self.found(
                now,
                "ends in time",
                format!(
                    "{what} {id} of process {}, begun at {began}, ended {over} after its budget",
                    operation.process
                ),
            );
        }
        if self.judges_order && operation.waits && operation.keys.len() == 1 {
            self.judge_waiting(now, id, &operation);
        }
        Some(operation.began)
    }

    /// One that waited ends, won or not: the lock was not free for long meanwhile.
    fn judge_waiting(&mut self, now: Nanos, id: u64, operation: &Operation) {
        let key = operation.keys[0];
        self.overtaken = self.overtaken.max(operation.overtaken);
        if operation.overtaken > OVERTAKEN {
            let message = format!(
                "operation {id} on key {key} was overtaken {} times",
                operation.overtaken
            );
            self.found(now, "order", message);
        }
        // A lock whose validity is over is not free before it is given back: an extension may have come too late to count.
        if self
            .holders
            .values()
            .any(|holder| holder.keys.contains(&key))
        {
            return;
        }
        let free_since = self
            .free_since
            .get(&key)
            .copied()
            .unwrap_or(0)
            .max(operation.began);
        let free = now.saturating_sub(free_since);
        self.picked_up = self.picked_up.max(free);
        if free > PICKED_UP {
            let message = format!(
                "key {key} was free for {} while operation {id} waited for it",
                at(free)
            );
            self.found(now, "taken when free", message);
        }
    }

    /// A lock was won by the operation of that number, which has just ended and began then; it is valid until then.
    pub fn acquired(
        &mut self,
        now: Nanos,
        id: u64,
        (process, began): (usize, Nanos),
        keys: &[usize],
        until: Nanos,
    ) {
        self.won += 1;
        if self.judges_order {
            self.count_overtaking(began, keys);
        }
        let holder = Holder {
            process,
            keys: keys.to_vec(),
            until: now,
            is_kept: false,
            loss_told: false,
        };
        self.holders.insert(id, holder);
        self.moved(now, id, until);
    }

    /// A key is left to those who do not queue, for a moment: the next one who has it overtakes nobody.
    pub fn window(&mut self, key: usize) {
        self.windows.insert(key);
    }

    fn count_overtaking(&mut self, began: Nanos, keys: &[usize]) {
        if keys.iter().filter(|key| self.windows.remove(*key)).count() > 0 {
            return;
        }
        for operation in self.operations.values_mut() {
            let is_before = operation.began + LATER < began;
            if is_before
                && operation.waits
                && operation.keys.len() == 1
                && keys.contains(&operation.keys[0])
            {
                operation.overtaken += 1;
            }
        }
    }

    /// The lock's validity ends then.
    pub fn moved(&mut self, now: Nanos, id: u64, until: Nanos) {
        let Some(holder) = self.holders.get_mut(&id) else {
            return;
        };
        if holder.until == until {
            return;
        }
        let is_later = until > holder.until;
        holder.until = until;
        if !is_later || until <= now {
            return;
        }
        let mine = holder.clone();
        let conflict = self.holders.iter().find(|(other, holder)| {
            **other != id
                && holder.until > now
                && holder.keys.iter().any(|key| mine.keys.contains(key))
        });
        if let Some((other, holder)) = conflict {
            let message = format!(
                "process {} holds keys {:?} (lock {id}, until {}) and process {} holds {:?} (lock {other}, until {})",
                mine.process,
                mine.keys,
                at(until),
                holder.process,
                holder.keys,
                at(holder.until)
            );
            self.found(now, "one owner", message);
        }
    }

    /// A lock was won with a fence by an operation that began then; fences of one group compare.
    pub fn fenced(&mut self, now: Nanos, began: Nanos, group: usize, fence: u64) {
        if !self.all_fences.insert((group, fence)) {
            self.found(
                now,
                "fences rise",
                format!("two locks of {group} have the fence {fence}"),
            );
        }
        let fences = self.fences.entry(group).or_default();
        let before = fences.partition_point(|(won, _)| *won < began);
        let highest = before.checked_sub(1).map_or(0, |last| fences[last].1);
        let so_far = fences.last().map_or(0, |(_, fence)| *fence);
        fences.push((now, so_far.max(fence)));
        if fence <= highest {
            let message = format!(
                "a lock of {group}, asked for at {}, has the fence {fence}; {highest} was won before",
                at(began)
            );
            self.found(now, "fences rise", message);
        }
    }

    /// The lock's owner has it kept alive.
    pub fn kept(&mut self, id: u64) {
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.is_kept = true;
        }
    }

    /// Its owner is told that it is lost.
    pub fn lost(&mut self, id: u64) {
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.loss_told = true;
        }
    }

    /// The validity was to end now. Returns when it ends, if that has been moved.
    pub fn validity_ends(&mut self, now: Nanos, id: u64, stood_still: bool) -> Option<Nanos> {
        let holder = self.holders.get(&id)?;
        if holder.until > now {
            return Some(holder.until);
        }
        if holder.is_kept && !holder.loss_told && !stood_still {
            let message = format!(
                "lock {id} of process {} ended without a word",
                holder.process
            );
            self.found(now, "loss is told", message);
        }
        None
    }

    /// The lock's owner uses it no more.
    pub fn released(&mut self, now: Nanos, id: u64) {
        if let Some(holder) = self.holders.remove(&id) {
            let has_run_out = holder.until <= now;
            let free_since = if has_run_out { now + LOOK } else { now };
            for key in holder.keys {
                self.free_since.insert(key, free_since);
            }
        }
    }

    /// A process is gone with all it did.
    pub fn process_ended(&mut self, now: Nanos, process: usize) {
        self.operations
            .retain(|_, operation| operation.process != process);
        let gone = self
            .holders
            .iter()
            .filter(|(_, holder)| holder.process == process);
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.released(now, id);
        }
    }

    /// How many operations are under way.
    pub fn under_way(&self) -> usize {
        self.operations.len()
    }

    /// The run is over: nothing is under way, and there are these keys on the nodes.
    pub fn finish(&mut self, now: Nanos, left: &[String]) {
        let open: Vec<String> = self
            .operations
            .iter()
            .map(|(id, operation)| {
                format!("{} {id} of process {}", operation.what, operation.process)
            })
            .collect();
        if !open.is_empty() {
            self.found(now, "ends once", format!("{} never ended", open.join(", ")));
        }
        if !left.is_empty() {
            self.found(now, "nothing is left", left.join(", "));
        }
    }
}
