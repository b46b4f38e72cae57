//! Fences on real masters: each acquire's is larger than that of every one before it, whichever nodes took part.

mod common;
mod stepped_clock;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{BALLOTS, child, eventually, occupy, options_with};
use redlock::{Completion, Factory, Lock, Queue, Status, Wait};
use stepped_clock::SteppedClock;
use testkit::{Cluster, Reply, Server};

const TTL: Duration = Duration::from_secs(20);

fn client<S: AsRef<str>>(urls: &[S], settings: &[(&str, &str)]) -> Factory {
    Factory::with_options(urls, &options_with(settings)).unwrap()
}

fn take_fence(factory: &Factory) -> u64 {
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    let fence = lock.fence();
    lock.release().unwrap();
    fence
}

/// The same set as a client sees it that can't reach one of three nodes: nothing listens on port 1.
fn without(urls: &[String], node: usize) -> Vec<String> {
    let mut urls = urls.to_vec();
    "redis://127.0.0.1:1".clone_into(&mut urls[node]);
    urls
}

/// Which of three nodes is left out, so that the quorums are AB, AB, BC, BC, AC: the order in which the maximum of
/// counters gives 1, 2, 3, 4, 3.
const LEFT_OUT: [usize; 5] = [2, 2, 0, 0, 1];

#[test]
fn fences_rise_from_acquire_to_acquire() {
    let cluster = Cluster::start(5);
    let factory = client(&cluster.urls(), &[]);
    let mut last = 0;
    for _ in 0..500 {
        let fence = take_fence(&factory);
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
}

#[test]
fn fences_rise_over_rotating_quorums_and_factories() {
    let cluster = Cluster::start(3);
    let mut last = 0;
    for round in 0..60 {
        let left_out = LEFT_OUT[round % LEFT_OUT.len()];
        let fence = take_fence(&client(&without(&cluster.urls(), left_out), &[]));
        assert!(fence > last, "round {round}: {fence} after {last}");
        last = fence;
    }
}

#[test]
fn clients_whose_clocks_are_an_hour_apart_share_one_order() {
    let cluster = Cluster::start(3);
    let off_by = |offset| client(&cluster.urls(), &[("ballot_clock_offset_ms", offset)]);
    let clients = [off_by("0"), off_by("3600000"), off_by("-3600000")];
    let mut last = 0;
    for round in 0..90 {
        let fence = take_fence(&clients[round * 7 % 3]);
        assert!(fence > last, "round {round}: {fence} after {last}");
        last = fence;
    }
}

/// One acquire of a process, in nanoseconds of a clock that all processes of the machine share.
struct Acquire {
    began: u64,
    succeeded: u64,
    fence: u64,
}

/// Now, by the clock of the machine that nobody sets.
fn monotonic() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// In a worker's process: takes the lock with one client after the other until standard input ends, and tells when each
/// acquire began and succeeded, and its fence.
fn worker(clients: &[Factory]) {
    let done = AtomicBool::new(false);
    let acquires = std::thread::scope(|scope| {
        let acquires = scope.spawn(|| take_until(&done, clients));
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        done.store(true, Ordering::Relaxed);
        acquires.join().unwrap()
    });
    println!();
    for Acquire {
        began,
        succeeded,
        fence,
    } in acquires
    {
        println!("acquire {began} {succeeded} {fence}");
    }
}

fn take_until(done: &AtomicBool, clients: &[Factory]) -> Vec<Acquire> {
    let mut acquires = Vec::new();
    for client in clients.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let began = monotonic();
        // Its nodes may be those that fail at the moment; then it is the next one's turn.
        let Ok(lock) = client.acquire("r", TTL, Wait::For(Duration::from_millis(100))) else {
            continue;
        };
        acquires.push(Acquire {
            began,
            succeeded: monotonic(),
            fence: lock.fence(),
        });
        println!("\ntaken");
        let _ = lock.release();
    }
    acquires
}

/// Worker processes, and how many locks they have taken together.
struct Workers {
    children: Vec<Child>,
    taken: AtomicUsize,
}

impl Workers {
    /// Starts the worker of this test once for each role, and has `disturb` break things in the meantime.
    fn run(test: &str, roles: &[String], disturb: impl FnOnce(&Workers)) -> Vec<Acquire> {
        let start = |role: &String| {
            let mut command: Command = child::command(test, role);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut workers = Workers {
            children: roles.iter().map(start).collect(),
            taken: AtomicUsize::new(0),
        };
        let (inputs, outputs): (Vec<_>, Vec<_>) = workers
            .children
            .iter_mut()
            .map(|child| (child.stdin.take(), child.stdout.take().unwrap()))
            .unzip();
        let acquires = std::thread::scope(|scope| {
            // Closed, and so the workers ended, also when this fails.
            let inputs = inputs;
            let readers: Vec<_> = outputs
                .into_iter()
                .map(|output| scope.spawn(|| workers.read(output)))
                .collect();
            disturb(&workers);
            drop(inputs);
            readers
                .into_iter()
                .flat_map(|reader| reader.join().unwrap())
                .collect()
        });
        for mut child in workers.children {
            assert!(child.wait().unwrap().success(), "a worker failed");
        }
        acquires
    }

    /// Reads what a worker says to its end.
    fn read(&self, output: ChildStdout) -> Vec<Acquire> {
        let mut acquires = Vec::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut words = line.split(' ');
            match words.next() {
                Some("taken") => drop(self.taken.fetch_add(1, Ordering::Relaxed)),
                Some("acquire") => {
                    let mut number = || words.next().unwrap().parse().unwrap();
                    acquires.push(Acquire {
                        began: number(),
                        succeeded: number(),
                        fence: number(),
                    });
                }
                _ => {}
            }
        }
        acquires
    }

    /// Waits until so many more locks have been taken.
    fn take_more(&self, count: usize) {
        let target = self.taken.load(Ordering::Relaxed) + count;
        eventually("more locks to be taken", || {
            self.taken.load(Ordering::Relaxed) >= target
        });
    }
}

/// No two fences are equal, and an acquire that began after another had succeeded has the larger one.
fn check_order(mut acquires: Vec<Acquire>) {
    let mut fences: Vec<_> = acquires.iter().map(|it| it.fence).collect();
    fences.sort_unstable();
    assert!(
        fences.windows(2).all(|pair| pair[0] < pair[1]),
        "not unique"
    );
    let mut ends: Vec<_> = acquires.iter().map(|it| (it.succeeded, it.fence)).collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    acquires.sort_unstable_by_key(|it| it.began);
    let mut highest = 0;
    for acquire in acquires {
        while let Some((_, fence)) = ends.next_if(|(end, _)| *end < acquire.began) {
            highest = highest.max(fence);
        }
        assert!(acquire.fence > highest, "{} after {highest}", acquire.fence);
    }
}

fn random(below: usize) -> usize {
    // Each RandomState has keys of its own, which makes it the standard library's source of random numbers.
    let number = RandomState::new().build_hasher().finish();
    usize::try_from(number % below as u64).unwrap()
}

/// How a node fails without forgetting anything.
fn fail_for_a_while(server: &Server, meanwhile: impl FnOnce()) {
    match random(4) {
        0 => {
            server.kill();
            meanwhile();
            server.restart();
        }
        1 => {
            server.stop();
            meanwhile();
            server.cont();
        }
        2 => {
            server.command(&["CLIENT", "KILL", "USER", "default"]).ok();
            meanwhile();
        }
        _ => {
            server.command(&["SCRIPT", "FLUSH"]).ok();
            meanwhile();
        }
    }
}

#[test]
fn fences_of_many_processes_are_in_order_over_rotating_quorums_and_failing_nodes() {
    if let Some(role) = child::role() {
        let urls: Vec<_> = role.split(' ').map(str::to_owned).collect();
        let hasty = |urls: &[String]| {
            let times = [("node_timeout_ms", "100"), ("connect_timeout_ms", "500")];
            client(urls, &times)
        };
        let mut clients: Vec<_> = LEFT_OUT
            .iter()
            .map(|node| hasty(&without(&urls, *node)))
            .collect();
        clients.push(hasty(&urls));
        return worker(&clients);
    }
    let cluster = Cluster::start_with(3, |server| server.persistent());
    let roles = vec![cluster.urls().join(" "); 4];
    let acquires = Workers::run(
        "fences_of_many_processes_are_in_order_over_rotating_quorums_and_failing_nodes",
        &roles,
        |workers| {
            workers.take_more(300);
            for _ in 0..12 {
                fail_for_a_while(&cluster[random(3)], || workers.take_more(20));
                workers.take_more(100);
            }
            workers.take_more(600);
        },
    );
    assert!(acquires.len() >= 2_000, "{}", acquires.len());
    check_order(acquires);
}

#[test]
fn fences_of_processes_whose_clocks_are_hours_apart_are_in_order() {
    if let Some(role) = child::role() {
        let (offset, urls) = role.split_once(' ').unwrap();
        let urls: Vec<_> = urls.split(' ').collect();
        return worker(&[client(&urls, &[("ballot_clock_offset_ms", offset)])]);
    }
    let cluster = Cluster::start(3);
    let role = |offset: &str| format!("{offset} {}", cluster.urls().join(" "));
    let roles = ["0", "3600000", "-3600000", "7200000"].map(role);
    let acquires = Workers::run(
        "fences_of_processes_whose_clocks_are_hours_apart_are_in_order",
        &roles,
        |workers| workers.take_more(1_500),
    );
    assert!(acquires.len() >= 1_500);
    check_order(acquires);
}

/// With fences the first proposal is nearly always a good one, also right after other clients' locks.
#[test]
fn an_acquire_without_contention_asks_each_node_once() {
    let cluster = Cluster::start(3);
    let clients = [client(&cluster.urls(), &[]), client(&cluster.urls(), &[])];
    clients.iter().for_each(common::all_connected);
    for round in 0..200 {
        take_fence(&clients[round % 2]);
    }
    eventually("the last release to be carried out", || {
        cluster.keys_holding("r") == 0
    });
    for server in cluster.iter() {
        // One acquire and one release each time; a few more until the clients' ideas of the nodes' time are the same.
        let calls = ["set", "evalsha"].map(|command| common::calls(server, command));
        let sound = calls.iter().all(|calls| (200..220).contains(calls));
        assert!(sound, "{calls:?} acquires and releases");
    }
}

/// Other clients have taken these resources, or some that share their cells, with higher ballots than ours will be, on the
/// first nodes.
fn accepted_ahead(cluster: &Cluster, nodes: usize, ahead_us: u64) -> u64 {
    let ballot = node::now(&cluster[0]) + ahead_us;
    for server in cluster.iter().take(nodes) {
        for cell in CELLS {
            server.command(&["ZADD", BALLOTS, &ballot.to_string(), cell]);
        }
    }
    ballot
}

#[test]
fn ballots_that_are_too_low_are_proposed_again_also_those_of_the_same_batch() {
    let cluster = Cluster::start(3);
    let factory = client(&cluster.urls(), &[]);
    common::all_connected(&factory);
    let queue = Queue::new().unwrap();
    for round in 0..20 {
        let ahead = accepted_ahead(&cluster, cluster.len(), 500_000);
        let names: Vec<_> = (0..30).map(|number| format!("other:{number}")).collect();
        let names = names.iter().map(String::as_str).chain(["r", "s"]);
        for (id, name) in (0..).zip(names) {
            factory
                .submit_acquire(name, TTL, Wait::No, &queue, id)
                .unwrap();
        }
        let mut events = Vec::new();
        for _ in 0..32 {
            queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
            let Some(event) = events.pop() else {
                panic!("round {round}: an acquire has not ended");
            };
            let Completion::Acquired(lock) = event.result.unwrap() else {
                panic!("no lock");
            };
            assert!(event.id < 30 || lock.fence() > ahead);
            lock.release().unwrap();
        }
        eventually("all to be free", || common::no_locks(&cluster));
    }
}

#[test]
fn a_ballot_that_some_refuse_is_proposed_again_while_another_node_hangs() {
    let cluster = Cluster::start(5);
    // A wait for the node that hangs would not end in time.
    let factory = client(&cluster.urls(), &[("node_timeout_ms", "120000")]);
    common::all_connected(&factory);
    take_fence(&factory);
    cluster[4].stop();
    accepted_ahead(&cluster, 2, 500_000);
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 0)
        .unwrap();
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    let event = events
        .pop()
        .expect("an end before the node has to be given up");
    assert!(matches!(event.result, Ok(Completion::Acquired(_))));
    cluster[4].cont();
}

/// What a node last said of its time is old then, and its own clock has to be asked.
#[test]
fn fences_rise_over_rests_that_are_longer_than_a_ballot_may_be_ahead() {
    let cluster = Cluster::start(3);
    let factory = client(&cluster.urls(), &[]);
    let mut last = take_fence(&factory);
    for _ in 0..2 {
        let began = node::now(&cluster[0]);
        eventually("a rest", || node::now(&cluster[0]) > began + 1_500_000);
        let fence = take_fence(&factory);
        assert!(fence > began && fence > last, "{fence} after {last}");
        last = fence;
    }
}

#[test]
fn one_node_whose_clock_is_an_hour_off_changes_nothing() {
    let Some(clock) = SteppedClock::new() else {
        return;
    };
    for ahead in [3600, -3600] {
        clock.show(ahead);
        let odd = clock.of(Server::builder()).start();
        let others = Cluster::start(2);
        let urls = [odd.url(), others[0].url(), others[1].url()];
        let factory = client(&urls, &[]);
        common::all_connected(&factory);
        let fences: Vec<_> = (0..50).map(|_| take_fence(&factory)).collect();
        assert!(fences.is_sorted_by(|one, next| one < next));
    }
}

/// Two nodes whose clocks are an hour apart can't agree on a fence. That is said, and not that somebody has the lock.
#[test]
fn a_quorum_of_nodes_whose_clocks_are_apart_is_named_as_such() {
    let Some(clock) = SteppedClock::new() else {
        return;
    };
    let nodes = [
        clock.of(Server::builder()).start(),
        Server::builder().start(),
    ];
    let urls = [nodes[0].url(), nodes[1].url()];
    let factory = client(&urls, &[]);
    common::all_connected(&factory);
    take_fence(&factory);
    clock.set(&nodes[0], 3600);
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    let words = "no ballot was acceptable to 2 of 2 nodes: their clocks differ by more than a second; synchronise them, or set fencing=off";
    assert!(error.message().contains(words), "{error:?}");
    eventually("what was taken to be given back", || {
        nodes.iter().all(|node| !node.holds("r"))
    });
    let plain = client(&urls, &[("fencing", "off")]);
    plain.acquire("r", TTL, Wait::Forever).unwrap();
    clock.set(&nodes[0], 0);
}

/// A node whose clock was a year ahead for a while, and is right again: it keeps a ballot that nobody can exceed.
fn remembers_a_year_ahead(server: &Server, cell: &str) {
    const YEAR_US: u64 = 31_536_000_000_000;
    let time = server.command(&["TIME"]);
    let seconds: u64 = time.elements()[0].text().parse().unwrap();
    let ballot = (seconds * 1_000_000 + YEAR_US).to_string();
    server
        .command(&["ZADD", "libredlock:ballots", &ballot, cell])
        .ok();
}

#[test]
fn a_ballot_far_ahead_of_its_node_s_clock_is_named_with_the_remedy() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.release().unwrap();
    // The only one with a ballot so far.
    let cell = cluster[0]
        .command(&["ZRANGE", "libredlock:ballots", "-1", "-1"])
        .elements()[0]
        .text();
    remembers_a_year_ahead(&cluster[0], &cell);
    // With all nodes there it changes nothing.
    let held = factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
    held.release().unwrap();
    let named = |text: &str| {
        let parts = [
            "fence lies 3153",
            "ahead of its own clock",
            "without its data",
        ];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("clocks differ"), "{text}");
    };
    let nodes = factory.check().unwrap();
    named(&nodes[0].to_string());
    assert!(nodes[0].ballot_ahead.is_some());
    assert!(nodes[1].ballot_ahead.is_none() && nodes[2].ballot_ahead.is_none());

    cluster[1].kill();
    common::trouble(&factory, 1, "");
    for factory in [
        &factory,
        &Factory::with_options(&cluster.urls(), &common::options()).unwrap(),
    ] {
        let mut error = None;
        eventually("the acquire to fail for that", || {
            error = factory.acquire("r", TTL, Wait::No).err();
            error
                .as_ref()
                .is_some_and(|it| it.message().contains("acceptable to 2 of 3"))
        });
        let error = error.unwrap();
        assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
        named(error.message());
        assert!(error.message().contains(&cluster[0].address()), "{error}");
    }
    // Other resources are not affected, and the remedy helps.
    let other = factory.acquire("another", TTL, Wait::For(TTL)).unwrap();
    other.release().unwrap();
    cluster[0].restart_empty();
    let healed = factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
    healed.release().unwrap();
    eventually("the node to be connected", || {
        factory.check().unwrap()[0].version.is_some()
    });
    assert!(factory.check().unwrap()[0].ballot_ahead.is_none());
}

/// Their locks exclude each other where their keys are the same; their fences do not compare.
#[test]
fn a_check_tells_of_fences_of_other_prefixes() {
    let cluster = Cluster::start(3);
    let plain = client(&cluster.urls(), &[]);
    let prefixed = client(&cluster.urls(), &[("key_prefix", "app:")]);
    let lock = plain.acquire("app:r", TTL, Wait::No).unwrap();
    let error = prefixed.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Contended, "{error:?}");
    lock.release().unwrap();
    cluster.command_all(&["DEL", "app:libredlock:ballots"]);
    assert!(plain.check().unwrap()[0].other_ballots.is_empty());
    prefixed
        .acquire("r", TTL, Wait::For(TTL))
        .unwrap()
        .release()
        .unwrap();
    for factory in [&plain, &prefixed] {
        eventually("each node to tell of the other prefix", || {
            let nodes = factory.check().unwrap();
            nodes.iter().all(|node| {
                node.other_ballots.len() == 1 && node.to_string().contains("key_prefix")
            })
        });
    }
}

/// A check shows what is known of a node that hangs, and does not hang with it.
#[test]
fn a_check_ends_although_a_node_hangs_and_whatever_a_user_may_not_ask() {
    let rules = "app on >secret ~* &* +@all -scan -zrange";
    let cluster = Cluster::start_with(3, |server| server.acl_user(rules));
    let urls: Vec<_> = cluster
        .iter()
        .map(|server| server.url_as("app", "secret"))
        .collect();
    let factory = client(&urls, &[]);
    common::all_connected(&factory);
    cluster[2].stop();
    let nodes = factory.check().unwrap();
    cluster[2].cont();
    assert!(nodes.iter().all(|node| node.report.status == Status::Ok));
    assert!(nodes.iter().all(|node| node.other_ballots.is_empty()));
}

#[test]
fn without_fencing_a_lock_is_a_plain_key_and_has_no_fence() {
    let server = Server::builder().start();
    let factory = client(&[server.url()], &[("fencing", "off")]);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    assert_eq!(lock.fence(), 0);
    assert_eq!(server.command(&["DBSIZE"]).integer(), 1);
}

/// The cells of the resources r and s among the highest ballots.
const CELLS: [&str; 2] = ["7893", "3828"];

/// The highest ballot that the server has accepted for r.
fn highest(server: &Server) -> Option<u64> {
    match server.command(&["ZSCORE", BALLOTS, CELLS[0]]) {
        Reply::Nil => None,
        score => Some(score.text().parse().unwrap()),
    }
}

#[test]
fn a_fence_is_remembered_for_a_day_after_the_last_grant() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let server = Server::builder().start();
    for _ in 0..2 {
        let fence = take_fence(&client(&[server.url()], &[]));
        assert_eq!(highest(&server), Some(fence));
        let left = server.command(&["PTTL", BALLOTS]).integer();
        // A second more, because a client that goes on taking locks says so only once in a second.
        assert!(
            (DAY_MS - 3_600_000..=DAY_MS + 1_000).contains(&left),
            "{left}"
        );
        // The next grant makes it a day again.
        server.command(&["PEXPIRE", BALLOTS, "1000000"]).ok();
    }
}

/// How many resources are used once: a million takes a debug build too long.
const MANY: u64 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

#[test]
fn resources_that_were_used_once_leave_nothing_behind_after_the_retention() {
    let server = Server::builder().start();
    let factory = client(&[server.url()], &[("ballot_retention_ms", "5000")]);
    let queue = Queue::new().unwrap();
    let submit = |id: u64| {
        let resource = format!("resource:{id}");
        let taken = factory.submit_acquire(&resource, TTL, Wait::Forever, &queue, id);
        taken.unwrap();
    };
    (0..1_000).for_each(submit);
    let (mut next, mut released, mut events) = (1_000, 0, Vec::new());
    while released < MANY {
        queue
            .next(&mut events, 1_000, Some(common::PATIENCE))
            .unwrap();
        for event in events.drain(..) {
            match event.result.unwrap() {
                Completion::Acquired(lock) => lock.submit_release(&queue, event.id).unwrap(),
                _ => {
                    released += 1;
                    if next < MANY {
                        submit(next);
                        next += 1;
                    }
                }
            }
        }
    }
    assert!(common::calls(&server, "set") >= MANY);
    let cells = server.command(&["ZCARD", BALLOTS]).integer();
    assert!(cells <= (1 << 14) + 1, "{cells} highest ballots");
    eventually("all keys to be gone", || {
        server.command(&["DBSIZE"]).integer() == 0
    });
}

/// A fence that all nodes have forgotten is exceeded by the next one, because time has passed; whose clock shows, the
/// client's that was ahead, does not matter.
#[test]
fn fences_rise_also_when_nodes_have_forgotten_them() {
    let cluster = Cluster::start(3);
    let ahead = ("ballot_clock_offset_ms", "3600000");
    let mut last = take_fence(&client(&cluster.urls(), &[ahead]));
    for _ in 0..2 {
        let seconds = || {
            let time = cluster[0].command(&["TIME"]);
            time.elements()[0].text().parse::<u64>().unwrap()
        };
        // As much as a node's clock lets a ballot be ahead, and behind, and something on top: what the guard waits for.
        let before = seconds();
        eventually("three seconds to pass", || seconds() > before + 3);
        cluster.command_all(&["FLUSHALL"]);
        let fence = take_fence(&client(&cluster.urls(), &[]));
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
}

/// The scripts, asked by hand: what a node does with a message that is repeated, late or of a wild client.
mod node {
    use super::*;

    /// A script with the function that it calls.
    macro_rules! script {
        ($name:literal) => {
            concat!(
                include_str!("../src/scripts/accept.lua"),
                include_str!(concat!("../src/scripts/", $name))
            )
        };
    }
    const ACQUIRE: &str = script!("acquire.lua");
    const ACQUIRE_MANY: &str = script!("acquire_many.lua");
    const RETENTION: &str = "100000";

    fn ask(server: &Server, script: &str, token: &str, ballot: u64) -> Reply {
        let (keys, cells): (&[_], &[_]) = match script == ACQUIRE {
            true => (&["2", "r", BALLOTS], &CELLS[..1]),
            false => (&["3", "r", "s", BALLOTS], &CELLS),
        };
        let arguments = [token, "20000", &ballot.to_string(), RETENTION];
        let words = [&["EVAL", script], keys, &arguments, cells].concat();
        server.command(&words).ok()
    }

    fn accepted(server: &Server, ballot: u64) {
        let ballot = ballot.to_string();
        server.command(&["ZADD", BALLOTS, &ballot, CELLS[0]]).ok();
    }

    pub(super) fn now(server: &Server) -> u64 {
        let time = server.command(&["TIME"]);
        let part = |index: usize| time.elements()[index].text().parse::<u64>().unwrap();
        part(0) * 1_000_000 + part(1)
    }

    fn free(server: &Server) {
        server.command(&["DEL", "r", "s"]).ok();
    }

    fn with_each(test: impl Fn(&Server, &dyn Fn(&str, u64) -> i64)) {
        for script in [ACQUIRE, ACQUIRE_MANY] {
            let server = Server::builder().start();
            test(&server, &|token, ballot| {
                ask(&server, script, token, ballot).integer()
            });
        }
    }

    #[test]
    fn a_message_that_comes_twice_takes_nothing_after_the_release() {
        with_each(|server, ask| {
            let ballot = now(server);
            assert_eq!(ask("one", ballot), 0);
            free(server);
            assert!(ask("one", ballot) > ballot.cast_signed());
            assert!(!server.holds("r"));
        });
    }

    #[test]
    fn a_ballot_that_is_too_low_takes_the_lock_and_is_not_accepted() {
        with_each(|server, ask| {
            let ballot = now(server);
            assert_eq!(ask("one", ballot), 0);
            free(server);
            let needed = ask("two", ballot - 1);
            assert!(needed > ballot.cast_signed());
            assert_eq!(server.command(&["GET", "r"]).text(), "two");
            assert_eq!(highest(server), Some(ballot));
            // The same attempt proposes again, and is heard.
            assert_eq!(ask("two", needed.cast_unsigned()), 0);
            assert_eq!(highest(server), Some(needed.cast_unsigned()));
        });
    }

    #[test]
    fn a_wild_ballot_is_not_accepted_and_changes_nothing() {
        with_each(|server, ask| {
            for wild in [1, now(server) - 3_600_000_000, now(server) + 3_600_000_000] {
                let needed = ask("wild", wild).cast_unsigned();
                assert!(needed.abs_diff(now(server)) < 60_000_000, "{needed}");
                assert_eq!(highest(server), None);
                free(server);
            }
            assert_eq!(ask("sane", now(server)), 0);
        });
    }

    /// The clock was set back since: a ballot goes on by single steps, and never down.
    #[test]
    fn a_ballot_ahead_of_the_clock_is_only_exceeded_by_one() {
        with_each(|server, ask| {
            let ahead = now(server) + 3_600_000_000;
            accepted(server, ahead);
            assert_eq!(ask("low", now(server)), ahead.cast_signed() + 1);
            free(server);
            assert_eq!(ask("wild", ahead + 2), ahead.cast_signed() + 1);
            free(server);
            assert_eq!(ask("next", ahead + 1), 0);
        });
    }

    #[test]
    fn a_lock_of_another_owner_is_refused_with_the_time_that_is_left() {
        with_each(|server, ask| {
            occupy(server, "r");
            let left = -2 - ask("one", now(server));
            assert!((1..=1_000_000).contains(&left), "{left}");
            assert!(!server.holds("s"));
            // One that never runs out.
            server.command(&["PERSIST", "r"]).ok();
            assert_eq!(ask("one", now(server)), -1);
            assert_eq!(highest(server), None);
        });
    }
}

/// The example of a storage that refuses a writer whose lock has run out, with a process that is stopped and goes on.
#[test]
fn a_paused_writer_is_refused_by_its_storage() {
    let cluster = Cluster::start(3);
    let mut example = Command::new(env!("CARGO"));
    example
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["run", "--quiet", "--example", "fenced_storage", "--"])
        .args(cluster.urls());
    let output = example.output().unwrap();
    let said = child::said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("REFUSED"), "{said}");
}

#[test]
fn several_resources_are_locked_together_or_not_at_all() {
    let cluster = Cluster::start(3);
    let factory = client(&cluster.urls(), &[]);
    let both: Lock = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    assert_eq!(both.resources().collect::<Vec<_>>(), ["a", "b"]);
    assert!(factory.acquire("b", TTL, Wait::No).is_err());
    assert!(factory.acquire_many(&["c", "a"], TTL, Wait::No).is_err());
    assert!(!factory.is_locked("c").unwrap());
    both.release().unwrap();
    let again = factory.acquire_many(&["b", "a"], TTL, Wait::No).unwrap();
    assert!(again.fence() > both.fence());
}
