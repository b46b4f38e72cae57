//! Where the application's own functions are called: on threads of their own, which are started on demand, so that one
//! that takes its time holds up neither the engine nor another.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::fork::PerProcess;
use crate::sync::{call_out, lock};
use crate::threads;

/// Notices of losses that run at a time; a program that loses ten thousand locks at once gets no more threads than that.
const NOTICES_AT_ONCE: usize = 32;
/// Messages of the log that wait while the program is busy with one.
const MESSAGES: usize = 1024;
/// How long a thread stays that has nothing to do.
const LINGERS: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

static CALLBACKS: PerProcess<Callbacks> = PerProcess::new();

struct Callbacks {
    /// One message after the other.
    messages: Lane,
    notices: Lane,
}

/// Jobs for some threads.
struct Lane {
    name: &'static str,
    most_threads: usize,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Those of the threads that wait for a job.
    idle: usize,
    /// Messages that were dropped since the last one that was not.
    dropped: u64,
}

fn callbacks() -> &'static Callbacks {
    let made = CALLBACKS.get_or_try_init(|| {
        Ok::<_, Infallible>(Box::leak(Box::new(Callbacks {
            messages: Lane::new("redlock-log", 1),
            notices: Lane::new("redlock-notice", NOTICES_AT_ONCE),
        })))
    });
    match made {
        Ok(callbacks) => callbacks,
    }
}

/// Calls the log with a message, after those before it. Does not wait for it.
pub(crate) fn say(message: impl FnOnce() + Send + 'static) {
    let lane = &callbacks().messages;
    let mut queue = lock(&lane.queue);
    if queue.jobs.len() >= MESSAGES {
        queue.dropped += 1;
        return;
    }
    queue.jobs.push_back(Box::new(message));
    lane.find_thread(queue);
}

/// Messages that were dropped since this was last asked.
pub(crate) fn dropped_messages() -> u64 {
    mem::take(&mut lock(&callbacks().messages.queue).dropped)
}

/// Calls a function that may block. Does not wait for it, unless the system refuses a thread, and there is none yet: then it is
/// called here, so it must not be under a lock of the engine's.
pub(crate) fn run(notice: impl FnOnce() + Send + 'static) {
    run_later(notice);
    let lane = &callbacks().notices;
    let mut queue = lock(&lane.queue);
    while queue.threads == 0
        && let Some(job) = queue.jobs.pop_front()
    {
        drop(queue);
        call_out(job);
        queue = lock(&lane.queue);
    }
}

/// The same, but if the system refuses a thread, it waits for the next one that is there.
pub(crate) fn run_later(job: impl FnOnce() + Send + 'static) {
    let lane = &callbacks().notices;
    let mut queue = lock(&lane.queue);
    queue.jobs.push_back(Box::new(job));
    lane.find_thread(queue);
}

impl Lane {
    fn new(name: &'static str, most_threads: usize) -> Lane {
        Lane {
            name,
            most_threads,
            queue: Mutex::default(),
            more: Condvar::new(),
        }
    }

    /// Sees to it that the job which was just added has a thread, if there may be one more.
    fn find_thread(&'static self, mut queue: MutexGuard<'_, Queue>) {
        if queue.jobs.len() <= queue.idle {
            drop(queue);
            return self.more.notify_one();
        }
        if queue.threads >= self.most_threads {
            return;
        }
        queue.threads += 1;
        drop(queue);
        if threads::spawn_for_callbacks(self.name, || self.work()).is_err() {
            // The next job tries again, and a thread that is there takes this one.
            lock(&self.queue).threads -= 1;
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            call_out(job);
        }
    }

    /// The next job; `None` when there has been none for a while, and this thread is not counted any more.
    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        if queue.jobs.is_empty() {
            queue.idle += 1;
            let nothing = |queue: &mut Queue| queue.jobs.is_empty();
            let waited = self.more.wait_timeout_while(queue, LINGERS, nothing);
            queue = waited.unwrap_or_else(|e| e.into_inner()).0;
            queue.idle -= 1;
        }
        let job = queue.jobs.pop_front();
        if job.is_none() {
            queue.threads -= 1;
        }
        job
    }
}
