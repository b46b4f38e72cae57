"""A lock that is held: what one successful acquire gave."""

from __future__ import annotations

import threading
import warnings
from ctypes import c_void_p
from types import TracebackType
from typing import Callable, NoReturn

from ._arguments import Milliseconds, Resource, ttl_of
from ._calls import call
from ._library import library
from ._watch import OnLost, watch
from .errors import RedLockError


class BaseHeldLock:
    """What the blocking and the asyncio form of a held lock have in common: all that asks no node."""

    __slots__ = ("__weakref__", "_abandoned", "_cell", "_given_back", "_unwatch", "resource", "ttl")

    #: What is locked, as it was named.
    resource: Resource
    #: The TTL in ms that it was acquired or last extended with; what is left of it may be more, see `extend`.
    ttl: int

    def __init__(self, resource: Resource, ttl: int) -> None:
        # The handle's place is here before there is a handle, so that an exception at any moment, as a signal's handler
        # may raise it, leaves no lock without an owner.
        self._cell = c_void_p()
        self._given_back = False
        self._abandoned = False
        self._unwatch: Callable[[], None] | None = None
        self.resource = resource
        self.ttl = ttl

    @property
    def validity(self) -> float:
        """The time in ms for which the lock is still proven held; 0.0 once it was lost or released."""
        return float(library.lock_validity_ms(self._cell.value))

    @property
    def token(self) -> str:
        """The owner token: the value of the lock's key in Redis."""
        return str(library.lock_token(self._cell.value).decode())

    @property
    def fence(self) -> int:
        """The fencing token: larger than those of all locks on the resource that were acquired before.

        Send it with each write to what the lock protects, and have the storage refuse a smaller one than it has seen. Of
        several resources, the first's. 0 with the option ``fencing`` set to ``off``.
        """
        return int(library.lock_fence(self._cell.value))

    @property
    def fences(self) -> tuple[int, ...]:
        """The fencing tokens of all resources, in the order in which they were named."""
        handle = self._cell.value
        return tuple(library.lock_fence_at(handle, i) for i in range(library.lock_resource_count(handle)))

    @property
    def kept(self) -> bool:
        """Whether `keep_alive` was called."""
        return self._unwatch is not None

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return self._given_back

    @property
    def lost(self) -> bool:
        """Whether it can no longer be proven held, although nobody gave it back."""
        return not self._given_back and self.validity == 0.0

    def __repr__(self) -> str:
        state = "released" if self._given_back else f"{self.validity:.0f} ms left"
        return f"<{type(self).__qualname__} {self.resource!r}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__qualname__} cannot be copied or pickled: a lock has one owner")

    def _watched(self, unwatch: Callable[[], None]) -> None:
        """A watch is set on the lock, in place of one before."""
        self._no_longer_watched()
        self._unwatch = unwatch

    def _no_longer_watched(self) -> None:
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()

    def __del__(self) -> None:
        handle = self._cell.value
        if not handle:
            return
        self._cell.value = None
        self._no_longer_watched()
        if self._given_back:
            library.lock_forget(handle)
            return
        forgotten = library.lock_validity_ms(handle) > 0
        if forgotten and self._abandoned:
            # The process ends, and the lock is to stay held.
            return
        library.lock_free(handle)
        if forgotten:
            warnings.warn(f"the lock on {self.resource!r} was never released", ResourceWarning, 1, self)


class HeldLock(BaseHeldLock):
    """A lock that this process holds, as `RedLockFactory.acquire` gives it. Leaving its ``with`` block releases it.

    Any number of threads may use it. One that is forgotten is released in the background, with a `ResourceWarning`. In a
    forked child it answers `ForkedError`; the parent goes on holding it.
    """

    __slots__ = ()

    def keep_alive(self, on_lost: OnLost | None = None) -> threading.Event:
        """Have the lock extended in time, at a third of its TTL, until it is released, forgotten or lost.

        Returns an event that is set when it is lost, before the validity ends, so that there is time to stop. `on_lost` is
        called too, in a thread of this package, with the reason; as long as the lock is watched it keeps alive what it
        refers to, so it should not refer to the lock. A further call takes the place of the one before.
        """
        lost = threading.Event()

        def tell(reason: RedLockError) -> None:
            lost.set()
            if on_lost is not None:
                on_lost(reason)

        self._watched(watch().keep(self._cell.value, tell))
        return lost

    def release(self) -> None:
        """Give the lock back.

        Raises `ReleasedError` when that was done before; `ExpiredError` when the lock had been lost meanwhile, so that
        another owner may have been at work; `NoQuorumError` when too few nodes could be told, which then free it when its
        TTL ends.
        """
        self._given_back = True
        self._no_longer_watched()
        call(library.release, self._cell.value)

    def extend(self, ttl: Milliseconds | None = None) -> float:
        """Have the lock last for `ttl` ms from now at least, by default for its TTL; returns the validity in ms.

        It never ends earlier by that than it would.

        Raises `ExpiredError` when the lock is not held any more: it is not taken again. A failed extension leaves the lock
        as it was.
        """
        ttl_ms = self.ttl if ttl is None else ttl_of(ttl)
        call(library.extend, self._cell.value, ttl_ms)
        self.ttl = ttl_ms
        return self.validity

    def __enter__(self) -> HeldLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._given_back:
            return
        try:
            self.release()
        except RedLockError:
            # An exception of the block says more than what it led to.
            if error is None:
                raise
