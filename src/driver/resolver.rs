//! Name look-up, for which the system's resolver blocks a thread: a few threads for the whole process, while there is work.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::catch_unwind;
use std::sync::Mutex;

use crate::defect::said;
use crate::sync::lock;
use crate::threads;

/// How many names are looked up at a time. Names whose servers do not answer block a thread for seconds; so many of them
/// at once hold up the others.
const MAX_THREADS: usize = 4;

/// Who asked, and is told by a call of `F`.
type Callback = Box<dyn FnOnce(Result<Vec<SocketAddr>, String>) + Send>;

/// A name that is to be looked up, or is being looked up.
struct LookUp {
    host: String,
    port: u16,
    /// A thread is at it.
    begun: bool,
    callbacks: Vec<Callback>,
}

/// The look-ups of the process.
#[derive(Default)]
pub(crate) struct Resolver(Mutex<State>);

#[derive(Default)]
struct State {
    look_ups: VecDeque<LookUp>,
    threads: usize,
}

impl Resolver {
    /// Looks a name up and calls back, from another thread, with its addresses or with the reason why there are none. A name
    /// that is being looked up already is not looked up twice.
    pub(crate) fn look_up(
        &'static self,
        host: &str,
        port: u16,
        callback: impl FnOnce(Result<Vec<SocketAddr>, String>) + Send + 'static,
    ) -> io::Result<()> {
        let mut state = lock(&self.0);
        let same = |it: &&mut LookUp| it.port == port && it.host == host;
        if let Some(known) = state.look_ups.iter_mut().find(same) {
            known.callbacks.push(Box::new(callback));
            return Ok(());
        }
        if state.threads < MAX_THREADS {
            threads::spawn("redlock-resolve", move || self.work())?;
            state.threads += 1;
        }
        state.look_ups.push_back(LookUp {
            host: host.to_owned(),
            port,
            begun: false,
            callbacks: vec![Box::new(callback)],
        });
        Ok(())
    }

    fn work(&self) {
        while let Some((host, port)) = self.next() {
            let found = catch_unwind(|| addresses_of(&host, port))
                .unwrap_or_else(|payload| Err(format!("a defect: {}", said(&*payload))));
            for callback in self.finish(&host, port) {
                callback(found.clone());
            }
        }
    }

    /// The next name; a thread that gets none ends.
    fn next(&self) -> Option<(String, u16)> {
        let mut state = lock(&self.0);
        let next = state.look_ups.iter_mut().find(|it| !it.begun);
        let Some(look_up) = next else {
            state.threads -= 1;
            return None;
        };
        look_up.begun = true;
        Some((look_up.host.clone(), look_up.port))
    }

    fn finish(&self, host: &str, port: u16) -> Vec<Callback> {
        let mut state = lock(&self.0);
        let same = |it: &LookUp| it.begun && it.port == port && it.host == host;
        let place = state.look_ups.iter().position(same);
        let done = place.and_then(|place| state.look_ups.remove(place));
        done.map_or(Vec::new(), |done| done.callbacks)
    }
}

fn addresses_of(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let unknown = |why: &str| format!("cannot resolve the host name: {why}");
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| unknown(&error.to_string()))?
        .collect();
    match found.is_empty() {
        true => Err(unknown("it has no address")),
        false => Ok(found),
    }
}
