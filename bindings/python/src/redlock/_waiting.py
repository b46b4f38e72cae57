"""Waiting for a lock in a way that signals can end, as `threading.Lock` lets them."""

from __future__ import annotations

import select
import threading
from ctypes import c_void_p
from typing import Callable

from ._calls import Queue

#: How often the main thread looks for signals, in ms. One that comes just before poll() sleeps does not end it.
_LOOK_FOR_SIGNALS = 200


def wait_for_lock(submit: Callable[[Queue, int], None], cell: c_void_p) -> None:
    """Submit an acquire and wait for its end; the lock goes into `cell`.

    A blocking call into C would keep the handler of a signal, and with it Ctrl-C, waiting for as long as the lock. Here
    they run meanwhile. When one raises, freeing the queue cancels the acquire and gives back what it may have won.
    """
    queue = Queue()
    try:
        submit(queue, 1)
        poll = select.poll()
        poll.register(queue.fd, select.POLLIN)
        # Handlers run in the main thread only.
        is_main = threading.current_thread() is threading.main_thread()
        event = None
        while event is None:
            poll.poll(_LOOK_FOR_SIGNALS if is_main else None)
            event = queue.next(0)
        error = event.take_error()
        if error is not None:
            raise error
        event.take_lock(cell)
    finally:
        queue.close()
