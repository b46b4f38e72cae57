//! What clients do: each has workers that take locks, use them and give them back.

use super::{Event, MAX_TTL_MS, MS, World};
use crate::Nanos;
use crate::client::{Ended, Held};

/// What does one thing after the other in a client.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// The operation that it waits for.
    operation: Option<u64>,
    lock: Option<Owned>,
    /// What it asks for, or has.
    names: Vec<usize>,
}

/// A lock that a worker has.
#[derive(Debug)]
struct Owned {
    /// The number of the operation that won it.
    id: u64,
    held: Held,
    ttl: Nanos,
}

impl World {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A worker goes on with whatever it does.
    pub(super) fn step(&mut self, client: usize, worker: usize) {
        let it = &self.programs[client].workers[worker];
        match (&it.operation, &it.lock) {
            (Some(_), _) => {}
            (None, Some(_)) => self.use_lock(client, worker),
            (None, None) if self.is_quiet => {}
            (None, None) => self.begin(client, worker),
        }
    }

    fn step_in(&mut self, client: usize, worker: usize, time: Nanos) {
        let incarnation = self.programs[client].incarnation;
        self.schedule(self.now + time, Event::Step(client, incarnation, worker));
    }

    fn begin(&mut self, client: usize, worker: usize) {
        let id = self.next_id();
        let (now, resources) = (self.now, self.resources as u64);
        let program = &mut self.programs[client];
        let random = &mut program.random;
        let mut names = vec![random.below(resources) as usize];
        if random.per_mille(150) && program.takes_several {
            names = (0..self.resources)
                .filter(|_| random.per_mille(600))
                .collect();
        }
        if names.is_empty() {
            names.push(0);
        }
        let texts: Vec<String> = names
            .iter()
            .map(|name| format!("{}r{name}", program.name_prefix))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        program.operations.insert(id, worker);
        program.workers[worker].operation = Some(id);
        if random.per_mille(30) && program.client.is_locked(now, id, texts[0]) {
            program.workers[worker].names.clear();
            return self.judges.began(now, id, client, "is_locked", now);
        }
        let ttl_ms = *random.pick(&[100, 300, 1_000, 3_000, MAX_TTL_MS]);
        let patience = *random.pick(&[0, 0, 50, 500, 3_000, 10_000]) * MS;
        let give_up_at = if patience == 0 { 0 } else { now + patience };
        let is_cancelled = random.per_mille(30);
        let cancelled_in = random.below(500 * MS);
        let waits = patience > 0 && program.is_fair;
        program.workers[worker].names = names.clone();
        self.judges
            .began(now, id, client, "acquire", now + patience);
        self.judges.asks(id, &names, waits);
        let program = &mut self.programs[client];
        program.client.acquire(now, id, &texts, ttl_ms, give_up_at);
        program.workers[worker].lock = None;
        self.ttls.insert(id, ttl_ms * MS);
        if is_cancelled {
            let incarnation = self.programs[client].incarnation;
            self.schedule(now + cancelled_in, Event::Cancel(client, incarnation, id));
        }
    }

    fn use_lock(&mut self, client: usize, worker: usize) {
        let id = self.next_id();
        let (now, is_quiet) = (self.now, self.is_quiet);
        let program = &mut self.programs[client];
        let Some(lock) = &program.workers[worker].lock else {
            return;
        };
        let (held, lock_id) = (lock.held.clone(), lock.id);
        if !is_quiet && program.random.per_mille(300) {
            let ttl_ms = *program.random.pick(&[100, 500, 2_000, MAX_TTL_MS]);
            if program.client.extend(now, id, &held, ttl_ms) {
                program.operations.insert(id, worker);
                program.workers[worker].operation = Some(id);
                return self.judges.began(now, id, client, "extend", now);
            }
        }
        program.operations.insert(id, worker);
        program.workers[worker].operation = Some(id);
        program.workers[worker].lock = None;
        self.judges.released(now, lock_id);
        self.judges.began(now, id, client, "release", now);
        let program = &mut self.programs[client];
        if !program.client.release(now, id, &held) {
            self.judges.ended(now, id);
            self.programs[client].workers[worker].operation = None;
            self.step_in(client, worker, MS);
        }
    }

    /// An operation has ended.
    pub(super) fn done(&mut self, client: usize, id: u64, ended: Ended) {
        let now = self.now;
        let began = self.judges.ended(now, id);
        let program = &mut self.programs[client];
        let Some(worker) = program.operations.remove(&id) else {
            return;
        };
        program.workers[worker].operation = None;
        match ended {
            Ended::Acquired(held) => self.won(client, worker, id, began.unwrap_or(now), held),
            Ended::Done | Ended::Failed(..) => {
                let random = &mut self.programs[client].random;
                let most = *random.pick(&[1, 20, 200]);
                let pause = random.below(most * MS);
                self.step_in(client, worker, pause);
            }
        }
    }

    fn won(&mut self, client: usize, worker: usize, id: u64, began: Nanos, held: Held) {
        let now = self.now;
        let until = held.valid_until(now);
        let ttl = self.ttls.remove(&id).unwrap_or(0);
        let program = &mut self.programs[client];
        let names = program.workers[worker].names.clone();
        let group = usize::from(!program.prefix.is_empty());
        self.judges
            .acquired(now, id, (client, began), &names, until);
        if let Some(fence) = held.fence() {
            for name in &names {
                self.judges.fenced(now, began, 2 * name + group, fence);
            }
        }
        let program = &mut self.programs[client];
        let is_kept = program.random.per_mille(200) && program.client.keep_alive(now, id, &held);
        if is_kept {
            self.judges.kept(id);
            let incarnation = program.incarnation;
            self.schedule(until, Event::Validity(client, incarnation, id));
        }
        let program = &mut self.programs[client];
        let most = match program.random.below(10) {
            0..6 => 5 * MS,
            6..9 => ttl / 2,
            _ => 2 * ttl,
        };
        let used_for = program.random.below(most + 1);
        program.workers[worker].lock = Some(Owned { id, held, ttl });
        self.step_in(client, worker, used_for);
    }

    /// Sees how long the locks of a client are valid now: extensions may have moved that.
    pub(super) fn look_at_locks(&mut self, client: usize) {
        let now = self.now;
        for worker in &self.programs[client].workers {
            if let Some(lock) = &worker.lock {
                self.judges.moved(now, lock.id, lock.held.valid_until(now));
            }
        }
    }

    /// A lock's validity was to end.
    pub(super) fn validity(&mut self, client: usize, incarnation: u32, id: u64) {
        let program = &self.programs[client];
        if program.incarnation != incarnation {
            return;
        }
        let owned = program
            .workers
            .iter()
            .filter_map(|worker| worker.lock.as_ref())
            .find(|lock| lock.id == id);
        let ttl = owned.map_or(0, |lock| lock.ttl.max(MAX_TTL_MS * MS));
        let stood_still = self.stood_still_since(program, self.now.saturating_sub(ttl));
        if let Some(until) = self.judges.validity_ends(self.now, id, stood_still) {
            self.schedule(until, Event::Validity(client, incarnation, id));
        }
    }
}
