//! Calls through the C ABI from several threads at once, with handles that are valid, stale, NULL, of another kind or garbage.
//!
//! The bytes are a program: each thread has a part of it, and all share a table of handles, so that one thread uses what another
//! frees at that moment. What C forbids is left out: reading a text whose owner may be gone, and writing through bad pointers.

use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{Input, assert_presentable};
use crate::Status;

type Handle = *mut c_void;
type Code = i32;

/// `redlock_event`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Event {
    id: u64,
    status: Code,
    kind: u32,
    lock: Handle,
    error: Handle,
    rest: [u64; 8],
}

type LogCallback = Option<extern "C" fn(i32, *const c_char, Handle)>;

unsafe extern "C" {
    fn redlock_status_name(status: Code) -> *const c_char;
    fn redlock_status_message(status: Code) -> *const c_char;
    fn redlock_error_code(error: Handle) -> Code;
    fn redlock_error_message(error: Handle) -> *const c_char;
    fn redlock_error_node_count(error: Handle) -> usize;
    fn redlock_error_node_address(error: Handle, i: usize) -> *const c_char;
    fn redlock_error_node_status(error: Handle, i: usize) -> Code;
    fn redlock_error_node_message(error: Handle, i: usize) -> *const c_char;
    fn redlock_error_free(error: Handle);
    fn redlock_options_new(out: *mut Handle, err: *mut Handle) -> Code;
    fn redlock_options_set(
        options: Handle,
        name: *const c_char,
        value: *const c_char,
        err: *mut Handle,
    ) -> Code;
    fn redlock_options_free(options: Handle);
    fn redlock_option_count() -> usize;
    fn redlock_option_name(i: usize) -> *const c_char;
    fn redlock_option_default(i: usize) -> *const c_char;
    fn redlock_option_description(i: usize) -> *const c_char;
    fn redlock_factory_new(
        urls: *const *const c_char,
        n: usize,
        options: Handle,
        out: *mut Handle,
        err: *mut Handle,
    ) -> Code;
    fn redlock_factory_free(factory: Handle);
    fn redlock_factory_check(factory: Handle, report: *mut *mut c_char, err: *mut Handle) -> Code;
    fn redlock_factory_trust_nodes(factory: Handle, err: *mut Handle) -> Code;
    fn redlock_acquire(
        factory: Handle,
        resource: *const c_char,
        ttl_ms: u64,
        wait_ms: i64,
        out: *mut Handle,
        err: *mut Handle,
    ) -> Code;
    fn redlock_acquire_many(
        factory: Handle,
        resources: *const *const c_char,
        n: usize,
        ttl_ms: u64,
        wait_ms: i64,
        out: *mut Handle,
        err: *mut Handle,
    ) -> Code;
    fn redlock_release(lock: Handle, err: *mut Handle) -> Code;
    fn redlock_extend(lock: Handle, ttl_ms: u64, err: *mut Handle) -> Code;
    fn redlock_is_locked(
        factory: Handle,
        resource: *const c_char,
        out: *mut i32,
        err: *mut Handle,
    ) -> Code;
    fn redlock_lock_validity_ms(lock: Handle) -> i64;
    fn redlock_lock_fence(lock: Handle) -> u64;
    fn redlock_lock_resource(lock: Handle) -> *const c_char;
    fn redlock_lock_resource_count(lock: Handle) -> usize;
    fn redlock_lock_resource_at(lock: Handle, i: usize) -> *const c_char;
    fn redlock_lock_fence_at(lock: Handle, i: usize) -> u64;
    fn redlock_lock_token(lock: Handle) -> *const c_char;
    fn redlock_lock_keep_alive(lock: Handle, queue: Handle, id: u64, err: *mut Handle) -> Code;
    fn redlock_lock_free(lock: Handle);
    fn redlock_queue_new(out: *mut Handle, err: *mut Handle) -> Code;
    fn redlock_queue_fd(queue: Handle) -> c_int;
    fn redlock_queue_next(
        queue: Handle,
        events: *mut Event,
        max: usize,
        timeout_ms: i64,
        count: *mut usize,
        err: *mut Handle,
    ) -> Code;
    fn redlock_queue_free(queue: Handle);
    fn redlock_submit_acquire(
        factory: Handle,
        resource: *const c_char,
        ttl_ms: u64,
        wait_ms: i64,
        queue: Handle,
        id: u64,
        err: *mut Handle,
    ) -> Code;
    fn redlock_submit_acquire_many(
        factory: Handle,
        resources: *const *const c_char,
        n: usize,
        ttl_ms: u64,
        wait_ms: i64,
        queue: Handle,
        id: u64,
        err: *mut Handle,
    ) -> Code;
    fn redlock_submit_release(lock: Handle, queue: Handle, id: u64, err: *mut Handle) -> Code;
    fn redlock_submit_extend(
        lock: Handle,
        ttl_ms: u64,
        queue: Handle,
        id: u64,
        err: *mut Handle,
    ) -> Code;
    fn redlock_submit_is_locked(
        factory: Handle,
        resource: *const c_char,
        queue: Handle,
        id: u64,
        err: *mut Handle,
    ) -> Code;
    fn redlock_cancel(queue: Handle, id: u64, err: *mut Handle) -> Code;
    fn redlock_reentrant_new(
        factory: Handle,
        resource: *const c_char,
        ttl_ms: u64,
        out: *mut Handle,
        err: *mut Handle,
    ) -> Code;
    fn redlock_reentrant_acquire(holder: Handle, wait_ms: i64, err: *mut Handle) -> Code;
    fn redlock_reentrant_release(holder: Handle, err: *mut Handle) -> Code;
    fn redlock_reentrant_count(holder: Handle) -> usize;
    fn redlock_reentrant_validity_ms(holder: Handle) -> i64;
    fn redlock_reentrant_fence(holder: Handle) -> u64;
    fn redlock_reentrant_keep_alive(
        holder: Handle,
        queue: Handle,
        id: u64,
        err: *mut Handle,
    ) -> Code;
    fn redlock_reentrant_free(holder: Handle);
    fn redlock_free_at_thread_end();
    fn redlock_log_set(
        callback: LogCallback,
        level: i32,
        user_data: Handle,
        err: *mut Handle,
    ) -> Code;
    fn redlock_string_free(string: *mut c_char);
}

const THREADS: usize = 3;
/// The longest program of one thread, in calls.
const MAX_CALLS: usize = 40;

const RESOURCES: [&CStr; 4] = [c"a", c"b", c"", c"\xff\xfe"];
const TTLS: [u64; 6] = [0, 1, 50, 1_000, 30_000, u64::MAX];
/// None that would block for long.
const WAITS: [i64; 5] = [0, 1, 5, -7, i64::MIN];
const NUMBERS: [usize; 5] = [0, 1, 7, 4096, usize::MAX];
const VALUES: [&CStr; 8] = [
    c"", c"1", c"100", c"off", c"on", c"auto", c"resp2", c"\xc3(",
];
/// What would make a call block or a program wait is left out.
const OPTIONS: [&CStr; 9] = [
    c"node_timeout_ms",
    c"busy_poll_us",
    c"fair",
    c"fencing",
    c"restart_guard",
    c"max_ttl_ms",
    c"protocol",
    c"key_prefix",
    c"no such",
];

/// The kinds of handles, each with its own places in the table.
#[derive(Clone, Copy)]
enum Kind {
    Error,
    Options,
    Factory,
    Lock,
    Queue,
    Holder,
}

const KINDS: [Kind; 6] = [
    Kind::Error,
    Kind::Options,
    Kind::Factory,
    Kind::Lock,
    Kind::Queue,
    Kind::Holder,
];
const PLACES: usize = 4;

/// The handles that all threads use. A program must pass them from thread to thread with care, which this does. What was freed stays in its place, until another takes it.
#[derive(Default)]
struct Table([[AtomicUsize; PLACES]; KINDS.len()]);

impl Table {
    /// A handle for a parameter of that kind: most often one that fits.
    fn pick(&self, kind: Kind, input: &mut Input<'_>) -> Handle {
        let choice = input.byte();
        let place = usize::from(choice) % PLACES;
        let number = match choice >> 4 {
            0 => 0,
            1 => usize::from(input.byte()),
            2 => usize::from_le_bytes(std::array::from_fn(|_| input.byte())),
            3 => self.0[input.one_of(&KINDS) as usize][place].load(SeqCst),
            4 => self.0[kind as usize][place].load(SeqCst) ^ (1 << (input.byte() % 64)),
            _ => self.0[kind as usize][place].load(SeqCst),
        };
        number as Handle
    }

    /// Puts a new handle into the table; the one before is freed, by whoever comes first.
    fn put(&self, kind: Kind, handle: Handle, input: &mut Input<'_>) {
        if !handle.is_null() {
            let place = usize::from(input.byte()) % PLACES;
            free(
                kind,
                self.0[kind as usize][place].swap(handle as usize, SeqCst) as Handle,
            );
        }
    }

    fn clear(&self) {
        for kind in KINDS {
            for place in &self.0[kind as usize] {
                free(kind, place.load(SeqCst) as Handle);
            }
        }
    }
}

fn free(kind: Kind, handle: Handle) {
    // SAFETY: every number may be passed as a handle.
    unsafe {
        match kind {
            Kind::Error => redlock_error_free(handle),
            Kind::Options => redlock_options_free(handle),
            Kind::Factory => redlock_factory_free(handle),
            Kind::Lock => redlock_lock_free(handle),
            Kind::Queue => redlock_queue_free(handle),
            Kind::Holder => redlock_reentrant_free(handle),
        }
    }
}

/// Runs the program. Its nodes are those in `REDLOCK_TEST_URLS` (comma separated); without, there are none that answer.
pub(super) fn run(data: &[u8]) {
    let table = Table::default();
    let part = data.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        for part in data.chunks(part) {
            let table = &table;
            scope.spawn(move || {
                let mut input = Input(part);
                for _ in 0..MAX_CALLS {
                    if input.is_empty() {
                        break;
                    }
                    call(table, &mut input);
                }
            });
        }
    });
    table.clear();
    for kind in KINDS {
        assert_stale(kind, table.0[kind as usize][0].load(SeqCst) as Handle);
    }
}

fn urls() -> &'static [CString] {
    static URLS: OnceLock<Vec<CString>> = OnceLock::new();
    URLS.get_or_init(|| {
        let urls = env::var("REDLOCK_TEST_URLS").unwrap_or_default();
        let url = |url: &str| CString::new(url).expect("a URL has no NUL");
        match urls.is_empty() {
            true => vec![url("redis://127.0.0.1:1")],
            false => urls.split(',').map(url).collect(),
        }
    })
}

extern "C" fn listen(_level: i32, message: *const c_char, _data: Handle) {
    // SAFETY: the library passes a text that lives as long as the call.
    assert_presentable(&unsafe { CStr::from_ptr(message) }.to_string_lossy());
}

/// One call, whose number and arguments are in the input.
fn call(table: &Table, input: &mut Input<'_>) {
    let (mut error, mut made): (Handle, Handle) = (null_mut(), null_mut());
    let with_error = input.byte();
    let err: *mut Handle = if with_error.is_multiple_of(8) {
        null_mut()
    } else {
        &mut error
    };
    let out: *mut Handle = if with_error % 16 == 1 {
        null_mut()
    } else {
        &mut made
    };
    let number = input.byte();
    // SAFETY: handles may be any number; texts end with a zero byte; `out` and `err` are NULL or valid.
    let code = unsafe {
        match number % 16 {
            0..=2 => create(table, number, input, out, err),
            3..=6 => block(table, number, input, out, err),
            7..=9 => submit(table, number, input, err),
            10 => take_events(table, input, err),
            11 => release(table, input),
            12 => hold(table, number, input, err),
            13 => look(table, input),
            14 => rare(table, input, err),
            _ => 0,
        }
    };
    let kind = kind_made(number);
    assert!(Status::from_code(code).is_some(), "{code}");
    if code != 0 {
        assert!(made.is_null(), "a failure made a handle");
        assert!(err.is_null() || !error.is_null(), "{code} without an error");
        assert_ne!(code, Status::Internal.code(), "{}", message_of(error));
    } else {
        assert!(error.is_null(), "a success made an error");
    }
    if !error.is_null() {
        read_error(error, code);
        table.put(Kind::Error, error, input);
    }
    if let Some(kind) = kind {
        table.put(kind, made, input);
    }
}

fn kind_made(number: u8) -> Option<Kind> {
    match (number % 16, number / 16 % 4) {
        (0, _) => Some(Kind::Options),
        (1, _) => Some(Kind::Factory),
        (2, 0) => Some(Kind::Holder),
        (2, _) => Some(Kind::Queue),
        (3 | 4, _) => Some(Kind::Lock),
        _ => None,
    }
}

unsafe fn create(
    table: &Table,
    number: u8,
    input: &mut Input<'_>,
    out: *mut Handle,
    err: *mut Handle,
) -> Code {
    // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
    unsafe {
        match kind_made(number) {
            Some(Kind::Options) => {
                let code = redlock_options_new(out, err);
                if code == 0 {
                    for _ in 0..input.byte() % 4 {
                        let (name, value) = (input.one_of(&OPTIONS), input.one_of(&VALUES));
                        redlock_options_set(*out, name.as_ptr(), value.as_ptr(), null_mut());
                    }
                }
                code
            }
            Some(Kind::Factory) => {
                let pointers: Vec<_> = urls().iter().map(|url| url.as_ptr()).collect();
                let pointer = if input.one_in(32) {
                    null()
                } else {
                    pointers.as_ptr()
                };
                redlock_factory_new(
                    pointer,
                    pointers.len(),
                    table.pick(Kind::Options, input),
                    out,
                    err,
                )
            }
            Some(Kind::Holder) => redlock_reentrant_new(
                table.pick(Kind::Factory, input),
                text(input, &RESOURCES),
                input.one_of(&TTLS),
                out,
                err,
            ),
            _ => redlock_queue_new(out, err),
        }
    }
}

/// One of the texts, or NULL.
fn text(input: &mut Input<'_>, texts: &[&'static CStr]) -> *const c_char {
    match input.byte() {
        255 => null(),
        byte => texts[usize::from(byte) % texts.len()].as_ptr(),
    }
}

unsafe fn block(
    table: &Table,
    number: u8,
    input: &mut Input<'_>,
    out: *mut Handle,
    err: *mut Handle,
) -> Code {
    let (ttl, wait) = (input.one_of(&TTLS), input.one_of(&WAITS));
    // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
    unsafe {
        match number % 16 {
            3 => redlock_acquire(
                table.pick(Kind::Factory, input),
                text(input, &RESOURCES),
                ttl,
                wait,
                out,
                err,
            ),
            4 => {
                let resources = [text(input, &RESOURCES), text(input, &RESOURCES)];
                let count = usize::from(input.byte() % 3);
                redlock_acquire_many(
                    table.pick(Kind::Factory, input),
                    resources.as_ptr(),
                    count,
                    ttl,
                    wait,
                    out,
                    err,
                )
            }
            5 if number & 16 == 0 => redlock_release(table.pick(Kind::Lock, input), err),
            5 => redlock_extend(table.pick(Kind::Lock, input), ttl, err),
            _ => {
                let mut locked = -1;
                let is_locked = if input.byte() == 0 {
                    null_mut()
                } else {
                    &mut locked
                };
                let code = redlock_is_locked(
                    table.pick(Kind::Factory, input),
                    text(input, &RESOURCES),
                    is_locked,
                    err,
                );
                assert!(code != 0 || locked == 0 || locked == 1, "{locked}");
                code
            }
        }
    }
}

unsafe fn submit(table: &Table, number: u8, input: &mut Input<'_>, err: *mut Handle) -> Code {
    let (ttl, wait, id) = (
        input.one_of(&TTLS),
        input.one_of(&WAITS),
        u64::from(input.byte()),
    );
    let queue = table.pick(Kind::Queue, input);
    // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
    unsafe {
        match (number % 16, number / 16 % 3) {
            (7, 0) => {
                let resources = [text(input, &RESOURCES), text(input, &RESOURCES)];
                let factory = table.pick(Kind::Factory, input);
                redlock_submit_acquire_many(
                    factory,
                    resources.as_ptr(),
                    2,
                    ttl,
                    wait,
                    queue,
                    id,
                    err,
                )
            }
            (7, _) => redlock_submit_acquire(
                table.pick(Kind::Factory, input),
                text(input, &RESOURCES),
                ttl,
                wait,
                queue,
                id,
                err,
            ),
            (8, 0) => redlock_submit_release(table.pick(Kind::Lock, input), queue, id, err),
            (8, 1) => redlock_submit_extend(table.pick(Kind::Lock, input), ttl, queue, id, err),
            (8, _) => redlock_submit_is_locked(
                table.pick(Kind::Factory, input),
                text(input, &RESOURCES),
                queue,
                id,
                err,
            ),
            (_, 0) => redlock_lock_keep_alive(table.pick(Kind::Lock, input), queue, id, err),
            (_, 1) => redlock_reentrant_keep_alive(table.pick(Kind::Holder, input), queue, id, err),
            (_, _) => redlock_cancel(queue, id, err),
        }
    }
}

unsafe fn take_events(table: &Table, input: &mut Input<'_>, err: *mut Handle) -> Code {
    let empty = Event {
        id: 0,
        status: 0,
        kind: 0,
        lock: null_mut(),
        error: null_mut(),
        rest: [0; 8],
    };
    let (mut events, mut count) = ([empty; 4], usize::MAX);
    let max = usize::from(input.byte() % 5);
    let counter = if input.byte() == 0 {
        null_mut()
    } else {
        &mut count
    };
    let timeout = input.one_of(&[0, 1, 5, -9]);
    let queue = table.pick(Kind::Queue, input);
    let code =
        // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
        unsafe { redlock_queue_next(queue, events.as_mut_ptr(), max, timeout, counter, err) };
    if code == 0 {
        assert!(count <= max, "{count} of {max}");
        for event in &events[..count] {
            assert!(Status::from_code(event.status).is_some());
            assert_eq!(event.error.is_null(), event.status == 0);
            if !event.error.is_null() {
                read_error(event.error, event.status);
            }
            table.put(Kind::Error, event.error, input);
            table.put(Kind::Lock, event.lock, input);
        }
    }
    code
}

fn release(table: &Table, input: &mut Input<'_>) -> Code {
    let kind = input.one_of(&KINDS);
    free(kind, table.pick(kind, input));
    0
}

unsafe fn hold(table: &Table, number: u8, input: &mut Input<'_>, err: *mut Handle) -> Code {
    let holder = table.pick(Kind::Holder, input);
    match number & 16 {
        // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
        0 => unsafe { redlock_reentrant_acquire(holder, input.one_of(&WAITS), err) },
        // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
        _ => unsafe { redlock_reentrant_release(holder, err) },
    }
}

/// What only reads. Texts that another thread may free are not looked into.
unsafe fn look(table: &Table, input: &mut Input<'_>) -> Code {
    let i = input.one_of(&NUMBERS);
    let (lock, error) = (
        table.pick(Kind::Lock, input),
        table.pick(Kind::Error, input),
    );
    let (holder, queue) = (
        table.pick(Kind::Holder, input),
        table.pick(Kind::Queue, input),
    );
    // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
    unsafe {
        redlock_lock_validity_ms(lock);
        redlock_lock_fence(lock);
        redlock_lock_resource(lock);
        redlock_lock_resource_count(lock);
        redlock_lock_resource_at(lock, i);
        redlock_lock_fence_at(lock, i);
        redlock_lock_token(lock);
        redlock_reentrant_count(holder);
        redlock_reentrant_validity_ms(holder);
        redlock_reentrant_fence(holder);
        redlock_queue_fd(queue);
        redlock_error_code(error);
        redlock_error_message(error);
        redlock_error_node_count(error);
        redlock_error_node_address(error, i);
        redlock_error_node_status(error, i);
        redlock_error_node_message(error, i);
        // These texts are the library's own and live as long as it.
        for text in [
            redlock_status_name(i as Code),
            redlock_status_message(i as Code),
            redlock_option_name(i),
            redlock_option_default(i),
            redlock_option_description(i),
        ] {
            assert!(text.is_null() || CStr::from_ptr(text).to_str().is_ok());
        }
        assert!(redlock_option_count() > 0);
    }
    0
}

unsafe fn rare(table: &Table, input: &mut Input<'_>, err: *mut Handle) -> Code {
    let factory = table.pick(Kind::Factory, input);
    // SAFETY: out pointers are NULL or places of ours; what the handles are must not matter.
    unsafe {
        match input.byte() % 8 {
            0 => redlock_factory_trust_nodes(factory, err),
            1 => {
                let callback: LogCallback = if input.one_in(2) { Some(listen) } else { None };
                redlock_log_set(callback, i32::from(input.byte() % 6), null_mut(), err)
            }
            2 => {
                let (name, value) = (text(input, &OPTIONS), text(input, &VALUES));
                redlock_options_set(table.pick(Kind::Options, input), name, value, err)
            }
            3 => {
                redlock_free_at_thread_end();
                0
            }
            _ => {
                let mut report = null_mut();
                let code = redlock_factory_check(factory, &mut report, err);
                assert_eq!(code == 0, !report.is_null());
                redlock_string_free(report);
                code
            }
        }
    }
}

fn message_of(error: Handle) -> String {
    // SAFETY: the error is this thread's own, and NULL where the library was given no place for it.
    unsafe {
        match error.is_null() {
            true => String::new(),
            false => CStr::from_ptr(redlock_error_message(error))
                .to_string_lossy()
                .into_owned(),
        }
    }
}

/// Reads all of an error that no other thread knows yet.
fn read_error(error: Handle, code: Code) {
    assert_presentable(&message_of(error));
    // SAFETY: as above.
    unsafe {
        assert_eq!(redlock_error_code(error), code);
        for i in 0..redlock_error_node_count(error) {
            assert!(Status::from_code(redlock_error_node_status(error, i)).is_some());
            for text in [
                redlock_error_node_address(error, i),
                redlock_error_node_message(error, i),
            ] {
                assert_presentable(&CStr::from_ptr(text).to_string_lossy());
            }
        }
    }
}

/// A handle that was freed is known to be no more.
fn assert_stale(kind: Kind, handle: Handle) {
    // SAFETY: every number may be passed as a handle.
    unsafe {
        match kind {
            Kind::Lock => assert!(redlock_lock_resource(handle).is_null()),
            Kind::Error => assert_eq!(redlock_error_node_count(handle), 0),
            Kind::Queue => assert_eq!(redlock_queue_fd(handle), -1),
            Kind::Holder => assert_eq!(redlock_reentrant_count(handle), 0),
            Kind::Factory => assert_ne!(redlock_factory_trust_nodes(handle, null_mut()), 0),
            Kind::Options => {
                let (name, value) = (c"fair".as_ptr(), c"on".as_ptr());
                assert_ne!(redlock_options_set(handle, name, value, null_mut()), 0);
            }
        }
    }
}
