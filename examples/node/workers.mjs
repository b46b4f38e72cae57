// Three workers share out ten invoices: each is paid once, by whoever locks it first, and no loss goes unnoticed.
//
//   node workers.mjs URL...
import { setTimeout as pause } from "node:timers/promises";
import { ExpiredError, Factory, NoQuorumError } from "libredlock";

const INVOICES = Array.from({ length: 10 }, (_, i) => `invoice:${i + 1}`);

/** A storage that refuses writers whose lock has run out: it remembers the highest fence of each invoice. */
class Ledger {
  #paid = new Map();

  pay(invoice, worker, fence) {
    const entry = this.#paid.get(invoice);
    if (entry !== undefined && entry.fence >= fence) throw new Error(`${invoice}: a newer lock has been at work`);
    this.#paid.set(invoice, { worker, fence });
  }

  isPaid(invoice) {
    return this.#paid.has(invoice);
  }

  get size() {
    return this.#paid.size;
  }
}

async function work(name, factory, ledger) {
  for (const invoice of INVOICES) {
    // null: another worker has it.
    const lock = await factory.tryAcquire(invoice, { ttl: 5000, keepAlive: true });
    if (lock === null) continue;
    try {
      if (ledger.isPaid(invoice)) continue;
      // The bank takes its time; if the lock is lost meanwhile, stop.
      await pause(20, undefined, { signal: lock.signal });
      ledger.pay(invoice, name, lock.fence);
      console.log(`${name} paid ${invoice}`);
    } finally {
      await lock.release().catch(tell);
    }
  }
}

/** What a release can end with that is no reason to stop. */
function tell(error) {
  if (!(error instanceof ExpiredError || error instanceof NoQuorumError)) throw error;
  console.error(error.message);
}

const factory = new Factory(process.argv.slice(2));
const ledger = new Ledger();
await Promise.all(["Ada", "Grace", "Edsger"].map((name) => work(name, factory, ledger)));
console.log(`${ledger.size} of ${INVOICES.length} invoices are paid, each once`);

// A lock on two accounts at once: all or nothing, so that two transfers never wait for each other for ever.
await factory.using(["account:a", "account:b"], { ttl: 5000, wait: 2000 }, async (lock) => {
  console.log(`moving money between ${lock.resources.join(" and ")}`);
});
await factory.close();
