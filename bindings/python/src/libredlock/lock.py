"""`RedLock` and `ReentrantRedLock`: the classes, constants and manners of the `redlock` package, on the C library."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._arguments import Milliseconds, names_of, ttl_of
from ._connections import FAILED
from ._leaving import ExitByC, in_main_thread
from ._library import library
from ._settings import CLOCK_DRIFT_FACTOR, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_TIMES, DEFAULT_TTL, BaseLock, _Exit
from ._watch import OnLost
from .errors import ContendedError, RedLockError, ReleasedError
from .factory import RedLockFactory
from .held import HeldLock

__all__ = [
    "CLOCK_DRIFT_FACTOR",
    "DEFAULT_RETRY_DELAY",
    "DEFAULT_RETRY_TIMES",
    "DEFAULT_TTL",
    "RedLock",
    "RedLockError",
    "RedLockFactory",
    "ReentrantRedLock",
]


class RedLock(BaseLock[HeldLock]):
    """A distributed lock with the manners of `threading.Lock`.

    `connection_details` are those of `RedLockFactory`; locks on the same nodes share connections. An acquire is tried
    `retry_times` + 1 times at most, with 0 to `retry_delay` ms between the tries. `resource` may be a sequence of names.

    A `RedLock` that is forgotten while it is held stays held until its TTL ends; one that is kept alive is released then.
    """

    def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """Acquire the lock; True when it is held then, False when not, for the reason in `last_error`.

        Without a timeout it is tried as often as `retry_times` says. With one, in seconds, it is waited for: in order of
        arrival, and woken when it is free; None waits for ever. Not blocking means to try once.
        """
        self._settle()
        held = HeldLock(self.resource, ttl_of(self.ttl))
        try:
            self._take(held, blocking, timeout)
            self._won(held)
            return True
        except FAILED as error:
            self._failed(error)
            return False
        except BaseException:
            # The first thing that is done here is one call into C, before which no handler of a signal can run.
            library.lock_free(held._cell)
            self._give_up(held)
            raise

    def acquire_with_validity(self, blocking: bool = True, timeout: float | None = -1) -> tuple[bool, float]:
        """As `acquire`; returns also for how many ms the lock is proven held, ``(False, 0)`` when it is not."""
        # Without arguments when there are none, for subclasses that know none.
        is_default = (blocking, timeout) == (True, -1)
        acquired = self.acquire() if is_default else self.acquire(blocking, timeout)
        if not acquired:
            return False, 0
        validity = self.validity
        if validity == 0.0 and self._current() is not None:
            self.release()
            self._failed(self._too_late())
            return False, 0
        return True, validity

    def release(self) -> None:
        """Give the lock back. One that is not held any more, because it was released or lost, is passed over in silence."""
        held = self._no_longer_held()
        if held is None:
            return
        self.last_error = None
        try:
            held.release()
        except FAILED as error:
            self._failed(error)
        except ReleasedError:
            # Another thread was faster.
            pass

    def locked(self) -> bool:
        """Whether anybody holds the lock, by a quorum of the nodes; by now this may have changed."""
        return any(self._connections.is_locked(name) for name in names_of(self.resource))

    def extend(self, ttl: Milliseconds | None = None) -> float:
        """Have the lock last for `ttl` ms from now at least, by default for its TTL; returns the validity in ms.

        It never ends earlier by that than it would.

        Raises `ExpiredError` when the lock was lost, `ReleasedError` when it is not held.
        """
        return self._holding().extend(ttl)

    def keep_alive(self, on_lost: OnLost | None = None) -> threading.Event:
        """Have the held lock extended in time until it is released, forgotten or lost.

        Returns an event that is set when it is lost; `on_lost` is called then too: see `redlock.HeldLock.keep_alive`.
        """
        return self._holding().keep_alive(on_lost)

    def __enter__(self) -> float:
        before, caller = self._held, threading.get_ident()
        try:
            acquired, validity = self.acquire_with_validity()
            if not acquired:
                raise self._refusal() from self.last_error
            self._is_entered()
            return validity
        except BaseException:
            held = self._held
            if held is not None and held is not before and held._owner == caller:
                # As in `acquire`. Another thread's, which uses the same object, is left alone.
                library.lock_free(held._cell)
                self._give_up(held)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    if not TYPE_CHECKING:
        __exit__ = ExitByC(__exit__)

    def _exit_cells(self) -> tuple[Any, Any] | None:
        if _releases() != _OWN_RELEASES or type(self).release not in _OWN_RELEASES or "release" in vars(self):
            # Who wrote another release wants it to be called.
            return None
        if self._exit is None:
            self._exit = _Exit()
        return self._exit.handle, self._exit.error

    def _left(self, status: int, error: type[BaseException] | None) -> None:  # noqa: ARG002  # the error tells it
        leaving = self._exit
        if leaving is None or leaving.held is None or not leaving.releases:
            # Acquired in another thread, or never.
            return self.release()
        held, leaving.held = leaving.held, None
        again, reason = held._given_back, held._after_leaving()
        if self._held is held:
            self._held = None
        if again or isinstance(reason, ReleasedError):
            return None
        self.last_error = None
        if isinstance(reason, FAILED):
            self._failed(reason)
        elif reason is not None and error is None:
            raise reason
        return None

    def _take(self, held: HeldLock, blocking: bool, timeout: float | None) -> None:
        names = names_of(self.resource)
        failure: RedLockError | None = None
        for rest, wait_ms in self._tries(blocking, timeout):
            if rest:
                time.sleep(rest)
            try:
                self._connections.acquire(names, held.ttl, wait_ms, held._cell)
                return
            except FAILED as error:
                failure = error
        # There is one try at least.
        raise failure or ContendedError("the lock was not tried")


class ReentrantRedLock(RedLock):
    """A `RedLock` that its holder can acquire again: only the first acquire and the last release ask the nodes.

    The holder is the object, whichever thread uses it. A lock that was lost meanwhile is not acquired again before it was
    released as often as it was acquired.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._acquired = 0
        self._counting = threading.RLock()

    def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """As `RedLock.acquire`; one who holds the lock gets it again at once, unless it was lost."""
        with self._counting:
            if self._count() == 0:
                is_default = (blocking, timeout) == (True, -1)
                acquired = super().acquire() if is_default else super().acquire(blocking, timeout)
            else:
                acquired = self._still_held()
                if self._exit is not None:
                    # Now the end of the ``with`` statement that has it may be too early to give it back.
                    self._exit.will_not_release()
            self._acquired += bool(acquired)
            return acquired

    def release(self) -> bool | None:  # type: ignore[override]  # the package before this one answers so
        """Undo one acquire. Returns True while outer ones remain, None when the lock was given back, False when not held."""
        with self._counting:
            if self._count() == 0:
                return False
            self._acquired -= 1
            if self._acquired > 0:
                return True
            super().release()
            return None

    def __enter__(self) -> float:
        leaving, count, held = self._exit, self._acquired, self._held
        is_inner = count > 0 and leaving is not None and leaving.releases and in_main_thread()
        try:
            validity = super().__enter__()
            if is_inner and leaving is not None and held is not None:
                # An inner ``with`` statement of the main thread ends before the outer one, which still gives it back.
                leaving.will_release(held)
            return validity
        except RedLockError:
            raise
        except BaseException:
            # By a signal's handler, between the count and the block.
            self._acquired = count
            raise

    def _exit_cells(self) -> tuple[Any, Any] | None:
        return None if self._count() else super()._exit_cells()

    def _left(self, status: int, error: type[BaseException] | None) -> None:
        if self._exit is not None and self._exit.releases:
            self._acquired = 0
            super()._left(status, error)
        else:
            self.release()

    def _count(self) -> int:
        """How often it is held. By C a lock may have been given back without Python having counted it."""
        if self._acquired and self._held is not None and self._held.released:
            self._acquired = 0
        return self._acquired


def _releases() -> tuple[Any, ...]:
    return (RedLock.release, ReentrantRedLock.release)


_OWN_RELEASES = _releases()
