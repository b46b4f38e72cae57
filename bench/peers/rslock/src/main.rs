//! The rslock side of the benchmarks: N tasks, each acquiring and releasing its own resource over all nodes.

use rslock::LockManager;
use std::time::{Duration, Instant};

/// The command line that all benchmark programs share.
struct Options {
    urls: Vec<String>,
    prefix: String,
    callers: usize,
    seconds: f64,
    settle: Duration,
    handshake: bool,
}

/// The time in which pairs count: those that begin before its end and are over after its start.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

/// What one caller measured.
#[derive(Default)]
struct Tally {
    durations: Vec<Duration>,
    failures: u64,
}

const TTL: Duration = Duration::from_secs(10);

fn usage(complaint: &str) -> ! {
    eprintln!(
        "{complaint}\nusage: bench-rslock --urls redis://HOST:PORT,... [--scenario pair] [--callers N] [--seconds S]"
    );
    eprintln!("       [--settle-ms MS] [--resource-prefix X] [--handshake]");
    std::process::exit(2)
}

fn parse() -> Options {
    let mut options = Options {
        urls: Vec::new(),
        prefix: "bench".into(),
        callers: 1,
        seconds: 2.0,
        settle: Duration::from_millis(200),
        handshake: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--handshake" {
            options.handshake = true;
            continue;
        }
        let value = arguments
            .next()
            .unwrap_or_else(|| usage("an option lacks its value"));
        let number = || {
            value
                .parse::<f64>()
                .unwrap_or_else(|_| usage("not a number"))
        };
        match name.as_str() {
            "--urls" => options.urls = value.split(',').map(str::to_owned).collect(),
            "--resource-prefix" => options.prefix = value,
            "--callers" => options.callers = number() as usize,
            "--seconds" => options.seconds = number(),
            "--settle-ms" => options.settle = Duration::from_secs_f64(number() / 1e3),
            "--scenario" if value == "pair" => {}
            _ => usage(&format!("unknown: {name} {value}")),
        }
    }
    if options.urls.is_empty() {
        usage("--urls is missing");
    }
    options
}

async fn pair(manager: &LockManager, resource: &str) -> bool {
    match manager.lock(resource, TTL).await {
        Ok(lock) => {
            lock.release().await;
            true
        }
        Err(_) => false,
    }
}

async fn run(manager: LockManager, resource: String, window: Window) -> Tally {
    let mut tally = Tally::default();
    loop {
        let begun = Instant::now();
        if begun >= window.end {
            return tally;
        }
        let good = pair(&manager, &resource).await;
        if Instant::now() < window.start {
            continue;
        }
        if good {
            tally.durations.push(begun.elapsed());
        } else {
            tally.failures += 1;
        }
    }
}

/// CPU time of this process in microseconds, and its highest resident memory in KiB.
fn process_usage() -> (f64, i64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
    (
        micros(usage.ru_utime) + micros(usage.ru_stime),
        usage.ru_maxrss,
    )
}

fn report(tallies: Vec<Tally>, seconds: f64, cpu: f64) {
    let failures: u64 = tallies.iter().map(|tally| tally.failures).sum();
    let mut durations: Vec<Duration> = tallies
        .into_iter()
        .flat_map(|tally| tally.durations)
        .collect();
    durations.sort_unstable();
    let percentile = |share: f64| {
        let last = durations.len().saturating_sub(1);
        durations
            .get((share * last as f64) as usize)
            .map_or(0.0, |d| d.as_nanos() as f64 / 1e3)
    };
    println!(
        "{{\"pairs\":{},\"failures\":{failures},\"seconds\":{seconds:.6},\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\
         \"cpu_us_per_pair\":{:.2},\"max_rss_kb\":{}}}",
        durations.len(),
        percentile(0.50),
        percentile(0.90),
        percentile(0.99),
        cpu / durations.len().max(1) as f64,
        process_usage().1
    );
}

async fn warm(manager: &LockManager, resources: &[String]) {
    for resource in resources {
        assert!(pair(manager, resource).await, "the first pair failed");
    }
}

fn shake_hands() {
    println!("ready");
    let mut line = String::new();
    if !matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {
        std::process::exit(1);
    }
}

#[tokio::main]
async fn main() {
    let options = parse();
    let manager = LockManager::new(options.urls);
    let resources: Vec<String> = (0..options.callers)
        .map(|i| format!("{}:rslock:{i}", options.prefix))
        .collect();
    warm(&manager, &resources).await;
    if options.handshake {
        shake_hands();
    }
    let start = Instant::now() + options.settle;
    let window = Window {
        start,
        end: start + Duration::from_secs_f64(options.seconds),
    };
    let callers: Vec<_> = resources
        .into_iter()
        .map(|resource| tokio::spawn(run(manager.clone(), resource, window)))
        .collect();
    tokio::time::sleep_until(window.start.into()).await;
    let before = process_usage().0;
    let mut tallies = Vec::new();
    for caller in callers {
        tallies.push(caller.await.expect("a caller panicked"));
    }
    let cpu = process_usage().0 - before;
    report(tallies, window.start.elapsed().as_secs_f64(), cpu);
}
