"""Calls into the C library: the handles it gives out are kept by an object at once, and failures become exceptions."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_void_p
from typing import Any, Callable

from ._library import Event, library
from .errors import Reported, take_error


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Call a function that can fail; the last of its arguments, the error, is added here."""
    error = c_void_p()
    status = function(*arguments, byref(error))
    if status:
        raise take_error(status, error)


class OwnedEvent(Event):
    """An event that frees what nobody took out of it: a signal's exception may come between any two steps of ours."""

    def __del__(self) -> None:
        self.free()

    def free(self) -> None:
        """Free what is in it; a lock is given back."""
        if self.lock:
            library.lock_free(self.lock)
            self.lock = None
        if self.error:
            library.error_free(self.error)
            self.error = None

    def take_lock(self, cell: c_void_p) -> None:
        """Hand the lock over. Should this be cut short both own it, which is harmless: no handle is freed twice."""
        cell.value = self.lock
        self.lock = None

    def take_error(self) -> Reported | None:
        """The failure that it reports, if it is one."""
        if not self.status:
            return None
        error = c_void_p(self.error)
        self.error = None
        return take_error(self.status, error)


class Queue:
    """A completion queue. Freeing it cancels what is under way on it, and gives back what that won."""

    def __init__(self) -> None:
        self._cell = c_void_p()
        call(library.queue_new, byref(self._cell))
        self.__class__ = _OpenQueue

    @property
    def handle(self) -> int | None:
        """For the C library."""
        return self._cell.value

    @property
    def fd(self) -> int:
        """Readable while events wait."""
        return int(library.queue_fd(self._cell.value))

    def next(self, timeout_ms: int) -> OwnedEvent | None:
        """Take an event; None when the time has passed."""
        event, count = OwnedEvent(), c_size_t()
        call(library.queue_next, self._cell.value, byref(event), 1, timeout_ms, byref(count))
        return event if count.value else None

    def close(self) -> None:
        """Free it; again is harmless."""
        handle, self._cell.value = self._cell.value, None
        if handle:
            library.queue_free(handle)
            # A finalizer would swallow the exception of a signal's handler that comes just then.
            self.__class__ = Queue


class _OpenQueue(Queue):
    def __del__(self) -> None:
        self.close()
