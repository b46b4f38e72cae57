//! Dialogues that were recorded with a real server, damaged at random: no panic, no hang, no abort, and no grant that the server
//! did not give.
//!
//! `HOSTILE_SESSIONS=20000` runs as many sessions; `HOSTILE_SEED=7` runs one, and `HOSTILE_SEED=7+` begins there.
//! `HOSTILE_RECORD=1` records the dialogues anew, which a change of the set-up or of the scripts may ask for.

use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hostile::dialogue::Recording;
use hostile::mutation::{Plan, Random};
use hostile::{Answer, Client, Dialogue, Relay, Replay, oracle};
use testkit::Server;

use crate::common::{client, is_modest, occupy};

/// How many sessions are run unless more are asked for.
const SESSIONS: u64 = 1_200;
/// How many are under way at once. Most of them wait.
const AT_ONCE: usize = 12;
/// Time limits such that a session that misses a reply is over soon.
const LIMITS: &str = "connect_timeout_ms=60,node_timeout_ms=20";

/// A dialogue: its name, the options that it is held with, the resources that are asked for, and whether another owner holds
/// the first of them.
struct Setting {
    name: &'static str,
    options: &'static str,
    resources: &'static str,
    held: bool,
}

const SETTINGS: [Setting; 8] = [
    setting("granted", "fencing=on", "r", false),
    setting("held", "fencing=on", "r", true),
    setting("granted-unfenced", "fencing=off", "r", false),
    setting("held-unfenced", "fencing=off", "r", true),
    setting("held-unfair", "fencing=off,fair=off", "r", true),
    setting("held-resp2", "fencing=on,protocol=resp2", "r", true),
    setting("granted-many", "fencing=on", "r+s+t", false),
    setting("held-many", "fencing=off", "r+s+t", true),
];

const fn setting(
    name: &'static str,
    options: &'static str,
    resources: &'static str,
    held: bool,
) -> Setting {
    Setting {
        name,
        options,
        resources,
        held,
    }
}

/// Seeds of sessions that once went wrong.
const FOUND: [u64; 0] = [];

/// Without damage a replayed dialogue ends as the recorded one did, so those in the repository are still the library's own.
pub fn a_dialogue_is_replayed() {
    if std::env::var_os("HOSTILE_RECORD").is_some() {
        SETTINGS.iter().for_each(record);
    }
    let (client, replay) = (client(), Replay::start());
    for setting in &SETTINGS {
        replay.begin(&Arc::new(Dialogue::read(setting.name)), Plan::none());
        // Nothing is to time out because the machine is busy.
        let outcome = client.call(&request(setting, setting.options, &replay.url()));
        let expected = if setting.held {
            "REDLOCK_ERR_CONTENDED refused"
        } else {
            "REDLOCK_OK granted"
        };
        assert!(
            outcome.starts_with(expected),
            "{}: {outcome}; HOSTILE_RECORD=1 records it anew",
            setting.name
        );
        assert_eq!(
            oracle::granted(&replay.tapes()),
            !setting.held,
            "{}",
            setting.name
        );
    }
    client.is_sound();
}

/// What the client is told to do.
fn request(setting: &Setting, options: &str, url: &str) -> String {
    format!("session {options} {} {url}", setting.resources)
}

fn record(setting: &Setting) {
    let server = Server::builder().start();
    if setting.held {
        occupy(&server);
    }
    let recording = Recording::default();
    let relay = Relay::to(&server, {
        let recording = recording.clone();
        move |exchange, peer| {
            recording.add(exchange.words, &without_paths(exchange.reply));
            hostile::relay::pass(exchange, peer)
        }
    });
    let client = client();
    client.call(&request(setting, setting.options, &relay.url()));
    recording.dialogue().write(setting.name);
}

/// The text of INFO without what tells of the machine; other replies as they are.
fn without_paths(reply: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(reply);
    let Some((_, text)) = text.split_once("# Server\r\n") else {
        return reply.to_vec();
    };
    let tells = |line: &&str| {
        let fields = [
            "os:",
            "executable:",
            "config_file:",
            "process_id:",
            "total_system_memory",
        ];
        !fields.iter().any(|field| line.starts_with(field))
    };
    let lines: Vec<&str> = text.trim_end().lines().filter(tells).collect();
    let text = format!("# Server\r\n{}\r\n", lines.join("\r\n"));
    hostile::wire::bulk_string(text.as_bytes())
}

pub fn damaged_dialogues_do_no_harm() {
    let seeds = match std::env::var("HOSTILE_SEED").ok() {
        Some(text) => match text.strip_suffix('+') {
            Some(first) => from(first.parse().expect("a seed")),
            None => {
                let seed = text.parse().expect("a seed");
                seed..seed + 1
            }
        },
        None => from(fresh_seed()),
    };
    println!("seeds {seeds:?}");
    run_all(seeds);
}

pub fn damage_that_once_did_harm_does_none() {
    for seed in FOUND {
        run_all(seed..seed + 1);
    }
}

fn from(first: u64) -> Range<u64> {
    let count = std::env::var("HOSTILE_SESSIONS").ok();
    let count = count.map_or(SESSIONS, |text| text.parse().expect("a number of sessions"));
    first..first + count
}

/// Another for each run.
fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is set").as_secs() << 20
}

/// What the sessions have in common.
struct Run {
    dialogues: Vec<Arc<Dialogue>>,
    seeds: Range<u64>,
    next: AtomicU64,
    /// A session has failed: no more are begun.
    failed: AtomicBool,
    failures: Mutex<Vec<String>>,
    under_way: Mutex<Vec<u64>>,
    slowest_us: AtomicU64,
    granted: AtomicU64,
}

fn run_all(seeds: Range<u64>) {
    let client = client();
    let run = Run {
        dialogues: SETTINGS
            .iter()
            .map(|setting| Arc::new(Dialogue::read(setting.name)))
            .collect(),
        next: AtomicU64::new(seeds.start),
        seeds,
        failed: AtomicBool::new(false),
        failures: Mutex::default(),
        under_way: Mutex::default(),
        slowest_us: AtomicU64::new(0),
        granted: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| run.work(&client));
        }
    });
    let done = run.next.load(Ordering::SeqCst).min(run.seeds.end) - run.seeds.start;
    println!(
        "{done} sessions, {} with a grant, slowest call {} us, peak memory {} KiB",
        run.granted.load(Ordering::SeqCst),
        run.slowest_us.load(Ordering::SeqCst),
        client.peak_kib()
    );
    let failures = run.failures.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    is_modest(&client);
}

impl Run {
    fn work(&self, client: &Client) {
        let replay = Replay::start();
        while !self.failed.load(Ordering::SeqCst) {
            let seed = self.next.fetch_add(1, Ordering::SeqCst);
            if seed >= self.seeds.end {
                return;
            }
            lock(&self.under_way).push(seed);
            self.session(client, &replay, seed);
            lock(&self.under_way).retain(|other| *other != seed);
        }
    }

    fn session(&self, client: &Client, replay: &Replay, seed: u64) {
        let mut random = Random::new(seed);
        let which = random.below(SETTINGS.len());
        let dialogue = &self.dialogues[which];
        let plan = Plan::new(&mut random, dialogue.exchanges.len());
        replay.begin(dialogue, plan.clone());
        let options = format!("{LIMITS},{}", SETTINGS[which].options);
        let request = request(&SETTINGS[which], &options, &replay.url());
        let answer = client.answer(client.ask(&request));
        let what = match answer {
            Answer::Died => "the process died".to_owned(),
            Answer::Hangs => "a call does not return".to_owned(),
            Answer::Text(answer) => match self.judge(&answer, replay) {
                None if client.panics().is_empty() => return,
                None => format!("a panic: {}", client.panics()[0]),
                Some(defect) => defect,
            },
        };
        let suspects = match what.contains("granted") || what.contains("return") {
            true => vec![seed],
            // Whichever of them it was.
            false => lock(&self.under_way).clone(),
        };
        self.fail(
            &format!("{what}, in {}: {plan:?}", SETTINGS[which].name),
            &suspects,
        );
    }

    /// What is wrong with how a session ended.
    fn judge(&self, answer: &str, replay: &Replay) -> Option<String> {
        let words: Vec<&str> = answer.split(' ').collect();
        let slowest = words[2].parse().expect("a time in us");
        self.slowest_us.fetch_max(slowest, Ordering::SeqCst);
        if words[0] == "REDLOCK_ERR_INTERNAL" {
            return Some("an internal error".to_owned());
        }
        if words[1] != "granted" {
            return None;
        }
        self.granted.fetch_add(1, Ordering::SeqCst);
        let tapes = replay.tapes();
        if oracle::granted(&tapes) {
            return None;
        }
        let mut defect = "the library was granted what no server granted".to_owned();
        for tape in tapes {
            let names: Vec<_> = tape
                .requests
                .iter()
                .map(|words| hostile::wire::name(words))
                .collect();
            let sent = tape.sent.escape_ascii().to_string();
            let _ = write!(
                defect,
                "\n  requests {names:?}\n  sent ...{}",
                &sent[sent.len().saturating_sub(900)..]
            );
        }
        Some(defect)
    }

    fn fail(&self, what: &str, suspects: &[u64]) {
        if self.failed.swap(true, Ordering::SeqCst) && !what.contains("granted") {
            return;
        }
        let mut text = what.to_owned();
        for seed in suspects {
            let _ = write!(
                text,
                "\n  HOSTILE_SEED={seed} cargo test -p hostile --test scenarios -- --exact damaged_dialogues_do_no_harm"
            );
        }
        lock(&self.failures).push(text);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
