//! The descriptors that the library has open: a forked child closes them, and one that the application has closed behind
//! the library's back, and that may be a file of its own by now, is left alone.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// What a slot has instead of a descriptor.
const FREE: RawFd = -1;
const BEING_FILLED: RawFd = -2;

/// Slots that come in one piece.
const PIECE: usize = 64;

/// The table is readable in a forked child, where another thread may have been at work on it: it has no lock, and its
/// pieces are never freed.
static TABLE: Piece = Piece::new();

struct Piece {
    slots: [Slot; PIECE],
    next: AtomicPtr<Piece>,
}

struct Slot {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    has_mark: AtomicBool,
    /// A forked child keeps its copy open.
    stays: AtomicBool,
    /// How often the slot was filled or emptied: one that has changed hands is not its former owner's to empty.
    changes: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has an inode of its own.
    Plain,
    /// It has not, but a mark.
    Marked,
    /// It has an inode of its own, and a forked child keeps its copy.
    StaysInChild,
}

/// What tells a file from others that got the same number later.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// Descriptors without an inode of their own, such as those of epoll, carry a mark: the signal that they would raise if
/// they were asked to raise any, which nobody changes otherwise.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod mark {
    use std::os::fd::RawFd;

    const F_SETSIG: libc::c_int = 10;
    const F_GETSIG: libc::c_int = 11;
    const MARK: libc::c_int = libc::SIGURG;

    pub(super) fn set(fd: RawFd) -> bool {
        // SAFETY: no pointers.
        unsafe { libc::fcntl(fd, F_SETSIG, MARK) == 0 }
    }

    pub(super) fn is_set(fd: RawFd) -> bool {
        // SAFETY: no pointers; allowed in a forked child.
        unsafe { libc::fcntl(fd, F_GETSIG) == MARK }
    }
}

/// Elsewhere children do not inherit such descriptors (kqueue).
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod mark {
    use std::os::fd::RawFd;

    pub(super) fn set(_: RawFd) -> bool {
        false
    }

    pub(super) fn is_set(_: RawFd) -> bool {
        true
    }
}

impl Piece {
    const fn new() -> Piece {
        Piece {
            slots: [const { Slot::new() }; PIECE],
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The next piece, if there is one.
    fn next(&self) -> Option<&'static Piece> {
        // SAFETY: a piece that was published is never freed.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// The next piece, which is made if need be.
    fn next_or_new(&self) -> &'static Piece {
        if let Some(next) = self.next() {
            return next;
        }
        let fresh = Box::into_raw(Box::new(Piece::new()));
        let published =
            self.next
                .compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        match published {
            // SAFETY: it was published just now and is never freed.
            Ok(_) => unsafe { &*fresh },
            Err(other) => {
                // SAFETY: it was not published, so it is still this thread's alone; the other one is never freed.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*other
                }
            }
        }
    }
}

impl Slot {
    const fn new() -> Slot {
        Slot {
            fd: AtomicI32::new(FREE),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
            has_mark: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        }
    }

    /// Makes the slot this thread's, if it is free.
    fn take(&self) -> bool {
        let taken =
            self.fd
                .compare_exchange(FREE, BEING_FILLED, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    }

    /// Gives the number of this change.
    fn fill(&self, fd: RawFd, identity: Identity, kind: Kind) -> u64 {
        self.device.store(identity.device, Ordering::Relaxed);
        self.inode.store(identity.inode, Ordering::Relaxed);
        self.has_mark.store(kind == Kind::Marked, Ordering::Relaxed);
        self.stays
            .store(kind == Kind::StaysInChild, Ordering::Relaxed);
        let change = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        self.fd.store(fd, Ordering::Release);
        change
    }

    fn empty(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.fd.store(FREE, Ordering::Release);
    }

    /// Whether the number still means the file that it meant when the slot was filled. Allowed in a forked child.
    fn is_ours(&self) -> bool {
        let fd = self.fd.load(Ordering::Acquire);
        let known = Identity {
            device: self.device.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
        };
        match self.has_mark.load(Ordering::Relaxed) {
            true => fd >= 0 && mark::is_set(fd),
            false => fd >= 0 && identify(fd) == Some(known),
        }
    }
}

/// Allowed in a forked child.
fn identify(fd: RawFd) -> Option<Identity> {
    // SAFETY: all zeroes is a valid stat, which lives through the call.
    let (code, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &mut stat), stat)
    };
    // Their types differ from system to system.
    #[allow(clippy::unnecessary_cast)]
    (code == 0).then_some(Identity {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
    })
}

/// Empties the slots that have this number.
fn forget(fd: RawFd) {
    let mut piece = Some(&TABLE);
    while let Some(it) = piece {
        let has_it = |slot: &&Slot| slot.fd.load(Ordering::Acquire) == fd;
        it.slots.iter().filter(has_it).for_each(Slot::empty);
        piece = it.next();
    }
}

fn free_slot() -> &'static Slot {
    let mut piece = &TABLE;
    loop {
        if let Some(slot) = piece.slots.iter().find(|slot| slot.take()) {
            return slot;
        }
        piece = piece.next_or_new();
    }
}

/// In a forked child: closes what its parent had open. The child's own engine opens its own.
pub(crate) fn close_inherited() {
    let mut piece = Some(&TABLE);
    while let Some(it) = piece {
        for slot in &it.slots {
            if slot.stays.load(Ordering::Relaxed) {
                continue;
            }
            if slot.is_ours() {
                // SAFETY: it is the library's, and nothing in this process uses it.
                unsafe { libc::close(slot.fd.load(Ordering::Relaxed)) };
            }
            slot.empty();
        }
        piece = it.next();
    }
}

/// A file of the library's, of which a forked child closes its copy. Dropping it closes the descriptor, unless that has
/// become another's.
#[derive(Debug)]
pub(crate) struct Ours<T: AsRawFd> {
    file: ManuallyDrop<T>,
    entry: Entry,
}

impl<T: AsRawFd> Ours<T> {
    /// A file with an inode of its own: a socket, a pipe.
    pub(crate) fn new(file: T) -> Ours<T> {
        Ours::of_kind(file, Kind::Plain)
    }

    /// A file with an inode of its own, of which a forked child keeps its copy.
    pub(crate) fn that_stays_in_child(file: T) -> Ours<T> {
        Ours::of_kind(file, Kind::StaysInChild)
    }

    /// A file without an inode of its own, such as that of epoll.
    pub(crate) fn anonymous(file: T) -> Ours<T> {
        match mark::set(file.as_raw_fd()) {
            true => Ours::of_kind(file, Kind::Marked),
            false => Ours::of_kind(file, Kind::Plain),
        }
    }

    fn of_kind(file: T, kind: Kind) -> Ours<T> {
        let entry = Entry::new(file.as_raw_fd(), kind);
        Ours {
            file: ManuallyDrop::new(file),
            entry,
        }
    }

    /// Whether the descriptor is still this file's: the application may have closed it, and opened something else.
    pub(crate) fn is_ours(&self) -> bool {
        self.entry.is_current() && self.entry.slot.is_ours()
    }
}

impl<T: AsRawFd> Deref for Ours<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.file
    }
}

impl<T: AsRawFd> DerefMut for Ours<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.file
    }
}

impl<T: AsRawFd> Drop for Ours<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: the file is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// A place in the table, which is free again when this is dropped.
struct Entry {
    slot: &'static Slot,
    change: u64,
}

impl Entry {
    fn new(fd: RawFd, kind: Kind) -> Entry {
        let slot = free_slot();
        let nothing = Identity {
            device: 0,
            inode: 0,
        };
        // Whatever else had this number was closed by the application.
        forget(fd);
        let change = slot.fill(fd, identify(fd).unwrap_or(nothing), kind);
        Entry { slot, change }
    }

    /// False in a forked child, for what its parent had open.
    fn is_current(&self) -> bool {
        self.slot.changes.load(Ordering::Relaxed) == self.change
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.slot.fd.load(Ordering::Relaxed).fmt(f)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_current() {
            self.slot.empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    use super::*;

    fn is_open(fd: RawFd) -> bool {
        // SAFETY: no pointers.
        unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
    }

    #[test]
    fn a_file_of_ours_is_closed_when_it_is_dropped() {
        let (read, write) = std::io::pipe().unwrap();
        let (read, write) = (Ours::new(read), Ours::new(write));
        assert!(read.is_ours() && write.is_ours());
        drop(write);
        // The end of the pipe tells that nobody has the other side open.
        let mut text = String::new();
        read.try_clone().unwrap().read_to_string(&mut text).unwrap();
    }

    #[test]
    fn a_number_that_means_another_file_by_now_is_not_closed() {
        let (read, _write) = std::io::pipe().unwrap();
        let ours = Ours::new(read);
        let fd = ours.as_raw_fd();
        let other = File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: the number is that of `ours`, whose file nobody uses any more.
        unsafe { libc::dup2(other, fd) };
        assert!(!ours.is_ours());
        drop(ours);
        assert!(is_open(fd));
        // SAFETY: both are this test's.
        unsafe { (libc::close(fd), libc::close(other)) };
    }

    #[test]
    fn there_is_room_for_any_number_of_files() {
        let files: Vec<_> = (0..3 * PIECE)
            .map(|_| Ours::new(File::open("/dev/null").unwrap()))
            .collect();
        assert!(files.iter().all(Ours::is_ours));
    }
}
