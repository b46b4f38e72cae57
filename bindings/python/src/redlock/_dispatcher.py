"""Between an asyncio event loop and the C library: one completion queue for each loop, whose events end futures."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from typing import Callable, Dict, List, Optional

from ._calls import OwnedEvent, Queue, call
from ._library import library

#: Begins an operation whose event goes to this queue, under this number.
Submit = Callable[[Queue, int], None]


class Dispatcher:
    """Submits operations for the tasks of one event loop, and wakes them. Belongs to the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = Queue()
        self._numbers = itertools.count(1)
        self._waiting: Dict[int, asyncio.Future[OwnedEvent]] = {}
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
            # An event that is here already frees what is in it, when nobody refers to it any more.
            if self._waiting.pop(number, None) is not None:
                self._cancel(number)
            raise
        error = event.take_error()
        if error is not None:
            raise error
        return event

    def close(self) -> None:
        """For a loop that has ended: cancel what is under way."""
        self._queue.close()

    def _cancel(self, number: int) -> None:
        # An operation that was refused is not known, which does not matter.
        library.cancel(self._queue.handle, number, None)

    def _drain(self) -> None:
        event = self._queue.next(0)
        while event is not None:
            future = self._waiting.pop(event.id, None)
            if future is not None and not future.done():
                future.set_result(event)
            event = self._queue.next(0)


_dispatchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Dispatcher] = weakref.WeakKeyDictionary()


def dispatcher() -> Dispatcher:
    """The dispatcher of the running loop."""
    loop = asyncio.get_running_loop()
    found = _dispatchers.get(loop)
    if found is None:
        _close_those_of_ended_loops()
        found = _dispatchers[loop] = Dispatcher(loop)
    return found
