"""Uses the whole API as a typed program would; mypy and pyright check it, in their strict modes, and it is run too.

python typing_sample.py NAME URL...
"""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import timedelta
from typing import List, Tuple

import redlock
import redlock.aio
from redlock import (
    AcquireCancelledError,
    ClosedError,
    ConnectionDetail,
    ContendedError,
    ExpiredError,
    ForkedError,
    HeldLock,
    InternalError,
    InvalidArgumentError,
    Milliseconds,
    Node,
    NodeReport,
    NoQuorumError,
    Option,
    Options,
    RedLock,
    RedLockError,
    RedLockFactory,
    ReentrantRedLock,
    ReleasedError,
    Resource,
    ResourceError,
    aio,
    library_path,
    library_version,
    option_table,
)
from redlock.lock import CLOCK_DRIFT_FACTOR, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_TIMES, DEFAULT_TTL

TTL: Milliseconds = timedelta(seconds=10)
OPTIONS: Options = {"node_timeout_ms": 30_000, "fair": True, "key_prefix": "typed:"}
DEFAULTS: Tuple[int, int, int, float] = (DEFAULT_RETRY_TIMES, DEFAULT_RETRY_DELAY, DEFAULT_TTL, CLOCK_DRIFT_FACTOR)


def old_ways(name: Resource, details: List[ConnectionDetail]) -> None:
    """As with the package before this one."""
    lock = RedLock(name, details, retry_times=3, retry_delay=200, ttl=10_000, options=OPTIONS)
    acquired: bool = lock.acquire()
    validity: float = lock.validity
    state: Tuple[bool, float] = lock.acquire_with_validity()
    lock.release()
    assert acquired
    assert validity > 0
    assert state == (False, 0)
    with lock as entered:
        assert entered > 0.0
        lost: threading.Event = lock.keep_alive(lambda reason: print(reason.name))
        extended: float = lock.extend(TTL)
        key: str | None = lock.lock_key
        fences: Tuple[int, ...] = lock.fences
        assert (lost.is_set(), lock.lost, lock.locked()) == (False, False, True)
        assert extended > 0
        assert key
        assert fences == (lock.fence,)
    assert lock.acquire(timeout=5)
    lock.release()
    reason: RedLockError | None = lock.last_error
    assert reason is None
    with ReentrantRedLock(name, details) as outer:
        assert outer > 0


def new_ways(name: Resource, details: List[ConnectionDetail]) -> None:
    """What is beyond it."""
    with RedLockFactory(details, options=OPTIONS) as factory:
        lock: RedLock = factory.create_lock(name, ttl=5_000)
        with lock as validity:
            assert validity > 0
        with factory.acquire(name, ttl=TTL, timeout=None) as held:
            kept: HeldLock = held
            token: str = kept.token
            fence: int = kept.fence
            assert token
            assert fence
            assert kept.extend() > 0
            reports: Tuple[NodeReport, ...] = ()
            try:
                factory.acquire(name, ttl=TTL, timeout=0)
            except ContendedError as error:
                reports = error.nodes
            except (NoQuorumError, ExpiredError, AcquireCancelledError, ReleasedError, ForkedError, ClosedError):
                raise
            except (ResourceError, InternalError):
                raise
            assert all(isinstance(report.message, str) for report in reports)
        health: List[str] = factory.check()
        locked: bool = factory.is_locked(name)
        assert (len(health), locked, factory.closed) == (len(details), False, False)
        nodes: List[Node] = factory.redis_nodes
        assert all(node.address for node in nodes)
    try:
        RedLock(name, details, ttl=0)
    except InvalidArgumentError as error:
        number: int = error.status
        assert number == 6


async def with_asyncio(name: Resource, details: List[ConnectionDetail]) -> None:
    """The same for asyncio."""
    async with aio.RedLockFactory(details, options=OPTIONS) as factory:
        async with factory.create_lock(name) as validity:
            entered: float = validity
            assert entered > 0
        async with factory.acquire(name, ttl=TTL, timeout=5) as held:
            lost: asyncio.Event = held.keep_alive()
            extended: float = await held.extend(5_000)
            assert not lost.is_set()
            assert extended > 0
        alone: redlock.aio.HeldLock = await factory.acquire(name, ttl=TTL, timeout=5)
        await alone.release()
        lock = aio.ReentrantRedLock(name, factory=factory)
        acquired: bool = await lock.acquire(timeout=5)
        assert acquired
        assert await lock.locked()
        assert await lock.release() is None
        assert not await factory.is_locked(name)


def main() -> None:
    """Run all of it."""
    options: List[Option] = option_table()
    assert all(option.name and option.description for option in options)
    assert redlock.__version__ == library_version()
    assert library_path()
    name, details = sys.argv[1], [{"url": url} for url in sys.argv[2:]]
    old_ways(name, list(details))
    new_ways(name, list(details))
    asyncio.run(with_asyncio(name, list(details)))
    print("ok")


if __name__ == "__main__":
    main()
