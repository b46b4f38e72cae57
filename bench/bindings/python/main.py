"""The Python package's side of the benchmarks: N threads, each locking and unlocking its own resource."""

import argparse
import json
import resource
import sys
import threading
import time

from redlock import RedLockFactory

TTL_MS = 10_000


def parse():
    """Read the command line that all benchmark programs share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", required=True)
    parser.add_argument("--scenario", choices=["pair"], default="pair")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--settle-ms", type=float, default=200)
    parser.add_argument("--resource-prefix", default="bench")
    parser.add_argument("--handshake", action="store_true")
    return parser.parse_args()


class Caller(threading.Thread):
    """One caller: a pair to warm the connections, then pairs until the window ends."""

    def __init__(self, factory, name, warmed):
        super().__init__(daemon=True)
        self.lock = factory.create_lock(name, ttl=TTL_MS)
        self.warmed = warmed
        self.opened = threading.Event()
        self.window = (0.0, 0.0)
        self.durations = []
        self.failures = 0

    def pair(self):
        """Lock and unlock once."""
        acquired = self.lock.acquire()
        if acquired:
            self.lock.release()
        return acquired

    def run(self):
        """Count the pairs that begin before the window ends and are over after its start."""
        self.pair()
        self.warmed.wait()
        self.opened.wait()
        start, end = self.window
        while (begun := time.monotonic()) < end:
            good = self.pair()
            done = time.monotonic()
            if done < start:
                continue
            if good:
                self.durations.append((done - begun) * 1e6)
            else:
                self.failures += 1


def cpu_micros():
    """Return the CPU time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def report(callers, seconds, cpu):
    """Print the run as one JSON object."""
    durations = sorted(d for caller in callers for d in caller.durations)

    def percentile(share):
        return durations[int(share * (len(durations) - 1))] if durations else 0

    print(
        json.dumps(
            {
                "pairs": len(durations),
                "failures": sum(caller.failures for caller in callers),
                "seconds": seconds,
                "p50_us": percentile(0.5),
                "p90_us": percentile(0.9),
                "p99_us": percentile(0.99),
                "cpu_us_per_pair": cpu / max(1, len(durations)),
                "max_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            }
        )
    )


def shake_hands():
    """Say that the connections are warm, and wait for a line."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit(1)


def main():
    """Measure."""
    options = parse()
    factory = RedLockFactory(options.urls.split(","))
    warmed = threading.Barrier(options.callers + 1)
    names = [f"{options.resource_prefix}:python:{i}" for i in range(options.callers)]
    callers = [Caller(factory, name, warmed) for name in names]
    for caller in callers:
        caller.start()
    warmed.wait()
    if options.handshake:
        shake_hands()
    start = time.monotonic() + options.settle_ms / 1e3
    for caller in callers:
        caller.window = (start, start + options.seconds)
        caller.opened.set()
    time.sleep(max(0.0, start - time.monotonic()))
    before = cpu_micros()
    for caller in callers:
        caller.join()
    report(callers, time.monotonic() - start, cpu_micros() - before)


if __name__ == "__main__":
    main()
