//! What the library has to say that no caller asked for: nodes lost and found. Silent unless somebody listens.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::callbacks;
pub use crate::level::Level;

/// Takes the messages.
pub type Sink = dyn Fn(Level, &str) + Send + Sync;

struct Listener {
    sink: Box<Sink>,
    level: Level,
}

/// No lock guards it: one that another thread holds during a fork would stay locked in the child.
static LISTENER: ArcSwapOption<Listener> = ArcSwapOption::const_empty();

/// Sends messages of `level` and more important ones to `sink`; `None` takes the sink away.
///
/// The sink is called on a thread of the library's own, with one message after the other in the order in which they were
/// written. It may block and may call the library: locks, calls and their outcomes never wait for it. When it is so
/// slow that 1,024 messages wait, later ones are dropped and counted.
///
/// Without a sink, messages go to the program's logger, if it has set one up with the crate `log`, under the target
/// `redlock`. With neither the library is silent.
pub fn set(sink: Option<Box<Sink>>, level: Level) {
    LISTENER.store(sink.map(|sink| Arc::new(Listener { sink, level })));
}

/// Says something; `message` is only made when somebody listens. Never blocks.
pub(crate) fn write(level: Level, message: impl FnOnce() -> String) {
    if is_heard(level) {
        let message = message();
        callbacks::say(move || hand_over(level, &message));
    }
}

fn is_heard(level: Level) -> bool {
    match &*LISTENER.load() {
        Some(listener) => level <= listener.level,
        None => facade(level) <= ::log::max_level(),
    }
}

fn hand_over(level: Level, message: &str) {
    let dropped = callbacks::dropped_messages();
    if dropped > 0 && is_heard(Level::Warn) {
        tell(
            Level::Warn,
            &format!("{dropped} messages were dropped: the log is too slow"),
        );
    }
    tell(level, message);
}

fn tell(level: Level, message: &str) {
    match LISTENER.load_full() {
        Some(listener) if level <= listener.level => (listener.sink)(level, message),
        Some(_) => {}
        None => ::log::log!(target: "redlock", facade(level), "{message}"),
    }
}

fn facade(level: Level) -> ::log::Level {
    match level {
        Level::Error => ::log::Level::Error,
        Level::Warn => ::log::Level::Warn,
        Level::Info => ::log::Level::Info,
        Level::Debug => ::log::Level::Debug,
    }
}
