//! Child processes that cannot outlive the test process, and that can be stopped and continued.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::wait::wait_until;

/// How long a signal may take to show its effect.
const PATIENCE: Duration = Duration::from_secs(10);

struct Request {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// Starts `command` so that the kernel kills it when this process ends, in a process group of its own so that a Ctrl-C
/// at the terminal does not reach it.
///
/// The kernel does so when the *thread* that started the child ends, not the process; test threads are short-lived, so
/// one thread that lives as long as the process starts all children.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions are called: prctl, getppid, _exit.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
    let (answer, child) = channel();
    spawner()
        .send(Request { command, answer })
        .expect("the spawning thread lives as long as the process");
    child
        .recv()
        .expect("the spawning thread answers every request")
}

/// Runs in the child: asks for SIGKILL when the parent ends, and ends at once if it has ended already.
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: plain system calls on integers.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::getppid() as u32 != parent {
            libc::_exit(1);
        }
    }
    Ok(())
}

fn spawner() -> Sender<Request> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let start = || {
        let (sender, requests) = channel::<Request>();
        let run = move || {
            for mut request in requests {
                // Whoever asked may be gone; the child is then dropped, and killed with this process.
                let _ = request.answer.send(request.command.spawn());
            }
        };
        std::thread::Builder::new()
            .name("testkit-spawn".into())
            .spawn(run)
            .expect("a thread can be started");
        sender
    };
    SPAWNER.get_or_init(start).clone()
}

/// Stops a process with SIGSTOP and waits until it stands still.
pub(crate) fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    wait_until(PATIENCE, &format!("process {pid} to stop"), || {
        state(pid) == Some('T')
    });
}

/// Lets a stopped process go on, and waits until it does.
pub(crate) fn cont(pid: u32) {
    signal(pid, libc::SIGCONT);
    wait_until(PATIENCE, &format!("process {pid} to go on"), || {
        state(pid) != Some('T')
    });
}

/// Sends a signal to a process that this one started and has not reaped.
pub(crate) fn signal(pid: u32, signal: i32) {
    let pid = libc::pid_t::try_from(pid).expect("a process id fits into pid_t");
    // SAFETY: kill takes two integers.
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(
        result,
        0,
        "cannot send signal {signal} to process {pid}: {}",
        io::Error::last_os_error()
    );
}

/// The state letter that the kernel shows for a process: R, S, T, Z and so on; None when there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may hold anything, so the third is found after the last parenthesis.
    stat.rsplit_once(") ")?.1.chars().next()
}
