/**
 * Distributed locks over independent Redis masters (Redlock).
 *
 * All durations are milliseconds. Bad input of any kind is a TypeError, or a RangeError for a number out of its range, with
 * the code `REDLOCK_ERR_INVALID_ARGUMENT`; every other failure is a {@link RedlockError}.
 */

/** Who logs in at the nodes. */
export interface Credentials {
  /** The user. Default: the one of each URL, or the nodes' default user. */
  username?: string;
  /** The password or token. It appears in no message. */
  password: string;
}

/** Settings of a factory; all have defaults. {@link optionTable} tells them at run time, docs/OPTIONS.md on paper. */
export interface FactoryOptions {
  /** How long a node may take to answer before it counts as unavailable. */
  nodeTimeoutMs?: number | "auto";
  /** How long connecting to a node may take. */
  connectTimeoutMs?: number;
  /** For how many microseconds answers are looked for again and again before a thread sleeps until they come. 0: not at all. */
  busyPollUs?: number;
  /** The first rest between two attempts at a lock that another holds. */
  retryMinMs?: number;
  /** The longest rest between two attempts at a lock that another holds. */
  retryMaxMs?: number;
  /**
   * The longest TTL that locks are acquired or extended with; the same for all users of a set of nodes. A longer one, up to 30
   * days, is granted with a warning in the log, or refused with `restartGuard: "strict"`.
   */
  maxTtlMs?: number;
  /** What is put before a resource's name to make its Redis key. */
  keyPrefix?: string;
  /** The version of the Redis protocol. */
  protocol?: "auto" | "resp2" | "resp3";
  /**
   * Asked for the credentials of all nodes whenever connections are made, once for those that are made at the same time: for
   * passwords that are changed and tokens that run out. It has `connectTimeoutMs` to answer. What it throws is in the nodes' errors,
   * and it is asked again when the nodes are tried again.
   */
  credentials?: () => Credentials | PromiseLike<Credentials>;
  /** A file with the password of all nodes, in place of those in their URLs. It is read at each connect. */
  passwordFile?: string;
  /** For rediss://: a PEM file with the certificates that a server's must be signed by, or with its own. */
  tlsCaFile?: string;
  /** For rediss://: a PEM file with the certificate that this client shows. */
  tlsCertFile?: string;
  /** For rediss://: a PEM file with that certificate's private key. */
  tlsKeyFile?: string;
  /** For rediss://: the name that servers' certificates must bear, if it is not the host of each URL. */
  tlsServerName?: string;
  /** For rediss://: what of a server's certificate is verified: all, all but its name, or nothing. */
  tlsVerify?: "full" | "ca" | "none";
  /** Whether locks have fencing tokens. */
  fencing?: boolean | "on" | "off";
  /** Whether those who wait for a lock are served in the order of their arrival. */
  fair?: boolean | "on" | "off";
  /** For how long a lock that was given back is reserved for the waiter whose turn it is. */
  fairGraceMs?: number;
  /** What keeps a node from voting that restarted without its data. */
  restartGuard?: "auto" | "strict" | "off";
  /** Your word that every node has each write on disk before it answers it, and has had so at every start. */
  nodesPersist?: boolean | "on" | "off";
  /** For tests: by how much the clock is wrong that ballots are proposed by. */
  ballotClockOffsetMs?: number;
  /** For tests: how long a node remembers a resource's last fence after its last grant. */
  ballotRetentionMs?: number;
}

/** How a lock is taken. */
export interface TryOptions {
  /**
   * The time after which the nodes free the lock by themselves: more than the work needs, or extended in time. At least 1,
   * at most 30 days; see `maxTtlMs` of {@link FactoryOptions} for what is above that. Default: 10,000.
   */
  ttl?: number;
  /** Extends the lock until it is released, as {@link Lock.keepAlive} does. Default: false. */
  keepAlive?: boolean;
  /** Cancels the operation: it then fails with the signal's reason, and nothing stays locked. */
  signal?: AbortSignal;
}

/** How a lock is taken, and how long it is waited for. */
export interface AcquireOptions extends TryOptions {
  /** How long to try: 0 tries once. Default: Infinity, until the lock is had or `signal` aborts. */
  wait?: number;
}

/**
 * A set of nodes, independent Redis masters, from which locks are taken. Factories of one thread with the same URLs and
 * options share their connections.
 */
export class Factory {
  /**
   * Returns at once: the nodes are connected in the background, and the first acquire waits for them. A factory does not
   * keep the process alive.
   *
   * @param urls one URL for each node: redis://[user:password@]host[:port][/database], rediss://... for TLS, or
   *   unix:///path/to/socket. Default: redis://127.0.0.1:6379/0
   */
  constructor(urls?: string | URL | readonly (string | URL)[], options?: FactoryOptions);

  /**
   * Acquires the lock on a resource, or the locks on several, all or none. While it waits, neither the event loop nor a
   * thread of libuv's pool is occupied; the process stays alive.
   *
   * Rejects with a {@link ContendedError}, {@link NoQuorumError}, {@link ExpiredError} (the TTL was too short for the
   * nodes' answers), {@link ClosedError}, or the signal's reason. Nothing stays locked then.
   */
  acquire(resource: string | readonly string[], options?: AcquireOptions): Promise<Lock>;

  /** Tries once; null when another holds the lock. Otherwise as {@link acquire}. */
  tryAcquire(resource: string | readonly string[], options?: TryOptions): Promise<Lock | null>;

  /**
   * Acquires, does the work, releases, and gives what the work gave. The lock is kept alive meanwhile, unless
   * `keepAlive: false` is given; `lock.signal` aborts if it is lost all the same. If it was, and the work did not fail,
   * rejects with an {@link ExpiredError}: others may have been at work at the same time.
   */
  using<T>(resource: string | readonly string[], work: (lock: Lock) => T | PromiseLike<T>): Promise<T>;
  using<T>(
    resource: string | readonly string[],
    options: AcquireOptions,
    work: (lock: Lock) => T | PromiseLike<T>,
  ): Promise<T>;

  /** A holder that can be acquired again while it is held. Nothing is locked yet. */
  reentrant(resource: string | readonly string[], options?: AcquireOptions): ReentrantLock;

  /** Whether a resource is locked, by anybody, on a quorum of the nodes: for display and diagnosis, not for deciding. */
  isLocked(resource: string, options?: { signal?: AbortSignal }): Promise<boolean>;

  /**
   * The health of each node, one line each, for a person to read. Asks the connected nodes about their fences, for a quarter of
   * a second at most.
   */
  check(): Promise<string[]>;

  /**
   * The operator's word that the nodes have forgotten no lock: those that are connected vote at once. For a fresh set of
   * nodes with `restartGuard: "strict"`. A new factory contacts all nodes first. Rejects with a {@link NoQuorumError}
   * when none can be reached.
   */
  trustNodes(): Promise<void>;

  /**
   * Sets the credentials by which all nodes are logged in to from now on, in place of those in their URLs and of `passwordFile`:
   * for all factories that share these connections. Connections that there are stay as they are. See `credentials` of
   * {@link FactoryOptions} for tokens that run out.
   */
  setCredentials(credentials: Credentials): void;

  /**
   * Closes the factory; can be called again. What still waits rejects with a {@link ClosedError}. Locks that are held stay
   * held and usable. With the last factory of these URLs and options the connections are closed; it resolves when releases
   * that run in the background have reached the nodes.
   */
  close(): Promise<void>;

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A lock that is held: on one resource, or on several that were taken together.
 *
 * It does not keep the process alive. One that is forgotten instead of released stays held until its TTL ends, as after
 * {@link detach}; kept alive and forgotten, it is released when it is collected, with a warning, unless somebody has looked
 * at its `signal`.
 */
export class Lock {
  private constructor();

  /** The factory that it comes from. */
  readonly factory: Factory;

  /** The name of what is locked; the first one of several. */
  readonly resource: string;

  /** The names of all that is locked. */
  readonly resources: readonly string[];

  /** The owner's token: the value of the lock's key on the nodes, unique to this grant. */
  readonly token: string;

  /**
   * The fencing token: rises with every acquire of the resource, so that a storage service can refuse a writer whose lock
   * has run out. Of several resources, that of the first. 0 with the option `fencing: "off"`.
   */
  readonly fence: number;

  /** The fencing tokens of all resources, in their order. */
  readonly fences: readonly number[];

  /** For how many milliseconds from now the lock is proven to be held. 0 when it expired, was lost or released. */
  readonly validity: number;

  /** Whether it was released or detached through this object. */
  readonly released: boolean;

  /**
   * Aborts when the lock is lost: before its validity ends when it is kept alive, otherwise when it ends. Its reason is an
   * {@link ExpiredError} or a {@link NoQuorumError}. It does not abort when the lock is released.
   */
  readonly signal: AbortSignal;

  /**
   * Has the lock last for at least `ttl` milliseconds from now; it never ends earlier by that than it would. A lost lock is
   * not taken anew, and a failed extension leaves the lock as it was. Rejects with an {@link ExpiredError},
   * {@link NoQuorumError} or {@link ReleasedError}. Resolves to this lock.
   */
  extend(ttl: number): Promise<this>;

  /**
   * Has the library extend the lock at a third of its TTL until it is released or lost, or the last factory of its nodes is
   * closed; also while
   * the event loop is busy. `signal` tells of a loss, a tenth of the TTL before the validity ends at the latest.
   */
  keepAlive(): void;

  /**
   * Gives the lock back. Whatever the outcome, it is not held any more through this object. Rejects with an
   * {@link ExpiredError} when it had been lost before, with a {@link NoQuorumError} when too few nodes answered to know,
   * and with a {@link ReleasedError} when it was released already.
   */
  release(): Promise<void>;

  /**
   * Lets go of the lock without giving it back: it stays held until its TTL ends, and is not kept alive any more. For work
   * that is to be done at most once in a period. Afterwards the lock counts as released through this object, also at the end
   * of `await using` or {@link Factory.using}; `signal` does not abort. Asks no node.
   */
  detach(): void;

  /** As {@link release}, but does nothing when it was released or detached already: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A lock that its holder can acquire again: counted, and only the first acquire and the last release touch the nodes. The
 * object is the holder; who shares it, shares the lock.
 */
export class ReentrantLock {
  private constructor();

  /** The names of what it locks. */
  readonly resources: readonly string[];

  /** How many times it is acquired. */
  readonly count: number;

  /** As that of the lock; 0 when it is not held. */
  readonly validity: number;

  /** The lock while it is held, for its fence, signal and extension. Release this object instead of it. */
  readonly lock: Lock | undefined;

  /**
   * Acquires it, or counts one more. Rejects as {@link Factory.acquire} does, and with an {@link ExpiredError} when the
   * lock was lost meanwhile. Resolves to this object, for `await using`.
   */
  acquire(options?: { signal?: AbortSignal }): Promise<this>;

  /** Undoes one acquire. The last one rejects as {@link Lock.release} does; one too many with a {@link ReleasedError}. */
  release(): Promise<void>;

  /** As {@link release}, but does nothing when it is not held. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What one node did. */
export interface NodeOutcome {
  /** Its URL, without user and password. */
  readonly address: string;
  /** `REDLOCK_OK` when it voted for the operation; otherwise why it did not, such as `REDLOCK_ERR_TIMEOUT`. */
  readonly code: string;
  /** The number of that code. */
  readonly status: number;
  /** What happened, in one line; the server's own words where there are some. */
  readonly message: string;
}

/** A failure that is not a mistake in the call. */
export class RedlockError extends Error {
  protected constructor();
  /** The name of the status, such as `REDLOCK_ERR_CONTENDED`. */
  readonly code: string;
  /** The number of the status: one of {@link Status}, or a newer one. */
  readonly status: number;
  /** Every node's part, in the order of the factory's URLs; empty where no node was asked. */
  readonly nodes: readonly NodeOutcome[];
}

/** Another owner holds the lock. */
export class ContendedError extends RedlockError {}
/** Too few nodes could be reached, answered in time or were willing to vote. */
export class NoQuorumError extends RedlockError {}
/** The lock is not held any more: its validity ended, or its keys are gone. */
export class ExpiredError extends RedlockError {}
/** The operation was cancelled. With a signal, its reason is the error instead of this. */
export class CancelledError extends RedlockError {}
/** The lock was already released through this object. */
export class ReleasedError extends RedlockError {}
/** The factory was closed. */
export class ClosedError extends RedlockError {}
/** The operating system refused a thread, a descriptor or memory. */
export class SystemError extends RedlockError {}
/** A defect of the library. */
export class InternalError extends RedlockError {}

/** The numbers of all statuses, those of nodes included. */
export const Status: Readonly<{
  OK: 0;
  CONTENDED: 1;
  NO_QUORUM: 2;
  EXPIRED: 3;
  CANCELLED: 4;
  RELEASED: 5;
  INVALID_ARGUMENT: 6;
  FORKED: 7;
  CLOSED: 8;
  SYSTEM: 9;
  INTERNAL: 10;
  TIMEOUT: 20;
  UNREACHABLE: 21;
  SERVER: 22;
  NOT_ADMITTED: 23;
  UNANSWERED: 24;
}>;

/** All options of a factory that the library has, with their defaults and what they do. */
export function optionTable(): { name: string; default: string; description: string }[];

/** The version of this package and that of the library that it runs on. */
export const versions: Readonly<{ binding: string; library: string }>;
