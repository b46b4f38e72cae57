"""Who hears of lost locks and of questions for credentials: one thread for the process, asleep in the C library.

Under gevent and eventlet it is the hub of the thread that has a lock kept, and no thread.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import weakref
from typing import Any, Callable

from ._calls import OwnedEvent, Queue
from ._green import Hub, hub_in_use, watch_losses
from ._library import EVENT_CREDENTIALS, EVENT_LOST
from .errors import RedLockError, Reported

#: Called with the reason when a lock is lost.
OnLost = Callable[[RedLockError], object]


class Watch:
    """The locks that are kept alive, by the numbers that their events carry."""

    def __init__(self, hub: Hub | None = None) -> None:
        self.pid = os.getpid()
        self._hub = hub
        self._listeners: dict[int, OnLost] = {}
        self._askers: dict[int, Callable[[], object]] = {}
        self._numbers = itertools.count(1)
        self._queue: Queue | None = None
        self._starting = threading.Lock()

    def keep(self, keep: Callable[[int | None, int], None], on_lost: OnLost) -> Callable[[], None]:
        """Have a lock kept alive, with a queue and a number; returns what makes its loss nobody's business any more."""
        queue, number = self._started(), next(self._numbers)
        self._listeners[number] = on_lost
        try:
            keep(queue.handle, number)
        except BaseException:
            self._forget(number)
            raise
        return lambda: self._forget(number)

    def ask(self, begin: Callable[[int | None, int], None], asker: Callable[[], object]) -> Callable[[], None]:
        """Have a factory ask for credentials, with a queue and a number; returns what ends that."""
        queue, number = self._started(), next(self._numbers)
        self._askers[number] = asker
        try:
            begin(queue.handle, number)
        except BaseException:
            self._forget(number)
            raise
        return lambda: self._forget(number)

    def _forget(self, number: int) -> None:
        self._listeners.pop(number, None)
        self._askers.pop(number, None)

    def _started(self) -> Queue:
        with self._starting:
            if self._queue is None:
                queue = Queue()
                if self._hub is None:
                    # A daemon, since a kept lock is no reason for a process not to end.
                    threading.Thread(target=self._listen, args=(queue,), name="redlock-watch", daemon=True).start()
                else:
                    watch_losses(self._hub, queue, self._heard)
                self._queue = queue
            return self._queue

    def _listen(self, queue: Queue) -> None:
        while True:
            event = queue.next(-1)
            if event is not None:
                self._heard(event)

    def _heard(self, event: OwnedEvent) -> None:
        if event.kind == EVENT_CREDENTIALS:
            self._asked(event.id)
        if event.kind != EVENT_LOST:
            return
        on_lost, reason = self._listeners.pop(event.id, None), event.take_error()
        if on_lost is None:
            return
        if self._hub is None:
            tell(on_lost, reason)
        else:
            # A listener may wait for something, which the hub itself must not.
            self._hub.spawn(tell, on_lost, reason)

    def _asked(self, number: int) -> None:
        asker = self._askers.get(number)
        if asker is None:
            return
        # It asks a service, which takes its time, and others are to be told meanwhile.
        if self._hub is None:
            threading.Thread(target=asker, name="redlock-credentials", daemon=True).start()
        else:
            self._hub.spawn(asker)


def tell(on_lost: OnLost, reason: Reported | None) -> None:
    """Call a listener, whose failure must not keep others from being told."""
    if not isinstance(reason, RedLockError):
        return
    try:
        on_lost(reason)
    except Exception:
        logging.getLogger("redlock").exception("the function that was told of a lost lock failed")


_watch = Watch()
_watches_of_hubs: weakref.WeakKeyDictionary[Any, Watch] = weakref.WeakKeyDictionary()


def watch() -> Watch:
    """The watch of this process, or of this thread's hub.

    A child has neither its parent's thread nor its locks. It is told from its parent by its number: Python's hooks for forks
    do not run in all, as in uWSGI's workers.
    """
    global _watch  # noqa: PLW0603  # there is one for each process
    found = hub_in_use()
    if found is not None:
        key, hub = found
        known = _watches_of_hubs.get(key)
        if known is None or known.pid != os.getpid():
            known = _watches_of_hubs[key] = Watch(hub)
        return known
    if _watch.pid != os.getpid():
        _watch = Watch()
    return _watch
