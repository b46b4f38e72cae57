//! The fuzzers without a fuzzer: every target with the committed corpus and with random mutations of it, on any toolchain.
//!
//! `REDLOCK_FUZZ_SECONDS` says for how long (1 by default), and `REDLOCK_FUZZ_SEED` repeats a run. What made a target fail is left
//! in `target/fuzz`; the last test tries it again.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::Cluster;

use super::{TARGETS, run};

/// The longest input that is made, in bytes.
const MAX_LENGTH: usize = 4096;

/// What random bytes hit upon rarely.
const TOKENS: [&[u8]; 28] = [
    b"\r\n",
    b"\0",
    b"*1\r\n",
    b"$-1\r\n",
    b"%2\r\n",
    b">3\r\n$7\r\nmessage\r\n",
    b"|1\r\n",
    b":0\r\n",
    b"+OK\r\n",
    b"-ERR ",
    b"-NOSCRIPT ",
    b"_\r\n",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"run_id:",
    b"redis://",
    b"unix:///",
    b"?pass=",
    b"&",
    b"@",
    b"#",
    b"%2F",
    b"\\x41",
    b"\\u{41}",
    b"\xc3\xa4",
    b"\xe2\x80\xae",
    b"86400000",
];

/// A small generator (SplitMix64) whose runs can be repeated by their seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_of<'a, T: AsRef<[u8]>>(&mut self, choices: &'a [T]) -> &'a [u8] {
        choices[self.below(choices.len())].as_ref()
    }
}

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = random.one_of(corpus).to_vec();
    for _ in 0..=random.below(8) {
        mutate(&mut data, corpus, random);
    }
    data.truncate(MAX_LENGTH);
    data
}

fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(data.len() + 1);
    let end = (at + random.below(32)).min(data.len());
    match random.below(7) {
        0 if at < data.len() => data[at] ^= 1 << random.below(8),
        1 if at < data.len() => data[at] = random.next() as u8,
        2 => drop(data.drain(at..end)),
        3 => {
            let part = data[at..end].to_vec();
            data.splice(end..end, part);
        }
        4 => {
            let other = random.one_of(corpus);
            let from = random.below(other.len() + 1);
            data.splice(at..end, other[from..].iter().copied());
        }
        5 => {
            let bytes: Vec<u8> = (0..random.below(16)).map(|_| random.next() as u8).collect();
            data.splice(at..at, bytes);
        }
        _ => {
            let token = random.one_of(&TOKENS);
            data.splice(at..at, token.iter().copied());
        }
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn seconds() -> u64 {
    number("REDLOCK_FUZZ_SECONDS").unwrap_or(1)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Where the input is kept that is being tried; it stays there if the process dies of it.
fn kept(target: &str) -> PathBuf {
    let folder = env::var_os("CARGO_TARGET_DIR")
        .map_or(root().join("target"), PathBuf::from)
        .join("fuzz");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{target}-{}", std::process::id()))
}

/// Tries the corpus and what is made of it, until time is over. With `beforehand`, each input is kept before it is tried,
/// for targets that may end the process.
fn soak(target: &str, beforehand: bool) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("REDLOCK_FUZZ_SEED").unwrap_or(now.as_nanos() as u64);
    let end = Instant::now() + Duration::from_secs(seconds());
    let (corpus, mut random, kept) = (corpus(target), Random(seed), kept(target));
    let attempt = |data: &[u8]| {
        if beforehand {
            fs::write(&kept, data).unwrap();
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(target, data))) {
            fs::write(&kept, data).unwrap();
            eprintln!(
                "{target}: REDLOCK_FUZZ_SEED={seed}; the input is in {}",
                kept.display()
            );
            std::panic::resume_unwind(panic);
        }
    };
    corpus.iter().for_each(|data| attempt(data));
    let mut count = corpus.len();
    while Instant::now() < end {
        attempt(&mutated(&corpus, &mut random));
        count += 1;
    }
    let _ = fs::remove_file(&kept);
    println!("{target}: {count} inputs, seed {seed}");
}

#[test]
fn reply() {
    soak("reply", false);
}

#[test]
fn connection() {
    soak("connection", false);
}

#[test]
fn url() {
    soak("url", false);
}

#[test]
fn text() {
    soak("text", false);
}

#[test]
fn options() {
    soak("options", false);
}

/// In a process of its own: the log is one for all, and a defect may end it. Half of the programs have nodes that answer.
#[test]
fn abi() {
    const NODES: &str = "REDLOCK_TEST_URLS";
    const CHILD: &str = "REDLOCK_FUZZ_CHILD";
    if env::var_os(CHILD).is_some() {
        return soak("abi", true);
    }
    let cluster = Cluster::start(3);
    for urls in [cluster.urls().join(","), String::new()] {
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "fuzzing::stable::abi", "--nocapture"])
            .env(NODES, urls)
            .env("REDLOCK_FUZZ_SECONDS", seconds().div_ceil(2).to_string())
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
    }
}

/// `REDLOCK_FUZZ_INPUT=reply:FILE cargo test --lib fuzzing::stable::redlock_fuzz_input` tries one input again; without, every
/// target gets nothing at all.
#[test]
fn redlock_fuzz_input() {
    match env::var("REDLOCK_FUZZ_INPUT") {
        Ok(input) => {
            let (target, path) = input.split_once(':').expect("TARGET:FILE");
            run(target, &fs::read(path).unwrap());
        }
        Err(_) => TARGETS
            .iter()
            .filter(|(name, _)| *name != "abi")
            .for_each(|(name, _)| run(name, b"")),
    }
}
