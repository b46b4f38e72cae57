//! The command `testkit` hands servers to a program and passes its exit code on.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const TESTKIT: &str = env!("CARGO_BIN_EXE_testkit");
const PATIENCE: Duration = Duration::from_secs(10);

fn is_open(url: &str) -> bool {
    TcpStream::connect(url.trim_start_matches("redis://")).is_ok()
}

#[test]
fn run_sets_the_environment_and_passes_the_exit_code_on() {
    let script = "echo $REDLOCK_TEST_URLS; kill -0 ${REDLOCK_TEST_PIDS%%,*} && exit 7";
    let output = Command::new(TESTKIT)
        .args(["run", "-n", "2", "--", "sh", "-c", script])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8(output.stdout).expect("URLs are text");
    let urls: Vec<&str> = text.trim().split(',').collect();
    assert_eq!(urls.len(), 2, "{text:?}");
    assert!(!urls.iter().any(|url| is_open(url)), "the servers are gone");
}

#[test]
fn a_signal_ends_the_command_and_the_servers() {
    let script = "echo $REDLOCK_TEST_URLS; exec sleep 100";
    let mut child = Command::new(TESTKIT)
        .args(["run", "-n", "1", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped"))
        .read_line(&mut line)
        .expect("a line");
    assert!(is_open(line.trim()));
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: kill takes two integers; the child is not reaped yet.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    assert_eq!(
        child.wait().expect("it ends").code(),
        Some(128 + libc::SIGTERM)
    );
    assert!(!is_open(line.trim()));
}

#[test]
fn serve_ends_with_its_input() {
    let mut child = Command::new(TESTKIT)
        .args(["serve", "-n", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let urls: Vec<String> = output
        .lines()
        .take(2)
        .map(|line| line.expect("a line"))
        .collect();
    assert!(urls.iter().all(|url| is_open(url)));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(!urls.iter().any(|url| is_open(url)));
}

#[test]
fn servers_die_with_a_process_that_is_killed() {
    let mut child = Command::new(TESTKIT)
        .args(["serve", "-n", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped"))
        .read_line(&mut line)
        .expect("a line");
    assert!(is_open(line.trim()));
    child.kill().expect("a child can be killed");
    child.wait().expect("it ends");
    testkit::wait_until(PATIENCE, "the server to die", || !is_open(line.trim()));
    let leftover = std::env::temp_dir().join(format!("testkit-{}-0", child.id()));
    std::fs::remove_dir_all(leftover).expect("a killed process leaves its servers' directories");
}

#[test]
fn a_wrong_command_line_is_explained() {
    for arguments in [
        &[][..],
        &["run"],
        &["run", "-n"],
        &["run", "-n", "x", "true"],
        &["serve", "more"],
        &["walk"],
    ] {
        let output = Command::new(TESTKIT)
            .args(arguments)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("usage: testkit run"),
            "{arguments:?}"
        );
    }
}
