//! Parts of a test that need a process of their own: the test's program is run again for one test, in a role.

use std::ffi::OsString;
use std::process::{Command, Output};

use testkit::Cluster;

const ROLE: &str = "REDLOCK_TEST_ROLE";

/// The role that this process was started in; `None` in the test itself.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The command that runs the named test of this program again, in a role.
pub fn command(test: &str, role: &str) -> Command {
    let mut words = words(test).into_iter();
    let mut command = Command::new(words.next().expect("the program comes first"));
    command.args(words).env(ROLE, role);
    command
}

/// The same behind a wrapper such as `scripts/in-netns`, which gets it as its arguments.
pub fn command_within(wrapper: &[&str], test: &str, role: &str) -> Command {
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .args(words(test))
        .env(ROLE, role);
    command
}

fn words(test: &str) -> Vec<OsString> {
    let program = std::env::current_exe().expect("a process knows its program");
    let mut words = vec![program.into_os_string()];
    words.extend(["--exact", test, "--nocapture", "--test-threads=1"].map(OsString::from));
    words
}

/// Runs it to its end, and fails with what it said if it failed, or did not run exactly one test.
pub fn succeeds(mut command: Command) {
    let output = command.output().expect("the test's program can be run");
    assert!(
        output.status.success() && said(&output).contains("1 passed"),
        "a part of this test failed ({}):\n{}",
        output.status,
        said(&output)
    );
}

/// Runs the named test again with the servers' URLs as its role, and fails if it does: for tests that need a process of
/// their own.
pub fn run_alone(test: &str, cluster: &Cluster) {
    succeeds(command(test, &cluster.urls().join(",")));
}

/// The servers' URLs in the role that [`run_alone`] gives.
pub fn urls(role: &str) -> Vec<String> {
    role.split(',').map(str::to_owned).collect()
}

/// All that it wrote.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
