// Passwords that are changed and tokens that run out: set, read from a file, or asked for when connections are made.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ClosedError, Factory } from "libredlock";
import { failureOf, newResource, redis, until, urls } from "./support.mjs";

/** A user of one test on all servers. */
async function newUser(t, password) {
  const name = `node-${randomUUID()}`;
  const everywhere = (...words) => Promise.all(urls.map((url) => redis(url, ...words)));
  await everywhere("ACL", "SETUSER", name, "on", "~*", "&*", "+@all");
  t.after(() => everywhere("ACL", "DELUSER", name));
  /** Cuts the connections that were made with the last password, too. */
  const change = async (next) => {
    await everywhere("ACL", "SETUSER", name, "resetpass", `>${next}`);
    await everywhere("CLIENT", "KILL", "USER", name);
  };
  await change(password);
  return { name, change, urls: urls.map((url) => url.replace("redis://", `redis://${name}:outdated@`)) };
}

function newFactory(t, user, options) {
  const factory = new Factory(user.urls, { nodeTimeoutMs: 10_000, connectTimeoutMs: 10_000, ...options });
  t.after(() => factory.close());
  return factory;
}

async function worksAgain(factory) {
  const attempt = async () => (await factory.acquire(newResource(), { wait: 1_000 })).release();
  await until(
    () =>
      attempt().then(
        () => true,
        () => false,
      ),
    "a lock to be taken",
  );
}

test("a provider is asked when connections are made", async (t) => {
  const user = await newUser(t, "first-secret");
  let password = "first-secret";
  const factory = newFactory(t, user, { credentials: async () => ({ username: user.name, password }) });
  await worksAgain(factory);
  password = "second-secret";
  await user.change(password);
  await worksAgain(factory);
  assert.doesNotMatch((await factory.check()).join(), /secret/);
});

test("a provider that fails is told of, and asked again", async (t) => {
  const user = await newUser(t, "first-secret");
  const answers = {
    "the vault is closed": () => Promise.reject(new Error("the vault is\0closed")),
    "no token": () => {
      throw "no token";
    },
    "an object with a password": () => "first-secret",
    "password must be a string": () => ({ password: 17 }),
  };
  let answer;
  const factory = newFactory(t, user, { credentials: () => answer() });
  for (const [reason, wrong] of Object.entries(answers)) {
    answer = wrong;
    await until(async () => (await factory.check()).join().includes(reason), reason);
    assert.doesNotMatch((await factory.check()).join(), /secret/);
  }
  answer = () => ({ password: "first-secret" });
  await worksAgain(factory);
});

test("factories with the same provider share connections, and others do not", async (t) => {
  const user = await newUser(t, "first-secret");
  let asked = 0;
  const provider = () => {
    asked += 1;
    return { password: "first-secret" };
  };
  const factories = [1, 2, 3].map(() => newFactory(t, user, { credentials: provider }));
  await Promise.all(factories.map(worksAgain));
  assert.equal(asked, 1);
  await worksAgain(newFactory(t, user, { credentials: () => provider() }));
  assert.equal(asked, 2);
  const error = await failureOf(() => new Factory(user.urls, { credentials: "first-secret" }));
  assert.ok(error instanceof TypeError);
});

test("credentials that are set count for the next connections", async (t) => {
  const user = await newUser(t, "first-secret");
  const factory = newFactory(t, user);
  factory.setCredentials({ password: "first-secret" });
  await worksAgain(factory);
  for (const wrong of [undefined, "first-secret", { username: user.name }, { password: "first\0secret" }]) {
    const error = await failureOf(() => factory.setCredentials(wrong));
    assert.ok(error instanceof TypeError);
    assert.doesNotMatch(error.message, /secret/);
  }
  await factory.close();
  assert.ok((await failureOf(() => factory.setCredentials({ password: "any" }))) instanceof ClosedError);
});

test("a password file is read at each connection", async (t) => {
  const user = await newUser(t, "first-secret");
  const folder = await mkdtemp(join(tmpdir(), "redlock-"));
  t.after(() => rm(folder, { recursive: true }));
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, "first-secret\n");
  const factory = newFactory(t, user, { passwordFile });
  await worksAgain(factory);
  await writeFile(passwordFile, "second-secret\n");
  await user.change("second-secret");
  await worksAgain(factory);
});
