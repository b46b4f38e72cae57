// The scenarios with a contended lock: one that this process takes again and again, or as it is told on stdin.

import { setTimeout as sleep } from "node:timers/promises";
import { ExecutionError } from "redlock";

/** How long a turn lasts between acquire and release. */
const INSIDE_MS = 2;

/** For how long after the window the last turn is waited for. Where votes split again and again, it may never come. */
const PATIENCE_MS = 5_000;

/** Microseconds of CLOCK_MONOTONIC, which all processes of the machine share. */
function now() {
  return Number(process.hrtime.bigint() / 1000n);
}

/**
 * Waits without end. The library keeps a minority's votes through its retries: with `retryCount: -1` until they expire,
 * with the default until the tenth, after two seconds. So it is asked again and again, which serves it better.
 */
async function acquire(redlock, resource, ttl) {
  for (;;) {
    try {
      return await redlock.acquire(resource, ttl);
    } catch (error) {
      if (!(error instanceof ExecutionError)) throw error;
    }
  }
}

/** Goes on when too few nodes have answered, as each of the programs does. */
async function release(lock) {
  try {
    await lock.release();
  } catch (error) {
    if (!(error instanceof ExecutionError)) throw error;
    console.error(error.message);
  }
}

/** Takes turns until the window is over, and prints them, and the wait that it gave up after that. */
export async function turns(redlock, options, ttl) {
  const resource = [`${options["resource-prefix"]}:turns`];
  const start = now() + Number(options["settle-ms"]) * 1e3;
  const end = start + Number(options.seconds) * 1e6;
  const patience = sleep((end - now()) / 1e3 + PATIENCE_MS);
  const result = { start_us: start, turns: [] };
  while (now() < end) {
    const begun = now();
    const lock = await Promise.race([acquire(redlock, resource, ttl), patience]);
    const acquired = now();
    if (!lock) {
      result.given_up = [begun, acquired];
      break;
    }
    await sleep(INSIDE_MS);
    result.turns.push([begun, acquired, now()]);
    await release(lock);
  }
  console.log(JSON.stringify(result));
}

/** Takes and gives the lock as the lines say, and prints when it had it, or called its release. */
export async function handOver(redlock, options, ttl, lines) {
  const resource = [`${options["resource-prefix"]}:handover`];
  let lock;
  for (let next = await lines.next(); !next.done; next = await lines.next()) {
    let when;
    if (next.value === "take") {
      lock = await acquire(redlock, resource, ttl);
      when = now();
    } else if (next.value === "give") {
      when = now();
      await release(lock);
    } else throw new Error(`neither take nor give: ${next.value}`);
    console.log(when);
  }
}
