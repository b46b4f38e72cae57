//! The command `testkit`: real Redis servers for a program in any language, for as long as it runs.

mod options;
mod signals;

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

use options::{Action, Options};
use testkit::Cluster;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("testkit: {message}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    signals::catch();
    let cluster = Cluster::start_with(options.count, |builder| options.configure(builder));
    match options.action {
        Action::Run(command) => run(&cluster, &command),
        Action::Serve => serve(&cluster),
    }
}

/// Runs the command among the servers and passes its exit code on, as a shell does.
fn run(cluster: &Cluster, words: &[String]) -> ExitCode {
    if signals::caught() != 0 {
        return exit_code_of_signal(signals::caught());
    }
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env("REDLOCK_TEST_URLS", cluster.urls().join(","))
        .env("REDLOCK_TEST_PIDS", pids(cluster));
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("testkit: cannot run {}: {error}", words[0]);
            return ExitCode::from(127);
        }
    };
    signals::forward_to(child.id());
    let status = child.wait().expect("the command can be waited for");
    signals::forward_to(0);
    exit_code(status)
}

/// Prints the servers' URLs, one a line, and keeps them until standard input ends or a signal comes.
fn serve(cluster: &Cluster) -> ExitCode {
    let urls: String = cluster
        .urls()
        .iter()
        .map(|url| format!("{url}\n"))
        .collect();
    let written = io::stdout()
        .write_all(urls.as_bytes())
        .and_then(|()| io::stdout().flush());
    if written.is_ok() {
        signals::wait_for_end_of_input();
    }
    match signals::caught() {
        0 => ExitCode::SUCCESS,
        signal => exit_code_of_signal(signal),
    }
}

fn pids(cluster: &Cluster) -> String {
    let pids: Vec<String> = cluster
        .iter()
        .map(|server| server.pid().to_string())
        .collect();
    pids.join(",")
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        (None, Some(signal)) => exit_code_of_signal(signal),
        (None, None) => ExitCode::FAILURE,
    }
}

fn exit_code_of_signal(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))
}
