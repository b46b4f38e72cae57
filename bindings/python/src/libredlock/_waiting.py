"""Waiting for a lock in a way that signals can end, as `threading.Lock` lets them."""

from __future__ import annotations

import select
import threading
from ctypes import byref, c_size_t, c_void_p
from typing import Callable

from ._calls import Queue, call
from ._library import Event, library
from .errors import take_error

#: How often the main thread looks for signals, in ms. One that comes just before poll() sleeps does not end it.
_LOOK_FOR_SIGNALS = 200


def wait_for_lock(submit: Callable[[Queue, int], None], cell: c_void_p) -> None:
    """Submit an acquire and wait for its end; the lock goes into `cell`.

    A blocking call into C would keep the handler of a signal, and with it Ctrl-C, waiting for as long as the lock. Here
    they run meanwhile. When one raises, freeing the queue cancels the acquire and gives back what it may have won.
    """
    queue, event = Queue(), Event()
    try:
        submit(queue, 1)
        _wait(queue, event)
        if event.status:
            raise take_error(event.status, c_void_p(event.error))
        cell.value, event.lock = event.lock, None
    except BaseException:
        # The first thing that is done here is one call into C, before which no handler of a signal can run.
        library.lock_free(event.lock)
        raise
    finally:
        queue.close()


def _wait(queue: Queue, event: Event) -> None:
    poll = select.poll()
    poll.register(queue.fd, select.POLLIN)
    # Handlers run in the main thread only.
    is_main = threading.current_thread() is threading.main_thread()
    count = c_size_t()
    while not count.value:
        poll.poll(_LOOK_FOR_SIGNALS if is_main else None)
        call(library.queue_next, queue.handle, byref(event), 1, 0, byref(count))
