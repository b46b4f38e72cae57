// The Node binding's side of the benchmarks: N concurrent loops, each acquiring and releasing its own resource.

import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Factory } from "../../../bindings/node/lib/index.mjs";

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
      option: { type: "string", multiple: true, default: [] },
    },
  });
  if (!values.urls || values.scenario !== "pair") {
    console.error("usage: main.mjs --urls redis://HOST:PORT,... --scenario pair [--callers N] [--seconds S]");
    process.exit(2);
  }
  return values;
}

async function pair(factory, resource) {
  const lock = await factory.acquire(resource, { ttl: TTL_MS });
  await lock.release();
}

/** Pairs until the window ends; those that are over after its start count. */
async function run(factory, resource, window, tally) {
  for (;;) {
    const begun = performance.now();
    if (begun >= window.end) return;
    let good = true;
    try {
      await pair(factory, resource);
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

async function shakeHands() {
  const lines = createInterface({ input: process.stdin });
  console.log("ready");
  await once(lines, "line");
  lines.close();
}

const options = parse();
const settings = Object.fromEntries(options.option.map((text) => text.split("=", 2)));
const factory = new Factory(options.urls.split(","), settings);
const resources = Array.from({ length: Number(options.callers) }, (_, i) => `${options["resource-prefix"]}:node:${i}`);
for (const resource of resources) await pair(factory, resource);
if (options.handshake) await shakeHands();

const start = performance.now() + Number(options["settle-ms"]);
const window = { start, end: start + Number(options.seconds) * 1e3 };
const tally = { durations: [], failures: 0 };
const callers = resources.map((resource) => run(factory, resource, window, tally));
await sleep(window.start - performance.now());
const before = cpuMicros();
await Promise.all(callers);
report(tally, (performance.now() - window.start) / 1e3, cpuMicros() - before);
process.exit(0);
