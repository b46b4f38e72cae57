// What the tests share: the servers that `testkit run` started, an outside look at them, and child processes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import net from "node:net";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Factory } from "libredlock";

/** How long a slow machine may take for anything. */
const PATIENCE_MS = 60_000;

export const urls = required("REDLOCK_TEST_URLS").split(",");
export const pids = required("REDLOCK_TEST_PIDS").split(",").map(Number);

function required(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is missing: run these tests by the script "test" in bindings/node`);
  return value;
}

/** A factory over all servers that is closed after the test. */
export function newFactory(t, options) {
  const factory = new Factory(urls, options);
  t.after(() => factory.close());
  return factory;
}

/** A name that no other test uses. */
export function newResource() {
  return `node:${randomUUID()}`;
}

/** Waits for a condition, with patience. */
export async function until(condition, what) {
  const end = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `waited in vain: ${what}`);
    await sleep(5);
  }
}

/** Gives the error that a promise or a function ends with. */
export async function failureOf(action) {
  try {
    await (typeof action === "function" ? action() : action);
  } catch (error) {
    return error;
  }
  return assert.fail("it should have failed");
}

/** Stops a server until the test ends. */
export function suspend(t, i) {
  process.kill(pids[i], "SIGSTOP");
  t.after(() => resume(i));
}

export async function resume(i) {
  process.kill(pids[i], "SIGCONT");
  await until(async () => (await redis(urls[i], "PING")) === "PONG", "the server answers again");
}

/** On how many servers a key is. */
export async function serversWith(key) {
  const answers = await Promise.all(urls.map((url) => redis(url, "EXISTS", key)));
  return answers.reduce((sum, answer) => sum + answer, 0);
}

/** Sends one command and gives its answer: a simple string, an integer or a bulk string. */
export function redis(url, ...words) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname);
    let received = "";
    socket.setEncoding("utf8").on("error", reject);
    socket.on("data", (chunk) => {
      received += chunk;
      const answer = parse(received);
      if (answer !== undefined) {
        socket.destroy();
        resolve(answer);
      }
    });
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join("")}`);
  });
}

/** The answer, when all of it is there. */
function parse(text) {
  const [head, body] = text.split("\r\n");
  if (!text.includes("\r\n")) return undefined;
  switch (text[0]) {
    case ":":
      return Number(head.slice(1));
    case "$":
      if (head === "$-1") return null;
      return body.length === Number(head.slice(1)) ? body : undefined;
    default:
      return head.slice(1);
  }
}

/** Starts a program of tests/programs in a process of its own. */
export function start(t, program, args = [], env = {}) {
  return startFile(t, fileURLToPath(new URL(`programs/${program}`, import.meta.url)), args, env);
}

/** Starts a program in a process of its own. */
export function startFile(t, file, args = [], env = {}) {
  const program = basename(file);
  const child = spawn(process.execPath, [file, ...args], { env: { ...process.env, ...env }, stdio: "pipe" });
  t.after(() => child.kill("SIGKILL"));
  const running = { child, output: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      running.output += chunk;
    });
  }
  running.ended = new Promise((resolve) => {
    child.on("close", (code, signal) => {
      running.code = code ?? signal;
      resolve();
    });
  });
  running.says = (words) =>
    until(() => running.output.includes(words) || running.code !== undefined, `${program} says ${words}`).then(() =>
      assert.ok(running.output.includes(words), `${program} ended (${running.code}) and said: ${running.output}`),
    );
  /** It ends by itself, with exit code 0. */
  running.endsWell = async () => {
    await until(() => running.code !== undefined, `${program} ends; it said: ${running.output}`);
    assert.equal(running.code, 0, running.output);
  };
  return running;
}
