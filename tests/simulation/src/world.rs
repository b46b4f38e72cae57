//! The world: clients, nodes, and a network between them, in virtual time.

mod links;
mod trouble;
mod work;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::hash::Hasher;
use std::rc::Rc;

use redlock::Options;
use rustc_hash::{FxHashMap, FxHasher};

use crate::Nanos;
use crate::client::{Action, Client, Connection, Library};
use crate::faults::{self, Fault, Kind};
use crate::judges::Judges;
use crate::mutant::Mutant;
use crate::node::{Clock, Interpreter, Node, Settings, User, Version};
use crate::other::Other;
use crate::profile::Profile;
use crate::random::Random;

use links::Link;
use work::Worker;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MS;
/// 2026-01-01, in us since 1970: when the run begins.
const BEGIN_US: u64 = 1_767_225_600_000_000;
/// The longest TTL of a run.
pub const MAX_TTL_MS: u64 = 6_000;
/// What a client says of its own keys that it leaves: the records of a queue, for a minute; then nothing.
const CLEAN_AFTER: Nanos = 75 * SECOND;

/// What is to happen at a time.
#[derive(Debug)]
enum Event {
    /// A connection is made, or fails.
    Connected(usize),
    /// Bytes come to a node, or to a client.
    ToNode(usize, Vec<u8>),
    ToClient(usize, Vec<u8>),
    /// The other end has closed the connection, or (false) it is broken.
    ClosedToNode(usize),
    ClosedToClient(usize, bool),
    /// A client is woken.
    Timer(usize, u32, Nanos),
    /// A worker goes on.
    Step(usize, u32, usize),
    /// An operation is cancelled.
    Cancel(usize, u32, u64),
    /// A lock's validity was to end.
    Validity(usize, u32, u64),
    /// A fault begins, or is over.
    Fault(usize),
    NodeContinues(usize),
    NodeComesUp(usize, bool),
    NodeRemembersMemory(usize),
    ClientContinues(usize, u32),
    /// No operation is begun any more.
    Quiet,
    /// The run is over.
    End,
}

struct Scheduled {
    at: Nanos,
    order: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A node and the machine that it runs on.
struct Host {
    node: Node,
    /// Its connections.
    links: FxHashMap<u64, usize>,
    is_stopped: bool,
    /// What came while it stood still.
    inbox: VecDeque<(usize, Vec<u8>)>,
    is_down: bool,
    refuses_until: Nanos,
    silent_until: Nanos,
    slow_until: Nanos,
    slowness: Nanos,
    boots: u32,
}

/// A process that takes locks.
struct Program {
    client: Box<dyn Client>,
    incarnation: u32,
    random: Random,
    prefix: &'static str,
    /// What is put before the names of resources.
    name_prefix: &'static str,
    is_fair: bool,
    /// Whether it can take several locks at once.
    takes_several: bool,
    workers: Vec<Worker>,
    /// Which worker began an operation.
    operations: FxHashMap<u64, usize>,
    links: FxHashMap<Connection, usize>,
    paused_until: Nanos,
    /// When it stood still last, for how long.
    last_pause: Nanos,
    inbox: VecDeque<Event>,
    timer: Option<Nanos>,
    wall_offset_us: i64,
}

/// How a run is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What decides everything.
    pub seed: u64,
    /// The assumptions.
    pub profile: Profile,
    /// Which of the faults that were drawn happen; all without this.
    pub faults: Option<Vec<usize>>,
    /// A rule that is broken on purpose.
    pub mutant: Option<Mutant>,
    /// Whether all that happens is printed.
    pub is_loud: bool,
}

/// What a run was.
#[derive(Debug)]
pub struct Report {
    /// What the judges found and counted.
    pub judges: Judges,
    /// A digest of all that happened.
    pub trace: u64,
    /// How long it was, in virtual time.
    pub simulated: Nanos,
    /// How many commands the nodes executed.
    pub commands: u64,
    /// The faults that happened, by their place.
    pub faults: Vec<(usize, Fault)>,
}

/// The world.
pub struct World {
    now: Nanos,
    plan: Plan,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    random: Random,
    hosts: Vec<Host>,
    programs: Vec<Program>,
    links: Vec<Link>,
    delays: Vec<Vec<Nanos>>,
    faults: Vec<Fault>,
    happened: Vec<usize>,
    judges: Judges,
    last_id: u64,
    is_quiet: bool,
    trace: FxHasher,
    resources: usize,
    commands_of_former_boots: u64,
    /// The TTLs of acquires under way.
    ttls: FxHashMap<u64, Nanos>,
}

/// Runs a plan to its end, or to the first violation.
///
/// The interpreter is that of the plan's mutant, see [`Mutant::interpreter`].
pub fn run(plan: &Plan, interpreter: &Rc<Interpreter>) -> Report {
    let mut world = World::new(plan.clone(), interpreter);
    world.run();
    world.report()
}

impl World {
    fn new(plan: Plan, interpreter: &Rc<Interpreter>) -> World {
        let mut random = Random::new(plan.seed);
        let nodes = *random.pick(&[1, 3, 3, 3, 5]);
        let clients = random.between(2, 5) as usize;
        let faults = faults::draw(&mut random, plan.profile, nodes, clients);
        let version = *random.pick(&Version::ALL);
        let base = *random.pick(&[50_000, 200_000, 1_000_000, 5_000_000]);
        let delay = |random: &mut Random| base + random.below(base);
        let delays = (0..clients)
            .map(|_| (0..nodes).map(|_| delay(&mut random)).collect())
            .collect();
        let resources = random.between(1, 4) as usize;
        let mut world = World {
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            hosts: Vec::new(),
            programs: Vec::new(),
            links: Vec::new(),
            delays,
            faults,
            happened: Vec::new(),
            judges: Judges::new(plan.profile == Profile::Calm),
            last_id: 0,
            is_quiet: false,
            trace: FxHasher::default(),
            resources,
            commands_of_former_boots: 0,
            ttls: FxHashMap::default(),
            random,
            plan,
        };
        for _ in 0..nodes {
            world.add_node(version, interpreter);
        }
        for client in 0..clients {
            world.add_program(client);
        }
        world.plan_faults();
        world
    }

    fn add_node(&mut self, version: Version, interpreter: &Rc<Interpreter>) {
        let wrong_by = match self.plan.profile.has_wrong_clocks() {
            true => self.random.below(500_000),
            false => self.random.below(20_000),
        };
        let clock = Clock::new(0, BEGIN_US + wrong_by);
        let run_id = self.random.hexadecimal(40);
        let mut settings = Settings::new(version);
        // The server lets it end no connection: what is still on its way arrives.
        let limited = User {
            name: "limited".to_owned(),
            password: Some("secret".to_owned()),
            denied: BTreeSet::from(["client|kill"]),
            ..User::default()
        };
        settings
            .users
            .insert("limited".to_owned(), Rc::new(limited));
        let mut node = Node::new(interpreter, settings, run_id, clock, 0);
        // It has been up for a day.
        node.state_mut().started_us -= 86_400_000_000;
        self.hosts.push(Host {
            node,
            links: FxHashMap::default(),
            is_stopped: false,
            inbox: VecDeque::new(),
            is_down: false,
            refuses_until: 0,
            silent_until: 0,
            slow_until: 0,
            slowness: 0,
            boots: 0,
        });
    }

    fn add_program(&mut self, client: usize) {
        let seed = self.random.number();
        let mut random = Random::new(seed);
        let workers = random.between(1, 3) as usize;
        let mut program = self.program(0, random);
        program.workers = (0..workers).map(|_| Worker::default()).collect();
        self.programs.push(program);
        for worker in 0..workers {
            let at = self.random.below(50 * MS);
            self.schedule(at, Event::Step(client, 0, worker));
        }
        self.drain(client);
    }

    /// The options of a client: the same for all, but in a mixed fleet.
    fn program(&mut self, incarnation: u32, mut random: Random) -> Program {
        let is_mixed = self.plan.profile.is_mixed();
        let mut options = Options::new();
        let mut set =
            |name: &str, value: &str| options.set(name, value).expect("the option is allowed");
        set("max_ttl_ms", &MAX_TTL_MS.to_string());
        let guard = self.plan.mutant.map_or("strict", Mutant::restart_guard);
        set("restart_guard", guard);
        let (mut prefix, mut name_prefix, mut is_fair) = ("", "app:", true);
        if is_mixed {
            if random.per_mille(300) {
                (prefix, name_prefix) = ("app:", "");
                set("key_prefix", prefix);
            }
            if random.per_mille(300) {
                is_fair = false;
                set("fair", "off");
            }
            if random.per_mille(200) {
                set("fencing", "off");
            }
        }
        let resp2 = is_mixed && random.per_mille(300);
        let names: Vec<String> = (0..self.hosts.len())
            .map(|node| format!("node{node}"))
            .collect();
        let name = random.hexadecimal(40);
        let seed = random.number();
        let is_other = is_mixed && random.per_mille(200);
        let is_limited = self.plan.profile != Profile::Calm && random.per_mille(300);
        let user = is_limited.then_some("limited");
        let wall_offset_us = match self.plan.profile == Profile::Calm {
            true => BEGIN_US as i64,
            // A client's wall clock matters to nobody.
            false => BEGIN_US as i64 + random.below(20_000_000) as i64 - 10_000_000,
        };
        let client: Box<dyn Client> = match is_other {
            true => {
                // Without the prefix it needs the whole name.
                (prefix, name_prefix) = ("", "app:");
                Box::new(Other::new(self.now, seed, self.hosts.len()))
            }
            false => Box::new(Library::new(
                self.now, seed, &name, &names, &options, resp2, user,
            )),
        };
        Program {
            client,
            incarnation,
            random,
            prefix,
            name_prefix,
            is_fair: is_fair && !is_other && !resp2,
            takes_several: !is_other,
            workers: Vec::new(),
            operations: FxHashMap::default(),
            links: FxHashMap::default(),
            paused_until: 0,
            last_pause: 0,
            inbox: VecDeque::new(),
            timer: None,
            wall_offset_us,
        }
    }

    fn plan_faults(&mut self) {
        let kept = self.plan.faults.clone();
        for place in 0..self.faults.len() {
            if kept.as_ref().is_none_or(|kept| kept.contains(&place)) {
                self.schedule(self.faults[place].at, Event::Fault(place));
            }
        }
        self.schedule(self.plan.profile.duration(), Event::Quiet);
    }

    fn schedule(&mut self, at: Nanos, event: Event) {
        self.order += 1;
        let order = self.order;
        let at = at.max(self.now);
        self.queue.push(Reverse(Scheduled { at, order, event }));
    }

    fn run(&mut self) {
        let mut since_purge = 0;
        while let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() {
            self.now = at;
            self.note(&event);
            if matches!(event, Event::End) {
                break;
            }
            self.happen(event);
            since_purge += 1;
            if since_purge == 20_000 {
                since_purge = 0;
                self.hosts
                    .iter_mut()
                    .for_each(|host| host.node.state_mut().purge());
            }
            if !self.judges.violations.is_empty() {
                return;
            }
        }
        let left = self.left();
        self.judges.finish(self.now, &left);
    }

    /// Puts an event into the digest, and perhaps on the screen.
    fn note(&mut self, event: &Event) {
        self.trace.write_u64(self.now);
        match event {
            Event::ToNode(link, bytes) | Event::ToClient(link, bytes) => {
                self.trace.write_usize(*link);
                self.trace.write(bytes);
            }
            Event::Connected(it) | Event::Fault(it) => self.trace.write_usize(*it),
            _ => {}
        }
        if self.plan.is_loud {
            self.print(event);
        }
    }

    fn print(&self, event: &Event) {
        let time = format!("{:>6}.{:06}", self.now / MS, self.now % MS);
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace("\r\n", " ");
            let short: String = text.chars().take(300).collect();
            short
        };
        match event {
            Event::ToNode(link, bytes) => {
                let at = &self.links[*link];
                println!(
                    "{time} c{} -> n{} #{link}: {}",
                    at.client,
                    at.node,
                    text(bytes)
                );
            }
            Event::ToClient(link, bytes) => {
                let at = &self.links[*link];
                println!(
                    "{time} c{} <- n{} #{link}: {}",
                    at.client,
                    at.node,
                    text(bytes)
                );
            }
            Event::Connected(link) | Event::ClosedToNode(link) | Event::ClosedToClient(link, _) => {
                let at = &self.links[*link];
                println!("{time} c{} -- n{} #{link}: {event:?}", at.client, at.node);
            }
            Event::Fault(place) => println!("{time} FAULT {:?}", self.faults[*place]),
            Event::Timer(..) | Event::Validity(..) => {}
            other => println!("{time} {other:?}"),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connected(link) => self.make_connection(link),
            Event::ToNode(link, bytes) => self.bytes_to_node(link, bytes),
            Event::ToClient(link, _) | Event::ClosedToClient(link, _) => {
                self.deliver_to_client(link, event)
            }
            Event::ClosedToNode(link) => self.closed_to_node(link),
            Event::Timer(client, incarnation, at) => {
                let program = &mut self.programs[client];
                let is_due = program.incarnation == incarnation && program.timer == Some(at);
                if is_due && program.paused_until <= self.now {
                    program.timer = None;
                    program.client.timeout(self.now);
                    self.drain(client);
                }
            }
            Event::Step(client, incarnation, worker) => {
                let program = &mut self.programs[client];
                if program.incarnation != incarnation {
                } else if program.paused_until > self.now {
                    program.inbox.push_back(event);
                } else {
                    self.step(client, worker);
                    self.drain(client);
                }
            }
            Event::Cancel(client, incarnation, id) => {
                let program = &mut self.programs[client];
                if program.incarnation == incarnation && program.paused_until <= self.now {
                    program.client.cancel(self.now, id);
                    self.drain(client);
                }
            }
            Event::Validity(client, incarnation, id) => self.validity(client, incarnation, id),
            Event::Fault(place) => self.fault(place),
            Event::NodeContinues(node) => self.node_continues(node),
            Event::NodeComesUp(node, keeps_data) => self.node_comes_up(node, keeps_data),
            Event::NodeRemembersMemory(node) => {
                self.hosts[node].node.state_mut().settings.memory_full = false;
            }
            Event::ClientContinues(client, incarnation) => {
                self.client_continues(client, incarnation)
            }
            Event::Quiet => self.be_quiet(),
            Event::End => {}
        }
    }

    /// Does what a client wants done.
    fn drain(&mut self, client: usize) {
        loop {
            let actions = self.programs[client].client.poll();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.act(client, action);
            }
        }
        self.look_at_locks(client);
        let program = &mut self.programs[client];
        let deadline = program.client.deadline();
        if deadline != program.timer {
            program.timer = deadline;
            let incarnation = program.incarnation;
            if let Some(at) = deadline {
                self.schedule(at, Event::Timer(client, incarnation, at));
            }
        }
    }

    fn act(&mut self, client: usize, action: Action) {
        if self.plan.is_loud && !matches!(action, Action::Send(..)) {
            println!(
                "{:>6}.{:06} c{client}: {action:?}",
                self.now / MS,
                self.now % MS
            );
        }
        match action {
            Action::Connect(at) => self.connect(client, at),
            Action::Disconnect(at) => self.disconnect(client, at),
            Action::Send(at, bytes) => self.send(client, at, bytes),
            Action::Done(id, ended) => self.done(client, id, ended),
            Action::Lost(id) => self.judges.lost(id),
            Action::Log(_) => {}
        }
    }

    /// All heals, and what is held is given back; then it is seen what is left.
    fn be_quiet(&mut self) {
        self.is_quiet = true;
        self.heal();
        for client in 0..self.programs.len() {
            let incarnation = self.programs[client].incarnation;
            for worker in 0..self.programs[client].workers.len() {
                self.schedule(self.now + MS, Event::Step(client, incarnation, worker));
            }
        }
        self.schedule(self.now + CLEAN_AFTER, Event::End);
    }

    /// The keys on the nodes that should not be there any more.
    fn left(&mut self) -> Vec<String> {
        let now = self.now;
        let mut left = Vec::new();
        for (place, host) in self.hosts.iter_mut().enumerate() {
            for (key, _) in host.node.live_keys(now, 0) {
                let key = String::from_utf8_lossy(&key).into_owned();
                if !key.ends_with("libredlock:ballots") {
                    left.push(format!("{key} on node {place}"));
                }
            }
        }
        left
    }

    fn report(self) -> Report {
        let present: u64 = self
            .hosts
            .iter()
            .map(|host| host.node.state().commands)
            .sum();
        let faults = self
            .happened
            .iter()
            .map(|place| (*place, self.faults[*place].clone()));
        Report {
            trace: self.trace.finish(),
            simulated: self.now,
            commands: self.commands_of_former_boots + present,
            faults: faults.collect(),
            judges: self.judges,
        }
    }
}
