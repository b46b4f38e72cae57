//! Factories: a set of nodes that locks are taken from.

use std::ffi::c_char;
use std::fmt::Write;
use std::ptr::null_mut;

use super::arguments::{null, optional_text, out, text, texts};
use super::call;
use super::error::redlock_error;
use super::guard;
use super::handle::{find, free, handle, publish};
use super::options::{OptionsHandle, redlock_options};
use super::queue::{QueueHandle, redlock_queue};
use super::registry::Ends;
use super::status::redlock_status;
use super::string;
use crate::{Factory, Options, Result};

/// A set of nodes, independent Redis masters, from which locks are taken.
///
/// Made by redlock_factory_new(), freed by redlock_factory_free(). Any number of threads may use it at once. One factory for
/// each set of nodes is enough for a process: it keeps one connection to each node, however many locks and threads there are.
/// After a fork the child may use it too: it opens connections of its own.
pub struct redlock_factory;

pub(super) struct FactoryHandle(pub(super) Factory);

handle!(FactoryHandle, redlock_factory, 1, "factory");

impl Ends for FactoryHandle {
    fn end(&self) {
        self.0.close();
    }
}

/// Makes a factory over the masters at `urls`.
///
/// Does not block and needs no node to be up: connections are made in the background, and made again when they break; the first
/// acquire waits for them. A lock is
/// held when more than half of the nodes granted it; use an odd number of them, 3 or 5, that do not replicate each other. Any
/// thread.
///
/// @param urls an array of `n` URLs: redis://[user:password@]host[:port][/database], rediss://... for TLS, or
///        unix:///path/to/socket; may be NULL when `n` is 0. Copied.
/// @param n the number of URLs, at most 64; 0 stands for the one URL redis://127.0.0.1:6379/0
/// @param options the settings; NULL for the defaults. Copied.
/// @param out receives the factory, which the caller frees with redlock_factory_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT` for a URL that is malformed, not supported or given twice, or for TLS
///         files that cannot be used; `REDLOCK_ERR_SYSTEM` when the system refused a thread or a descriptor
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_new(
    urls: *const *const c_char,
    n: usize,
    options: *const redlock_options,
    out: *mut *mut redlock_factory,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let out = self::out(out, null_mut(), "out")?;
            let options = settings(options)?;
            let factory = Factory::with_options(&texts(urls, n, "urls")?, &options)?;
            *out = publish(FactoryHandle(factory))?;
            Ok(())
        })
    }
}

/// Frees a factory.
///
/// Acquires that still wait, in other threads or on queues, end with `REDLOCK_ERR_CLOSED`. Locks that are held stay held and
/// usable; so a factory can be freed before its locks. NULL, and what is no live factory, is ignored.
///
/// May block for as long as the node timeout, while releases that run in the background reach the nodes. Any thread.
///
/// @param factory the factory, or NULL
#[unsafe(no_mangle)]
pub extern "C" fn redlock_factory_free(factory: *mut redlock_factory) {
    guard::value((), || free::<FactoryHandle>(factory));
}

/// Reports the health of each node, for a person to read: one line a node, in the order of the URLs.
///
/// It tells what the library knows of each: whether it is connected, since when not, why, and the server's version. Nodes that are
/// connected are asked about the fences that they keep: whether the highest lies far ahead of the node's own clock, and whether
/// there are fences of other key prefixes. Blocks for about a round trip, and at most a quarter of a second. Any thread.
///
/// @param factory the factory; not NULL
/// @param report receives the text, which the caller frees with redlock_string_free(); NULL on failure; not NULL itself
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`, also when nodes are down, since that is what the report is for; `REDLOCK_ERR_INVALID_ARGUMENT`;
///         `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_check(
    factory: *mut redlock_factory,
    report: *mut *mut c_char,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let report = out(report, null_mut(), "report")?;
            let factory = find::<FactoryHandle>(factory, "factory")?;
            *report = string::give(lines(&factory.0)?)?;
            Ok(())
        })
    }
}

/// Gives the operator's word that the nodes of a factory have forgotten no lock: those that are connected vote at once, also for
/// other clients that connect from now on.
///
/// For a fresh set of nodes with the option "restart_guard" set to "strict", after making sure that nobody can hold a lock on them.
/// A node that is not connected is taken for a restarted one by clients that connect from now on: trust the nodes again when
/// redlock_factory_check() shows it. Nothing else needs this call: a node that restarted votes again by itself when every lock that
/// it may have forgotten has run out. Blocks until a new factory has contacted all nodes, at most the option
/// "connect_timeout_ms"; later for a moment only. Any thread.
///
/// @param factory the factory; not NULL
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_NO_QUORUM` when no node can be reached: redlock_factory_check() tells why;
///         `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_trust_nodes(
    factory: *mut redlock_factory,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            find::<FactoryHandle>(factory, "factory")?.0.trust_nodes()?;
            Ok(())
        })
    }
}

/// Gives the credentials by which all nodes of a factory are logged in to from now on, in place of those in their URLs and in the
/// option "password_file".
///
/// For passwords that are changed and tokens that run out. Connections that there are stay as they are: give the new ones before
/// the nodes stop taking the old ones. Nodes that have refused the old ones are tried at once. Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param username the user; NULL keeps the one of each URL, or the server's default user. Copied.
/// @param password the password or token; it appears in no message, error or log line. NULL, with a `username` of NULL, takes back
///        what was given: the URLs and the option "password_file" count again. Copied.
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile;
///         `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_set_credentials(
    factory: *mut redlock_factory,
    username: *const c_char,
    password: *const c_char,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let username = optional_text(username, "username")?;
            match (username, optional_text(password, "password")?) {
                (username, Some(password)) => factory.0.set_credentials(username, password),
                (None, None) => factory.0.reset_credentials(),
                (Some(_), None) => Err(null("password")),
            }
        })
    }
}

/// Has a factory ask for credentials: by an event of the kind `REDLOCK_EVENT_CREDENTIALS` in `queue`, whenever connections wait for
/// them, once for all of these.
///
/// For the option "ask_credentials", with which no connection is made before this has been called. The receiver of the event answers
/// with redlock_factory_set_credentials() or redlock_factory_refuse_credentials(), from any thread and at any time within the option
/// "connect_timeout_ms"; what is given counts for as long for other
/// connections too, unless a node refuses it. Events without an answer
/// are repeated after 30 seconds. A later call replaces the queue. After a fork, call it in the child with a queue of the child's.
/// Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param queue the queue, which may be freed before the factory; then nobody is asked. Not NULL
/// @param id the number that the events bear
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_FORKED` when the queue is the parent's;
///         `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile; `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_ask_for_credentials(
    factory: *mut redlock_factory,
    queue: *mut redlock_queue,
    id: u64,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            let queue = find::<QueueHandle>(queue, "queue")?;
            factory.0.ask_for_credentials(&queue.0, id)
        })
    }
}

/// Says why there are no credentials at the moment. Connections that wait for them end with that reason, which the nodes' errors
/// repeat, and are attempted again later. Does not block; any thread.
///
/// @param factory the factory; not NULL
/// @param reason the reason, for people; without secrets. Not NULL. Copied.
/// @param err receives the error on failure, to be freed with redlock_error_free(), NULL on success; may be NULL
/// @return `REDLOCK_OK`; `REDLOCK_ERR_INVALID_ARGUMENT`; `REDLOCK_ERR_CLOSED` when the factory is freed meanwhile;
///         `REDLOCK_ERR_SYSTEM`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn redlock_factory_refuse_credentials(
    factory: *mut redlock_factory,
    reason: *const c_char,
    err: *mut *mut redlock_error,
) -> redlock_status {
    // SAFETY: the pointers are what this function's documentation demands of its caller.
    unsafe {
        call::status(err, || {
            let factory = find::<FactoryHandle>(factory, "factory")?;
            factory.0.refuse_credentials(text(reason, "reason")?)
        })
    }
}

/// # Safety
/// None beyond the handle's own checks: any pointer will do.
fn settings(options: *const redlock_options) -> Result<Options> {
    if options.is_null() {
        return Ok(Options::new());
    }
    Ok(find::<OptionsHandle>(options, "options")?.current())
}

fn lines(factory: &Factory) -> Result<String> {
    let mut lines = String::new();
    for node in factory.check()? {
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{node}");
    }
    Ok(lines)
}
