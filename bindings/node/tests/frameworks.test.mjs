// The recipes of docs/frameworks/node.md, as they stand there.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { binding, project, run } from "./project.mjs";
import { startFile, until, urls } from "./support.mjs";

const page = await readFile(path.join(binding, "..", "..", "docs", "frameworks", "node.md"), "utf8");
const installed = path.join(binding, "tests", "runtimes", "node_modules");
const options = { skip: !existsSync(path.join(installed, ".installed")) && "the script `test` could not install them" };

/** The page's block of that name. */
function recipe(name) {
  const [, after] = page.split(`<!-- ${name} -->\n`);
  return after.split("```")[1].replace(/^.*\n/, "");
}

/** A project with a recipe, in which these packages are installed besides. */
async function withRecipe(t, name, packages, files = {}) {
  const directory = await project(t, { [name]: recipe(name), ...files });
  for (const each of packages) {
    const link = path.join(directory, "node_modules", each);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(path.join(installed, each), link);
  }
  return directory;
}

/** A bank that keeps requests waiting until it is told to answer, and knows how many it has. */
async function startBank(t) {
  const bank = { waiting: [], bodies: [] };
  const server = http.createServer((request, response) => {
    assert.ok(Number(request.headers["x-fence"]) > 0);
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      bank.bodies.push(body);
      bank.waiting.push({ body, answer: () => response.end() });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  bank.url = `http://127.0.0.1:${server.address().port}/`;
  return bank;
}

async function freePort() {
  const server = http.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

test("Express: one request at a time for each invoice", options, async (t) => {
  const bank = await startBank(t);
  const directory = await withRecipe(t, "express.mjs", ["express"]);
  const port = await freePort();
  const server = startFile(t, path.join(directory, "express.mjs"), [], {
    LOCK_URLS: urls.join(","),
    BANK_URL: bank.url,
    PORT: String(port),
  });
  const post = (id) => fetch(`http://127.0.0.1:${port}/invoices/${id}/send`, { method: "POST" });
  const isUp = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  await until(isUp, "the server listens");
  const first = post("17");
  await until(() => bank.waiting.length === 1, "the first request is at the bank");
  assert.equal((await post("17")).status, 409);
  const other = post("18");
  await until(() => bank.waiting.length === 2, "another invoice is at the bank too");
  for (const { answer } of bank.waiting.splice(0)) answer();
  assert.equal((await first).status, 200);
  assert.equal((await other).status, 200);
  server.child.kill("SIGTERM");
  await server.endsWell();
});

const NEST = `
import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import { InvoiceService, LocksModule } from "./nest.mjs";

const app = await NestFactory.createApplicationContext(LocksModule, { logger: false });
const service = app.get(InvoiceService);
const order = [];
const work = (name) => service.withInvoice("17", async (fence, signal) => {
  order.push(name, fence > 0 && !signal.aborted);
  await new Promise(setImmediate);
  order.push(name);
});
await Promise.all([work("a"), work("b")]);
await app.close();
console.log(order.join(" "));
`;

test("Nest: the factory is a provider", options, async (t) => {
  const packages = ["@nestjs/core", "@nestjs/common", "reflect-metadata", "rxjs"];
  const directory = await withRecipe(t, "nest.ts", packages, { "main.mjs": NEST });
  const decorators = JSON.stringify({ compilerOptions: { experimentalDecorators: true } });
  const words = ["nest.ts", "--outfile=nest.mjs", "--format=esm", `--tsconfig-raw=${decorators}`, "--log-level=error"];
  await run(path.join(installed, ".bin", "esbuild"), words, { cwd: directory });
  const { stdout } = await run(process.execPath, ["main.mjs"], {
    cwd: directory,
    env: { ...process.env, LOCK_URLS: urls.join(",") },
  });
  assert.match(stdout, /^(a true a b true b|b true b a true a)\n$/);
});

test("BullMQ: jobs of one customer one after the other", options, async (t) => {
  const bank = await startBank(t);
  const directory = await withRecipe(t, "worker.mjs", ["bullmq", "ioredis"]);
  const require = createRequire(path.join(installed, "x"));
  const connection = new (require("ioredis").Redis)(urls[0], { maxRetriesPerRequest: null });
  const queue = new (require("bullmq").Queue)("invoices", { connection });
  t.after(() => connection.quit());
  const worker = startFile(t, path.join(directory, "worker.mjs"), [], {
    LOCK_URLS: urls.join(","),
    QUEUE_URL: urls[0],
    BANK_URL: bank.url,
  });
  const jobs = ["a", "a", "a", "b"].map((customer, amount) => ({ name: "bill", data: { customer, amount } }));
  await queue.addBulk(jobs);
  for (let done = 0; done < jobs.length; ) {
    await until(() => bank.waiting.length > 0, "a job is at the bank");
    const customers = bank.waiting.map(({ body }) => JSON.parse(body).customer);
    assert.equal(new Set(customers).size, customers.length, "one job of each customer");
    bank.waiting.shift().answer();
    done += 1;
  }
  await until(async () => (await queue.getCompletedCount()) === jobs.length, "all jobs are completed");
  assert.equal(new Set(bank.bodies).size, jobs.length);
  await queue.close();
  worker.child.kill("SIGTERM");
  await worker.endsWell();
});
