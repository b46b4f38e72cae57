// The node-redlock side of the benchmarks. Scenario pair: N concurrent loops, each with a resource of its own.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import Redis from "ioredis";
import Redlock from "redlock";
import { handOver, turns } from "./contended.js";

const TTL_MS = 10_000;

/** The command line that all benchmark programs share. */
function parse() {
  const { values } = parseArgs({
    options: {
      urls: { type: "string" },
      scenario: { type: "string", default: "pair" },
      callers: { type: "string", default: "1" },
      seconds: { type: "string", default: "2" },
      "settle-ms": { type: "string", default: "200" },
      "resource-prefix": { type: "string", default: "bench" },
      handshake: { type: "boolean", default: false },
    },
  });
  if (!values.urls || !["pair", "turns", "handover"].includes(values.scenario)) {
    console.error("usage: main.js --urls redis://HOST:PORT,... --scenario NAME [--callers N] [--seconds S]");
    process.exit(2);
  }
  return values;
}

async function pair(redlock, resource) {
  const lock = await redlock.acquire([resource], TTL_MS);
  await lock.release();
}

/** Pairs until the window ends; those that are over after its start count. */
async function run(redlock, resource, window, tally) {
  for (;;) {
    const begun = performance.now();
    if (begun >= window.end) return;
    let good = true;
    try {
      await pair(redlock, resource);
    } catch {
      good = false;
    }
    const done = performance.now();
    if (done < window.start) continue;
    if (good) tally.durations.push((done - begun) * 1e3);
    else tally.failures += 1;
  }
}

function cpuMicros() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function report(tally, seconds, cpu) {
  const durations = Float64Array.from(tally.durations).sort();
  const percentile = (share) => durations[Math.floor(share * (durations.length - 1))] ?? 0;
  const result = {
    pairs: durations.length,
    failures: tally.failures,
    seconds,
    p50_us: percentile(0.5),
    p90_us: percentile(0.9),
    p99_us: percentile(0.99),
    cpu_us_per_pair: cpu / Math.max(1, durations.length),
    max_rss_kb: process.resourceUsage().maxRSS,
  };
  console.log(JSON.stringify(result));
}

/** Says ready, and waits for the line that lets the measuring begin. */
async function shakeHands(lines) {
  console.log("ready");
  await lines.next();
}

async function measurePairs(redlock, resources, options) {
  const start = performance.now() + Number(options["settle-ms"]);
  const window = { start, end: start + Number(options.seconds) * 1e3 };
  const tally = { durations: [], failures: 0 };
  const callers = resources.map((resource) => run(redlock, resource, window, tally));
  await sleep(window.start - performance.now());
  const before = cpuMicros();
  await Promise.all(callers);
  report(tally, (performance.now() - window.start) / 1e3, cpuMicros() - before);
}

function resourcesOf(options) {
  const prefix = options["resource-prefix"];
  if (options.scenario !== "pair") return [`${prefix}:warm:${process.pid}`];
  return Array.from({ length: Number(options.callers) }, (_, i) => `${prefix}:node-redlock:${i}`);
}

const options = parse();
const clients = options.urls.split(",").map((url) => new Redis(url));
const redlock = new Redlock(clients);
const resources = resourcesOf(options);
for (const resource of resources) await pair(redlock, resource);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
if (options.handshake) await shakeHands(lines);
if (options.scenario === "turns") await turns(redlock, options, TTL_MS);
else if (options.scenario === "handover") await handOver(redlock, options, TTL_MS, lines);
else await measurePairs(redlock, resources, options);
process.exit(0);
