//! What the scenarios share: their bounds, and how one is run.

use std::panic::{self, UnwindSafe};
use std::time::Duration;

use hostile::{Client, Relay, relay};
use testkit::Server;

/// The most memory that a process with the library may take, whatever a server sends, in KiB. Unoptimised and at rest it takes
/// some 15,000.
pub const MOST_MEMORY_KIB: u64 = 64 * 1024;
/// How many bytes a flood has, at most: so many that they are seen in the memory if they are kept.
pub const FLOOD: usize = 256 << 20;
/// How long anything may take that is bound to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Options under which time limits are short.
pub const HASTY: &str = "connect_timeout_ms=300,node_timeout_ms=200";
/// The same, and locks without fences.
pub const HASTY_UNFENCED: &str = "connect_timeout_ms=300,node_timeout_ms=200,fencing=off";

/// Runs a scenario, and says how it is run again if it fails.
pub fn run(name: &str, scenario: impl FnOnce() + UnwindSafe) {
    if let Err(failure) = panic::catch_unwind(scenario) {
        eprintln!("run it alone: cargo test -p hostile --test scenarios -- --exact {name}");
        panic::resume_unwind(failure);
    }
}

/// A process with the library.
pub fn client() -> Client {
    Client::start(env!("CARGO_BIN_EXE_hostile-client"))
}

/// Waits for what is bound to happen.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    testkit::wait_until(PATIENCE, what, condition);
}

/// A server on which another owner holds the resource `r`.
pub fn occupied() -> Server {
    let server = Server::builder().start();
    occupy(&server);
    server
}

/// Has another owner hold the resource `r`, one with a token such as the library's.
pub fn occupy(server: &Server) {
    let token = "0123456789".repeat(4);
    server.command(&["SET", "r", &token, "PX", "10000000"]).ok();
}

/// How many requests a set-up with these options has.
pub fn set_up_length(server: &Server, options: &str) -> usize {
    let (relay, client) = (Relay::to(server, relay::pass), client());
    client.call(&format!("open f {options} {}", relay.url()));
    eventually("the node to be connected", || {
        client.call("check f").starts_with("REDLOCK_OK ")
    });
    // The last one is what a check asks of a node that is connected.
    relay.requests() - 1
}

/// The outcome of a whole life of a factory with this one node: the status of the first attempt, and whether any was granted.
pub fn session(client: &Client, options: &str, url: &str) -> (String, bool) {
    let answer = client.call(&format!("session {options} r {url}"));
    let words: Vec<&str> = answer.split(' ').collect();
    (words[0].to_owned(), words[1] == "granted")
}

/// Fails if the process ever took more memory than it may, panicked or died.
pub fn is_modest(client: &Client) {
    client.is_sound();
    let peak = client.peak_kib();
    println!("peak memory {peak} KiB");
    assert!(
        peak <= MOST_MEMORY_KIB,
        "it took {peak} KiB, at most {MOST_MEMORY_KIB} are allowed"
    );
}

/// Locks that are taken and released on a sound server, by another factory of the same process: nothing may disturb them.
pub struct Bystander {
    _server: Server,
    work: hostile::client::Asked,
}

impl Bystander {
    /// Begins.
    pub fn start(client: &Client) -> Bystander {
        let server = Server::builder().start();
        // Nothing is to time out because the machine is busy.
        let options = "connect_timeout_ms=20000,node_timeout_ms=20000";
        client.call(&format!("open bystander {options} {}", server.url()));
        let lock = "acquire bystander first 100000 20000";
        assert!(client.call(lock).starts_with("granted"));
        Bystander {
            _server: server,
            work: client.ask("work bystander w"),
        }
    }

    /// Ends it, and fails if anything went wrong.
    pub fn ends_undisturbed(self, client: &Client) {
        client.call("stop");
        let answer = client.answer(self.work);
        let worked = matches!(&answer, hostile::Answer::Text(text) if text.starts_with("worked "));
        assert!(
            worked,
            "another factory was disturbed: {answer:?}; {}",
            client.says()
        );
    }
}
