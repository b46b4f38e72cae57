"""Shows the Python package at work: python3 examples/python/demo.py [URL...]; without any, the master on this machine."""

import asyncio
import sys
import threading

from redlock import ContendedError, RedLock, RedLockFactory, ReentrantRedLock, aio


def blocking(urls: list) -> None:
    """Take locks as with `threading.Lock`."""
    with RedLock("invoice:17", urls, ttl=10_000) as validity:
        print(f"invoice:17 is ours for {int(validity / 1000)} s")
        print("and for another at the same time:", RedLock("invoice:17", urls, retry_times=0).acquire())

    lock = ReentrantRedLock("ledger", urls)
    with lock, lock:
        print("the ledger is held twice over")


def strict(urls: list) -> None:
    """Take locks that raise what goes wrong, with fences and a watch on their loss."""
    with RedLockFactory(urls) as factory:
        with factory.acquire("report", ttl=10_000, timeout=5) as held:
            lost = held.keep_alive()
            print("the report is ours, however long it takes; lost:", lost.is_set())
            first = held.fence
            try:
                factory.acquire("report", ttl=10_000, timeout=0)
            except ContendedError as error:
                refused = sum(node.name == "REDLOCK_ERR_CONTENDED" for node in error.nodes)
                print(f"a second one was refused by {'a quorum' if refused else 'nobody'}")
        waiter = threading.Thread(target=lambda: factory.acquire("report", ttl=10_000, timeout=5).release())
        waiter.start()
        waiter.join()
        with factory.acquire(["report", "archive"], ttl=10_000, timeout=5) as held:
            print("fences rise:", held.fences[0] > first)


async def asynchronous(urls: list) -> None:
    """Let a hundred tasks take turns on one lock, without a thread."""
    turns = 0

    async def turn(factory: aio.RedLockFactory) -> None:
        nonlocal turns
        async with factory.acquire("counter", ttl=10_000, timeout=30):
            seen = turns
            await asyncio.sleep(0)
            turns = seen + 1

    async with aio.RedLockFactory(urls) as factory:
        await asyncio.gather(*(turn(factory) for _ in range(100)))
    print("a hundred tasks took turns:", turns == 100)


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["redis://127.0.0.1:6379/0"]
    blocking(arguments)
    strict(arguments)
    asyncio.run(asynchronous(arguments))
