"""A lock that is held: what one successful acquire gave."""

from __future__ import annotations

import threading
import warnings
from ctypes import byref, c_void_p
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from ._abandoned import keep_no_longer
from ._arguments import Milliseconds, Resource, ttl_of
from ._calls import call
from ._green import dispatcher
from ._leaving import ExitByC
from ._library import library
from ._watch import OnLost, watch
from .errors import (
    ExpiredError,
    ForkedError,
    InvalidArgumentError,
    NoQuorumError,
    RedLockError,
    ReleasedError,
    Reported,
    take_error,
)

#: Stands where a release by `ExitByC` puts NULL or its error: it has not come to pass.
_NOT_LEFT = 1


class BaseHeldLock:
    """What the blocking and the asyncio form of a held lock have in common: all that asks no node."""

    __slots__ = (
        "__weakref__",
        "_cell",
        "_final",
        "_given_back",
        "_is_inner",
        "_outcome",
        "_owner",
        "_unwatch",
        "resource",
        "ttl",
    )

    #: The classes of a lock that is released when it is forgotten, and of one that is not.
    _owned: Any
    _ownerless: Any
    #: What is locked, as it was named.
    resource: Resource
    #: The TTL in ms that it was acquired or last extended with; what is left of it may be more, see `extend`.
    ttl: int

    def __init__(self, resource: Resource, ttl: int) -> None:
        # The handle's place is here before there is a handle, so that an exception at any moment, as a signal's handler
        # may raise it, leaves no lock without an owner.
        self._cell = c_void_p()
        self._outcome = c_void_p(_NOT_LEFT)
        self._owner = threading.get_ident()
        self._given_back = False
        # Whether it is that of a `RedLock`, and unknown to users, who may ask others for their token after the release too.
        self._is_inner = False
        self._final: tuple[str, tuple[int, ...]] | None = None
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
        if self._final is not None:
            return self._final[0]
        return str(library.lock_token(self._cell.value).decode())

    @property
    def fence(self) -> int:
        """The fencing token: larger than those of all locks on the resource that were acquired before.

        Send it with each write to what the lock protects, and have the storage refuse a smaller one than it has seen. Of
        several resources, the first's. 0 with the option ``fencing`` set to ``off``.
        """
        if self._final is not None:
            return self._final[1][0]
        return int(library.lock_fence(self._cell.value))

    @property
    def fences(self) -> tuple[int, ...]:
        """The fencing tokens of all resources, in the order in which they were named."""
        if self._final is not None:
            return self._final[1]
        handle = self._cell.value
        if not isinstance(self.resource, (list, tuple)):
            return (int(library.lock_fence(handle)),)
        return tuple(library.lock_fence_at(handle, i) for i in range(library.lock_resource_count(handle)))

    @property
    def kept(self) -> bool:
        """Whether `keep_alive` was called."""
        return self._unwatch is not None

    @property
    def released(self) -> bool:
        """Whether it was given back, or detached."""
        return self._given_back or self._outcome.value != _NOT_LEFT

    @property
    def lost(self) -> bool:
        """Whether it can no longer be proven held, although nobody gave it back."""
        return not self.released and self.validity == 0.0

    def __repr__(self) -> str:
        state = "released" if self.released else f"{self.validity:.0f} ms left"
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

    def _check_won(self) -> None:
        """A lock whose validity is over when it has been won is not won."""
        if self.validity == 0.0:
            library.lock_free(self._cell)
            raise ExpiredError(
                f"the lock on {self.resource!r} was granted, but too late to be of use with a TTL of {self.ttl} ms"
            )

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Call a function whose first argument is the lock."""
        handle = self._cell.value
        try:
            if handle is not None:
                return call(function, handle, *arguments)
        except InvalidArgumentError:
            # Or was it released between those two lines?
            if self._cell.value is not None:
                raise
        raise ReleasedError(f"the lock on {self.resource!r} was already released")

    def _after_leaving(self) -> Reported | None:
        """C gave it back; returns the error."""
        self._given_back = True
        self._no_longer_watched()
        error = c_void_p(self._outcome.value)
        self._outcome.value = None
        reason = take_error(library.error_code(error), error) if error.value else None
        if not isinstance(reason, ForkedError):
            self._ended()
        return reason

    def detach(self) -> None:
        """Let go of it and leave it held until its TTL ends, for work that is to be done at most once in a period.

        Keeping alive ends, and nobody can extend or release it afterwards. Raises `ReleasedError` when it was released.
        """
        handle = self._cell.value
        if handle is None or self.released:
            raise ReleasedError(f"the lock on {self.resource!r} was already released")
        self._final = (self.token, self.fences)
        self._given_back = True
        self._no_longer_watched()
        self._disown()
        self._cell.value = None
        keep_no_longer(handle)
        library.lock_detach(handle)

    def _own(self) -> None:
        """From now on it is released when this object is forgotten."""
        self.__class__ = self._owned
        keep_no_longer(self._cell.value)

    def _disown(self) -> None:
        """From now on nothing is done when this object is forgotten."""
        self.__class__ = self._ownerless

    def _ended(self) -> None:
        """It was given back, so that there is nothing left for a finalizer to do.

        One that runs nevertheless would swallow the exception of a signal's handler that comes just then.
        """
        handle = self._cell.value
        if handle is None:
            return
        if not self._is_inner:
            self._final = (self.token, self.fences)
        self._disown()
        self._cell.value = None
        keep_no_longer(handle)
        library.lock_forget(handle)


class Owned:
    """What makes a held lock one that is released when it is forgotten."""

    __slots__ = ()

    def __del__(self: Any) -> None:
        handle = self._cell.value
        self._no_longer_watched()
        forgotten = not self.released and library.lock_validity_ms(handle) > 0
        library.lock_free(handle)
        if self._outcome.value != _NOT_LEFT:
            library.error_free(self._outcome)
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

        def keep(*arguments: Any) -> None:
            self._call(library.lock_keep_alive, *arguments)

        self._watched(watch().keep(keep, tell))
        self._own()
        return lost

    def release(self) -> None:
        """Give the lock back.

        Raises `ReleasedError` when that was done before; `ExpiredError` when the lock had been lost meanwhile, so that
        another owner may have been at work; `NoQuorumError` when too few nodes could be told, which then free it when its
        TTL ends.
        """
        self._given_back = True
        self._no_longer_watched()
        green = dispatcher()
        try:
            if green is None:
                self._call(library.release)
            else:
                green.run(lambda queue, number: self._call(library.submit_release, queue.handle, number))
        except (ExpiredError, NoQuorumError):
            self._ended()
            raise
        self._ended()

    def extend(self, ttl: Milliseconds | None = None) -> float:
        """Have the lock last for `ttl` ms from now at least, by default for its TTL; returns the validity in ms.

        It never ends earlier by that than it would.

        Raises `ExpiredError` when the lock is not held any more: it is not taken again. A failed extension leaves the lock
        as it was.
        """
        ttl_ms = self.ttl if ttl is None else ttl_of(ttl)
        green = dispatcher()
        if green is None:
            self._call(library.extend, ttl_ms)
        else:
            green.run(lambda queue, number: self._call(library.submit_extend, ttl_ms, queue.handle, number))
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
        if self.released:
            return
        try:
            self.release()
        except RedLockError:
            # An exception of the block says more than what it led to.
            if error is None:
                raise

    if not TYPE_CHECKING:
        __exit__ = ExitByC(__exit__)

    def _exit_cells(self) -> tuple[Any, Any] | None:
        return None if self.released else (self._cell, byref(self._outcome))

    def _left(self, status: int, error: type[BaseException] | None) -> None:
        again = self._given_back
        reason = self._after_leaving()
        if status and reason is not None and error is None and not (again or isinstance(reason, ReleasedError)):
            raise reason


class OwnedHeldLock(Owned, HeldLock):
    """A `HeldLock` that is released when it is forgotten."""

    __slots__ = ()


def call_alike(owned: type, ownerless: type[BaseHeldLock]) -> None:
    """The two classes of a held lock are one for users."""
    owned.__name__, owned.__qualname__ = ownerless.__name__, ownerless.__qualname__
    ownerless._owned, ownerless._ownerless = owned, ownerless


call_alike(OwnedHeldLock, HeldLock)
