"""`redlock.aio`: the same for asyncio, without a thread, and nothing is left behind by what is cancelled."""

from __future__ import annotations

import asyncio
import gc
import select
import threading
from typing import Any, Awaitable, Callable, Coroutine

import pytest
from helpers import PATIENCE, Nodes

from redlock import (
    ClosedError,
    ContendedError,
    ExpiredError,
    InvalidArgumentError,
    RedLockError,
    ReleasedError,
    aio,
)

Test = Callable[..., Coroutine[Any, Any, None]]


def asynchronous(test: Test) -> Callable[..., None]:
    """Run a test in an event loop of its own, with a factory."""

    def run(nodes: Nodes, name: str) -> None:
        async def main() -> None:
            async with aio.RedLockFactory(nodes.details) as factory:
                await asyncio.wait_for(test(factory, nodes, name), 2 * PATIENCE)

        asyncio.run(main(), debug=True)

    run.__name__ = test.__name__
    return run


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110  # no event of the nodes would tell
        await asyncio.sleep(0.005)


async def free(nodes: Nodes, name: str) -> None:
    async def is_free() -> bool:
        return nodes.holders(name) == 0

    await until(is_free)


@asynchronous
async def test_acquire_and_release(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    lock = factory.create_lock(name)
    assert (lock.factory, lock.quorum, len(lock.redis_nodes)) == (factory, 3, 5)
    assert await lock.acquire() is True
    assert await lock.locked() is True
    assert lock.validity > 0
    assert lock.fence > 0
    assert nodes.values(name).count(lock.lock_key) >= nodes.quorum
    assert await lock.release() is None  # type: ignore[func-returns-value]
    assert await lock.locked() is False
    assert await factory.is_locked(name) is False


@asynchronous
async def test_with(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    lock = factory.create_lock(name)
    async with lock as validity:
        assert 0 < validity < 100_000
        assert await lock.extend(20_000) > 0
        with pytest.raises(RedLockError, match=r"^failed to acquire lock$"):
            async with factory.create_lock(name, retry_times=1, retry_delay=1):
                pytest.fail("the lock was taken twice")
        assert await factory.create_lock(name).acquire(timeout=0.02) is False
        assert await factory.create_lock(name).acquire_with_validity(blocking=False) == (False, 0)
    await free(nodes, name)


@asynchronous
async def test_a_lock_without_a_factory(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:  # noqa: ARG001
    async with aio.RedLock(name, nodes.details, ttl=5_000) as validity:
        assert validity < 5_000


@asynchronous
async def test_held_locks(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    async with factory.acquire(name, ttl=10_000, timeout=0) as held:
        assert 0 < held.validity < 10_000
        assert await held.extend() > 0
        with pytest.raises(ContendedError) as failure:
            await factory.acquire(name, ttl=10_000, timeout=0)
        assert len(failure.value.nodes) == 5
    await free(nodes, name)
    for operation in (held.release, held.extend):
        with pytest.raises(ReleasedError):
            await operation()
    held = await factory.acquire([name, f"{name}:2"], ttl=60, timeout=30)
    assert len(held.fences) == 2
    await free(nodes, name)
    with pytest.raises(ExpiredError):
        await held.release()


@asynchronous
async def test_a_detached_lock_stays_until_its_ttl_ends(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    async with factory.acquire(name, ttl=60_000, timeout=0) as held:
        held.detach()
    with pytest.raises(ReleasedError):
        await held.release()
    with pytest.raises(ContendedError):
        await factory.acquire(name, ttl=60_000, timeout=0)
    nodes.delete(name)


@asynchronous
async def test_bad_input(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:  # noqa: ARG001
    with pytest.raises(InvalidArgumentError):
        await factory.acquire("", ttl=1_000, timeout=0)
    with pytest.raises(InvalidArgumentError):
        await factory.acquire(name, ttl=0, timeout=0)
    with pytest.raises(TypeError):
        await factory.acquire(object(), ttl=1_000, timeout=0)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        await factory.is_locked("x" * 513)
    with pytest.raises(ReleasedError):
        await factory.create_lock(name).release()


@asynchronous
async def test_waiting_does_not_block_the_loop(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    held = await factory.acquire(name, ttl=60_000, timeout=0)
    threads = threading.active_count()

    async def turn() -> int:
        async with factory.acquire(name, ttl=60_000, timeout=None) as own:
            return own.fence

    waiting = [asyncio.ensure_future(turn()) for _ in range(200)]
    async with factory.create_lock(f"{name}:other"):
        assert not any(task.done() for task in waiting)
    assert threading.active_count() == threads
    await held.release()
    fences = await asyncio.gather(*waiting)
    assert len(set(fences)) == 200
    await free(nodes, name)


@asynchronous
async def test_a_cancelled_acquire_takes_nothing(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    held = await factory.acquire(name, ttl=60_000, timeout=0)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(factory.create_lock(name).acquire(timeout=None), 0.02)
    await held.release()
    await free(nodes, name)
    async with factory.acquire(name, ttl=10_000, timeout=30):
        pass


@asynchronous
async def test_cancelled_at_any_moment_nothing_stays_locked(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    async def take() -> None:
        async with factory.acquire(name, ttl=60_000, timeout=None):
            await asyncio.Event().wait()

    for steps in range(60):
        task = asyncio.ensure_future(take())
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gc.collect()
    await free(nodes, name)


@asynchronous
async def test_a_lock_that_is_won_as_its_task_is_cancelled_goes_back(
    factory: aio.RedLockFactory, nodes: Nodes, name: str
) -> None:
    """The event has come, and the task has not run since."""
    from libredlock._dispatcher import dispatcher

    owner = dispatcher()
    task = asyncio.ensure_future(factory.acquire(name, ttl=60_000, timeout=30)._acquire())
    await asyncio.sleep(0)
    # The loop stands still meanwhile.
    assert select.select([owner._queue.fd], [], [], PATIENCE)[0]
    owner._drain()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await free(nodes, name)


@asynchronous
async def test_a_cancelled_release_releases(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    held = await factory.acquire(name, ttl=60_000, timeout=0)
    task = asyncio.ensure_future(held.release())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await free(nodes, name)


@asynchronous
async def test_a_cancelled_body_releases(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with factory.create_lock(name):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await free(nodes, name)


@asynchronous
async def test_close_ends_the_waiting(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    nodes.take(name)
    task = asyncio.ensure_future(factory.create_lock(name).acquire(timeout=None))
    await asyncio.sleep(0)
    await factory.close()
    with pytest.raises(ClosedError):
        await task
    with pytest.raises(ClosedError):
        await factory.is_locked(name)
    nodes.delete(name)


@asynchronous
async def test_a_loss_is_told(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    reasons: list[RedLockError] = []
    held = await factory.acquire(name, ttl=1_000, timeout=0)
    lost = held.keep_alive(reasons.append)
    other = factory.create_lock(f"{name}:kept", ttl=10_000)
    async with other:
        not_lost = other.keep_alive()
        nodes.delete(name)
        await lost.wait()
        assert not not_lost.is_set()
        assert await other.extend() > 0
    assert [type(reason) for reason in reasons] == [ExpiredError]
    with pytest.raises(ExpiredError):
        await held.release()


@asynchronous
async def test_the_reentrant_lock_nests(factory: aio.RedLockFactory, nodes: Nodes, name: str) -> None:
    lock = aio.ReentrantRedLock(name, factory=factory)
    async with lock:
        async with lock:
            assert await lock.locked()
        assert await lock.locked()
        assert not await factory.create_lock(name, retry_times=0).acquire()
    assert not await lock.locked()
    assert await lock.release() is False
    lock.ttl = 60
    assert await lock.acquire(timeout=30)
    await free(nodes, name)
    assert not await lock.acquire()
    assert isinstance(lock.last_error, ExpiredError)
    assert await lock.release() is None


def test_each_loop_has_its_own_queue(nodes: Nodes, name: str) -> None:
    factory = aio.RedLockFactory(nodes.details)

    async def turn(number: int) -> None:
        async with factory.create_lock(f"{name}:{number}") as validity:
            assert validity > 0

    for number in range(3):
        asyncio.run(turn(number))
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            asyncio.run(turn(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failures
    asyncio.run(factory.close())


def test_a_loop_that_ends_leaves_nothing_locked(nodes: Nodes, name: str) -> None:
    factory = aio.RedLockFactory(nodes.details)
    nodes.take(name)

    async def leave() -> None:
        left = asyncio.ensure_future(factory.create_lock(name).acquire(timeout=None))
        await asyncio.sleep(0)
        assert not left.done()

    asyncio.run(leave())
    gc.collect()
    nodes.delete(name)

    async def take() -> None:
        async with factory.acquire(name, ttl=10_000, timeout=30):
            pass
        await factory.close()

    asyncio.run(take())
