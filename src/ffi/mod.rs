//! The C ABI: every function converts its arguments, calls the crate and converts the result; nothing is decided here.
//!
//! One file per concern. `guard` (panics), `arguments` (NULL, text, numbers), `registry` and `handle` (what an opaque
//! pointer is), `atfork` carry the functions; each other file holds the functions of one handle or subject. The comments of the
//! exported items become `include/redlock.h` (see `build.rs`), hence their Doxygen form.

// The names are C's.
#![allow(non_camel_case_types)]
// What callers owe is said in the header's own terms, for C programmers.
#![allow(clippy::missing_safety_doc)]

mod arguments;
mod atfork;
mod call;
mod guard;
mod handle;
mod registry;
mod strings;

mod blocking;
mod error;
mod event;
mod factory;

mod lock;
mod log;
mod options;
mod queue;
mod reentrant;
mod status;
mod string;
mod submit;
mod thread;
mod version;
