"""The constants of the `redlock` package, and what its blocking and its asyncio lock have in common."""

from __future__ import annotations

import random
from ctypes import c_void_p, pointer
from typing import TYPE_CHECKING, Any, Generic, Iterable, Iterator, TypeVar

from . import _nodes
from ._abandoned import keep, keep_no_longer
from ._arguments import Milliseconds, Options, Resource, count_of, delay_of, names_of, ttl_of, wait_of
from ._connections import settings_of, shared
from ._leaving import in_main_thread
from ._nodes import ConnectionDetail
from .errors import ExpiredError, InvalidArgumentError, RedLockError, ReleasedError
from .held import BaseHeldLock

if TYPE_CHECKING:
    from .factory import BaseFactory

#: How often a failed acquire is tried again.
DEFAULT_RETRY_TIMES = 3
#: The longest rest between two tries, in ms.
DEFAULT_RETRY_DELAY = 200
#: The TTL of a lock, in ms.
DEFAULT_TTL = 100000
#: The share of the TTL by which clocks may be apart; 2 ms are added.
CLOCK_DRIFT_FACTOR = 0.01

Held = TypeVar("Held", bound=BaseHeldLock)


class _Exit(Generic[Held]):
    """What the end of a ``with`` statement in the main thread gives back: what that thread acquired last."""

    def __init__(self) -> None:
        self.held: Held | None = None
        self.handle = c_void_p()
        # While it releases nothing, C refuses, and its error goes where it is no lock's outcome.
        self.refusal = c_void_p()
        self.error: Any = pointer(self.refusal)

    # The main thread alone changes what follows, and it is not in C, which reads it.

    def will_release(self, held: Held) -> None:
        """Give this back."""
        self.held = held
        self.error.contents = held._outcome
        self.handle.value = held._cell.value

    def will_not_release(self) -> None:
        """Leave it to Python code."""
        self.handle.value = None
        self.error.contents = self.refusal

    @property
    def releases(self) -> bool:
        """Whether C gives a lock back."""
        return self.held is not None and self.handle.value is not None


class BaseLock(Generic[Held]):
    """What is locked, how, and on which nodes. The attributes may be changed; the next acquire goes by them."""

    #: What is locked.
    resource: Resource
    #: How often a failed acquire is tried again.
    retry_times: int
    #: The longest rest between two tries, in ms.
    retry_delay: Milliseconds
    #: After this time, in ms, the nodes free the lock by themselves.
    ttl: Milliseconds
    #: For each node the redis-py client that was given for it, or its address as a `redlock.Node`.
    redis_nodes: list[Any]
    #: How many nodes have to grant the lock.
    quorum: int
    #: The factory that the lock was made by, or None.
    factory: BaseFactory | None = None
    #: Why the last acquire failed, or why the last release was not heard by a quorum; None when all went well.
    last_error: RedLockError | None = None

    # Class attributes, for the sake of subclasses and tests that keep __init__ from running.
    _held: Held | None = None
    _exit: _Exit[Held] | None = None
    _acquired_before = False
    #: redis-py's module for the clients that answer for the nodes.
    _clients = "redis"

    def __init__(
        self,
        resource: Resource,
        connection_details: Iterable[ConnectionDetail] | None = None,
        retry_times: int = DEFAULT_RETRY_TIMES,
        retry_delay: Milliseconds = DEFAULT_RETRY_DELAY,
        ttl: Milliseconds = DEFAULT_TTL,
        *,
        options: Options | None = None,
        factory: BaseFactory | None = None,
    ) -> None:
        names, ttl_ms = names_of(resource), ttl_of(ttl)
        count_of(retry_times, "retry_times"), delay_of(retry_delay)
        self.resource, self.retry_times, self.retry_delay, self.ttl = resource, retry_times, retry_delay, ttl
        self.factory = factory
        if factory is None:
            parsed = _nodes.parse(connection_details, self._clients)
            self._connections = shared(parsed.urls, settings_of(parsed, options), parsed.provider)
            self.redis_nodes = parsed.nodes
        elif connection_details is not None or options is not None:
            raise TypeError("a factory has its connection details and options already")
        else:
            self._connections = factory._connections
            self.redis_nodes = factory.redis_nodes
        self.quorum = len(self.redis_nodes) // 2 + 1
        self._connections.check_arguments(names, ttl_ms)

    @property
    def validity(self) -> float:
        """The time in ms for which the lock is still proven held; 0.0 when it is not held."""
        held = self._current()
        return 0.0 if held is None else held.validity

    @property
    def fence(self) -> int:
        """The fencing token of the held lock, as `redlock.HeldLock.fence` describes it; 0 when it is not held."""
        held = self._current()
        return 0 if held is None else held.fence

    @property
    def fences(self) -> tuple[int, ...]:
        """The fencing tokens of all resources; empty when the lock is not held."""
        held = self._current()
        return () if held is None else held.fences

    @property
    def lock_key(self) -> str | None:
        """The owner token, which is the value of the key in Redis; None when the lock is not held."""
        held = self._current()
        return None if held is None else held.token

    @property
    def lost(self) -> bool:
        """Whether the lock was acquired, not released, and can no longer be proven held."""
        held = self._current()
        return held is not None and held.lost

    def __repr__(self) -> str:
        held = self._current()
        return f"<{type(self).__qualname__} {self.resource!r}, {'not held' if held is None else repr(held)}>"

    def _current(self) -> Held | None:
        """What is held, unless C gave it back and an exception came before Python heard of that."""
        held = self._held
        return None if held is None or held.released else held

    def _settle(self) -> None:
        """Finish in Python what C gave back, if an exception came in between."""
        held = self._held
        if held is not None and held.released:
            held._after_leaving()
            self._held = None

    def _holding(self) -> Held:
        """The held lock, for what needs one."""
        held = self._current()
        if held is None:
            raise ReleasedError(f"the lock on {self.resource!r} is not held")
        return held

    def _no_longer_held(self) -> Held | None:
        """What a release has to give back."""
        if not self._acquired_before:
            raise ReleasedError(f"the lock on {self.resource!r} was never acquired")
        held, self._held = self._current(), None
        return held

    def _failed(self, error: RedLockError) -> None:
        # The traceback would keep its frames alive, and this object by them.
        self.last_error = error.with_traceback(None)
        self._acquired_before = True

    def _won(self, held: Held) -> None:
        held._check_won()
        held._is_inner = True
        keep(held._cell.value or 0)
        if self._exit is not None and in_main_thread():
            self._exit.will_release(held)
        self._held = held
        self.last_error = None
        self._acquired_before = True

    def _too_late(self) -> ExpiredError:
        """It ran out while this thread stood still."""
        return ExpiredError(f"the lock on {self.resource!r} has ended already, with a TTL of {self.ttl} ms")

    def _give_up(self, held: Held) -> None:
        """An exception ended the acquire that may have won this; it was given back."""
        keep_no_longer(held._cell.value)
        held._disown()
        if self._held is held:
            self._held = None

    def _is_entered(self) -> None:
        """A ``with`` statement has it, and will give it back."""
        held = self._held
        if held is not None:
            held._own()

    def _still_held(self) -> bool:
        """Whether one who has acquired the lock may acquire it once more."""
        if not self.lost:
            return True
        self._failed(ExpiredError(f"the lock on {self.resource!r} was lost, and its outer holder does not know yet"))
        return False

    def _refusal(self) -> RedLockError:
        """The exception that a ``with`` statement meets when the lock cannot be had."""
        error = RedLockError("failed to acquire lock")
        reason = self.last_error
        if reason is not None:
            error.status, error.nodes = reason.status, reason.nodes
        return error

    def _tries(self, blocking: bool, timeout: float | None) -> Iterator[tuple[float, int]]:
        """What an acquire does: how many seconds to rest, and then for how many ms to try; perhaps again."""
        if not blocking:
            if timeout != -1:
                raise InvalidArgumentError("a timeout is for an acquire that blocks")
            yield 0.0, 0
        elif timeout != -1:
            yield 0.0, wait_of(timeout)
        else:
            longest = delay_of(self.retry_delay) / 1000
            again = count_of(self.retry_times, "retry_times")
            yield 0.0, 0
            for _ in range(again):
                yield random.uniform(0, longest), 0
