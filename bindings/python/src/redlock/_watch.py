"""Who hears that a kept lock was lost: one thread for the process, asleep in the C library until there is something."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from typing import Callable

from ._calls import Queue, call
from ._library import EVENT_LOST, library
from .errors import RedLockError

#: Called with the reason when a lock is lost.
OnLost = Callable[[RedLockError], object]


class Watch:
    """The locks that are kept alive, by the numbers that their events carry."""

    def __init__(self) -> None:
        self._listeners: dict[int, OnLost] = {}
        self._numbers = itertools.count(1)
        self._queue: Queue | None = None
        self._starting = threading.Lock()

    def keep(self, lock: int | None, on_lost: OnLost) -> Callable[[], None]:
        """Have the C library keep a lock alive; returns what makes its loss nobody's business any more."""
        queue, number = self._started(), next(self._numbers)
        self._listeners[number] = on_lost
        try:
            call(library.lock_keep_alive, lock, queue.handle, number)
        except BaseException:
            self._forget(number)
            raise
        return lambda: self._forget(number)

    def _forget(self, number: int) -> None:
        self._listeners.pop(number, None)

    def _started(self) -> Queue:
        with self._starting:
            if self._queue is None:
                queue = Queue()
                # A daemon, since a kept lock is no reason for a process not to end.
                threading.Thread(target=self._listen, args=(queue,), name="redlock-watch", daemon=True).start()
                self._queue = queue
            return self._queue

    def _listen(self, queue: Queue) -> None:
        while True:
            event = queue.next(-1)
            if event is None or event.kind != EVENT_LOST:
                continue
            on_lost, reason = self._listeners.pop(event.id, None), event.take_error()
            if on_lost is not None and reason is not None:
                tell(on_lost, reason)


def tell(on_lost: OnLost, reason: RedLockError) -> None:
    """Call a listener, whose failure must not keep others from being told."""
    try:
        on_lost(reason)
    except Exception:
        logging.getLogger("redlock").exception("the function that was told of a lost lock failed")


_watch = Watch()


def watch() -> Watch:
    """The watch of this process."""
    return _watch


def _after_fork() -> None:
    """A child has neither its parent's thread nor its locks."""
    global _watch  # noqa: PLW0603  # there is one for each process
    _watch = Watch()


os.register_at_fork(after_in_child=_after_fork)
