"""The package for asyncio: the same names, with coroutines where the nodes are asked.

    from redlock import aio

    async with aio.RedLockFactory(connection_details) as factory:
        async with factory.create_lock("distributed_lock"):
            ...

Nothing blocks the event loop and no thread is used: the loop watches one descriptor of the C library. Cancelling a task
cancels its acquire; a lock that it may have won by then goes back. Objects are for the tasks of one event loop.
"""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import Any, Generator

from ._arguments import Milliseconds, Resource, names_of, ttl_of, wait_of
from ._calls import Queue
from ._connections import FAILED, Connections
from ._dispatcher import dispatcher
from ._library import library
from ._settings import BaseLock
from ._watch import OnLost
from .errors import ContendedError, ExpiredError, NoQuorumError, RedLockError
from .factory import BaseFactory
from .held import BaseHeldLock, Owned, call_alike

__all__ = ["Acquiring", "HeldLock", "RedLock", "RedLockFactory", "ReentrantRedLock"]


class HeldLock(BaseHeldLock):
    """A lock that this process holds, as `RedLockFactory.acquire` gives it. Leaving its ``async with`` releases it."""

    __slots__ = ()

    def keep_alive(self, on_lost: OnLost | None = None) -> asyncio.Event:
        """Have the lock extended in time, at a third of its TTL, until it is released, forgotten or lost.

        Returns an event that is set when it is lost, before the validity ends; `on_lost` is called too, in the event loop,
        with the reason. It should not refer to the lock, which would live as long as it is watched.
        """
        lost = asyncio.Event()

        def tell(reason: RedLockError) -> None:
            lost.set()
            if on_lost is not None:
                on_lost(reason)

        def keep(*arguments: Any) -> None:
            self._call(library.lock_keep_alive, *arguments)

        self._watched(dispatcher().keep(keep, tell))
        self._own()
        return lost

    async def release(self) -> None:
        """Give the lock back; it goes also when the task is cancelled meanwhile. Raises as `redlock.HeldLock.release`."""
        self._given_back = True
        self._no_longer_watched()
        try:
            await self._run(library.submit_release)
        except (ExpiredError, NoQuorumError):
            self._ended()
            raise
        self._ended()

    async def extend(self, ttl: Milliseconds | None = None) -> float:
        """Have the lock last for `ttl` ms from now at least: as `redlock.HeldLock.extend`."""
        ttl_ms = self.ttl if ttl is None else ttl_of(ttl)
        await self._run(library.submit_extend, ttl_ms)
        self.ttl = ttl_ms
        return self.validity

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await dispatcher().run(lambda queue, number: self._call(function, *arguments, queue.handle, number))

    async def __aenter__(self) -> HeldLock:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.released:
            return
        try:
            await self.release()
        except RedLockError:
            # An exception of the block says more than what it led to.
            if error is None:
                raise


class OwnedHeldLock(Owned, HeldLock):
    """A `HeldLock` that is released when it is forgotten."""

    __slots__ = ()


call_alike(OwnedHeldLock, HeldLock)


class Acquiring:
    """An acquire that begins when it is awaited, or entered by ``async with``, and gives a `HeldLock`."""

    def __init__(self, connections: Connections, held: HeldLock, names: tuple[bytes, ...], wait_ms: int) -> None:
        self._connections, self._held, self._names, self._wait_ms = connections, held, names, wait_ms

    def __await__(self) -> Generator[Any, None, HeldLock]:
        return self._acquire().__await__()

    async def _acquire(self) -> HeldLock:
        await _acquire(self._connections, self._held, self._names, self._wait_ms)
        self._held._check_won()
        self._held._own()
        return self._held

    async def __aenter__(self) -> HeldLock:
        return await self._acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._held.__aexit__(kind, error, traceback)


class RedLockFactory(BaseFactory):
    """A set of independent Redis masters to take locks on; the arguments are those of `redlock.RedLockFactory`."""

    _clients = "redis.asyncio"

    def create_lock(self, resource: Resource, **kwargs: Any) -> RedLock:
        """Make a `RedLock` on these nodes; the further arguments are those of `RedLock`."""
        return RedLock(resource=resource, factory=self, **kwargs)

    def acquire(self, resource: Resource, *, ttl: Milliseconds, timeout: float | None) -> Acquiring:
        """Acquire a lock for `ttl` ms, trying for `timeout` seconds: 0 tries once, None for ever.

        ``held = await factory.acquire(...)``, or ``async with factory.acquire(...) as held:``, which releases it at its end.
        Raises as `redlock.RedLockFactory.acquire`.
        """
        held = HeldLock(resource, ttl_of(ttl))
        return Acquiring(self._connections, held, names_of(resource), wait_of(timeout))

    async def is_locked(self, resource: Resource) -> bool:
        """Whether a resource, or one of several, is locked by anyone, on a quorum of the nodes."""
        return await _any_locked(self._connections, names_of(resource))

    async def close(self) -> None:
        """Close the connections. Locks that are held stay held and usable; acquires that wait end in `ClosedError`."""
        # It waits for releases in the background to reach the nodes.
        await asyncio.get_running_loop().run_in_executor(None, self._connections.close)

    async def __aenter__(self) -> RedLockFactory:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class RedLock(BaseLock[HeldLock]):
    """`redlock.RedLock` for asyncio: the same arguments and attributes."""

    _clients = "redis.asyncio"

    async def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """Acquire the lock; True when it is held then, False when not, for the reason in `last_error`."""
        try:
            self._won(await self._take(blocking, timeout))
            return True
        except FAILED as error:
            self._failed(error)
            return False

    async def acquire_with_validity(self, blocking: bool = True, timeout: float | None = -1) -> tuple[bool, float]:
        """As `acquire`; returns also for how many ms the lock is proven held, ``(False, 0)`` when it is not."""
        if not await self.acquire(blocking, timeout):
            return False, 0
        validity = self.validity
        if validity == 0.0 and self._current() is not None:
            await self.release()
            self._failed(self._too_late())
            return False, 0
        return True, validity

    async def release(self) -> None:
        """Give the lock back. One that is not held any more, because it was released or lost, is passed over in silence."""
        held = self._no_longer_held()
        if held is None:
            return
        self.last_error = None
        try:
            await held.release()
        except FAILED as error:
            self._failed(error)

    async def locked(self) -> bool:
        """Whether anybody holds the lock, by a quorum of the nodes; by now this may have changed."""
        return await _any_locked(self._connections, names_of(self.resource))

    async def extend(self, ttl: Milliseconds | None = None) -> float:
        """Have the lock last for `ttl` ms from now at least: as `redlock.RedLock.extend`."""
        return await self._holding().extend(ttl)

    def keep_alive(self, on_lost: OnLost | None = None) -> asyncio.Event:
        """Have the held lock extended in time until it is released, forgotten or lost: see `HeldLock.keep_alive`."""
        return self._holding().keep_alive(on_lost)

    async def __aenter__(self) -> float:
        acquired, validity = await self.acquire_with_validity()
        if not acquired:
            raise self._refusal() from self.last_error
        self._is_entered()
        return validity

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.release()

    async def _take(self, blocking: bool, timeout: float | None) -> HeldLock:
        held = HeldLock(self.resource, ttl_of(self.ttl))
        names = names_of(self.resource)
        failure: RedLockError | None = None
        for rest, wait_ms in self._tries(blocking, timeout):
            if rest:
                await asyncio.sleep(rest)
            try:
                await _acquire(self._connections, held, names, wait_ms)
                return held
            except FAILED as error:
                failure = error
        # There is one try at least.
        raise failure or ContendedError("the lock was not tried")


class ReentrantRedLock(RedLock):
    """`redlock.ReentrantRedLock` for asyncio. The holder is the object, whichever task uses it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._acquired = 0
        self._counting: asyncio.Lock | None = None

    async def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """As `RedLock.acquire`; one who holds the lock gets it again at once, unless it was lost."""
        async with self._count():
            if self._acquired == 0:
                acquired = await super().acquire(blocking, timeout)
            else:
                acquired = self._still_held()
            self._acquired += bool(acquired)
            return acquired

    async def release(self) -> bool | None:  # type: ignore[override]  # as the blocking one
        """Undo one acquire. Returns True while outer ones remain, None when the lock was given back, False when not held."""
        async with self._count():
            if self._acquired == 0:
                return False
            self._acquired -= 1
            if self._acquired > 0:
                return True
            await super().release()
            return None

    def _count(self) -> asyncio.Lock:
        # Made in the running loop, to which older versions of Python bind it.
        if self._counting is None:
            self._counting = asyncio.Lock()
        return self._counting


async def _acquire(connections: Connections, held: BaseHeldLock, names: tuple[bytes, ...], wait_ms: int) -> None:
    def submit(queue: Queue, number: int) -> None:
        connections.submit_acquire(names, held.ttl, wait_ms, queue, number)

    event = await dispatcher().run(submit)
    event.take_lock(held._cell)


async def _any_locked(connections: Connections, names: tuple[bytes, ...]) -> bool:
    for name in names:
        event = await dispatcher().run(functools.partial(connections.submit_is_locked, name))
        if event.value:
            return True
    return False
