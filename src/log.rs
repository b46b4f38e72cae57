//! What the library has to say that no caller asked for: nodes lost and found. Silent unless a sink is set.

use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::engine::sync::call_out;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something is broken and stays so until somebody acts.
    Error = 1,
    /// Something is not as it should be; the library copes.
    Warn = 2,
    /// A change worth knowing, such as a node that came back.
    Info = 3,
    /// Everything else.
    Debug = 4,
}

/// Takes the messages.
pub type Sink = dyn Fn(Level, &str) + Send + Sync;

/// No lock guards it: one that another thread holds during a fork would stay locked in the child.
static SINK: AtomicPtr<Box<Sink>> = AtomicPtr::new(ptr::null_mut());
static LEVEL: AtomicI32 = AtomicI32::new(0);

/// Sends messages of `level` and more important ones to `sink`, from whichever thread has something to say; `None`
/// silences the library. The sink must not call the library and should return soon: the I/O thread waits for it.
pub fn set(sink: Option<Box<Sink>>, level: Level) {
    let level = if sink.is_some() { level as i32 } else { 0 };
    let sink = sink.map_or(ptr::null_mut(), |sink| Box::into_raw(Box::new(sink)));
    // The sink before is not freed: another thread may be in it at this moment. Sinks are set once or twice.
    SINK.store(sink, Ordering::Release);
    LEVEL.store(level, Ordering::Release);
}

/// Says something; `message` is only made when somebody listens.
pub(crate) fn write(level: Level, message: impl FnOnce() -> String) {
    if level as i32 > LEVEL.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: a sink that was set is never freed.
    if let Some(sink) = unsafe { SINK.load(Ordering::Acquire).as_ref() } {
        let message = message();
        call_out(|| sink(level, &message));
    }
}
