"""Between an asyncio event loop and the C library: one completion queue for each loop, whose events end futures."""

from __future__ import annotations

import asyncio
import itertools
import os
import weakref
from typing import Callable

from ._calls import OwnedEvent, Queue
from ._library import EVENT_LOST, library
from ._watch import OnLost, tell

#: Begins an operation whose event goes to this queue, under this number.
Submit = Callable[[Queue, int], None]

#: So many events are handled before the loop looks at its other work.
_MOST_EVENTS = 256


class Dispatcher:
    """Submits operations for the tasks of one event loop, and wakes them. Belongs to the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pid = os.getpid()
        self._queue = Queue()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[OwnedEvent]] = {}
        self._listeners: dict[int, OnLost] = {}
        loop.add_reader(self._queue.fd, self._drain)

    async def run(self, submit: Submit) -> OwnedEvent:
        """Carry an operation out. Cancelling the task cancels the operation, and what it had won goes back."""
        number = next(self._numbers)
        future: asyncio.Future[OwnedEvent] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            submit(self._queue, number)
            event = await future
        except BaseException:
            self._abandon(number, future)
            raise
        error = event.take_error()
        if error is not None:
            raise error
        return event

    def keep(self, keep: Callable[[int | None, int], None], on_lost: OnLost) -> Callable[[], None]:
        """Have a lock kept alive, with a queue and a number; returns what makes its loss nobody's business any more."""
        number = next(self._numbers)
        keep(self._queue.handle, number)
        self._listeners[number] = on_lost
        return lambda: self._forget(number)

    def _forget(self, number: int) -> None:
        self._listeners.pop(number, None)

    def _abandon(self, number: int, future: asyncio.Future[OwnedEvent]) -> None:
        if self._waiting.pop(number, None) is not None:
            # One that was refused has no such number, which does not matter.
            library.cancel(self._queue.handle, number, None)
        elif future.done() and not future.cancelled():
            # The task was cancelled between the event and its awaking.
            future.result().free()

    def _drain(self) -> None:
        # Not without end, for the sake of others on the loop: while events are left the descriptor stays readable.
        for _ in range(_MOST_EVENTS):
            event = self._queue.next(0)
            if event is None:
                return
            if event.kind == EVENT_LOST:
                self._lost(event)
            else:
                self._ended(event)

    def _ended(self, event: OwnedEvent) -> None:
        future = self._waiting.pop(event.id, None)
        if future is not None and not future.done():
            future.set_result(event)

    def _lost(self, event: OwnedEvent) -> None:
        on_lost, reason = self._listeners.pop(event.id, None), event.take_error()
        if on_lost is not None:
            tell(on_lost, reason)


_dispatchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Dispatcher] = weakref.WeakKeyDictionary()


def dispatcher() -> Dispatcher:
    """The dispatcher of the running loop."""
    loop = asyncio.get_running_loop()
    found = _dispatchers.get(loop)
    if found is None or found.pid != os.getpid():
        # A loop that a child has from its parent needs a queue of the child.
        found = _dispatchers[loop] = Dispatcher(loop)
    return found
