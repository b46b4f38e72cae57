"""Waiting as gevent and eventlet have it: through their hub, so that other greenlets run meanwhile.

Used in a process that one of them has monkey-patched: there, a call that blocks in C would stop all greenlets of the
thread. Each hub has one completion queue for operations, and one for the losses of locks that are kept alive, however many
greenlets wait.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import weakref
from typing import Any, Callable, Protocol

from ._calls import OwnedEvent, Queue
from ._library import library
from .errors import ForkedError

#: Begins an operation whose event goes to this queue, under this number.
Submit = Callable[[Queue, int], None]


class Ready:
    """What a greenlet sleeps on, by `wait`, until the hub calls it."""

    __slots__ = ("call", "wait")

    def __init__(self, call: Callable[[], object], wait: Callable[[], object]) -> None:
        self.call, self.wait = call, wait


class Hub(Protocol):
    """What is needed of a thread's hub. Both kinds belong to the thread that asks for them."""

    def watch(self, fd: int, call: Callable[[], None], idle: bool) -> Callable[[], None]:
        """Call whenever a descriptor is readable; returns what ends that. What is `idle` does not keep the hub running."""

    def ready(self) -> Ready:
        """Make one."""

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run a function in a greenlet of its own."""

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run a function that blocks in a thread, and let other greenlets run until it ends."""


class _Gevent:
    def __init__(self) -> None:
        self._gevent: Any = importlib.import_module("gevent")
        self._event: Any = importlib.import_module("gevent.event").Event

    def watch(self, fd: int, call: Callable[[], None], idle: bool) -> Callable[[], None]:
        watcher = self._gevent.get_hub().loop.io(fd, 1, ref=not idle)
        watcher.start(call)

        def end() -> None:
            watcher.stop()
            watcher.close()

        return end

    def ready(self) -> Ready:
        event = self._event()
        return Ready(event.set, event.wait)

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._gevent.spawn(function, *arguments)

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._gevent.get_hub().threadpool.apply(function, arguments)


class _Eventlet:
    def __init__(self) -> None:
        self._event: Any = importlib.import_module("eventlet.event").Event
        self._hubs: Any = importlib.import_module("eventlet.hubs")
        self._tpool: Any = importlib.import_module("eventlet.tpool")
        self._eventlet: Any = importlib.import_module("eventlet")

    def watch(self, fd: int, call: Callable[[], None], idle: bool) -> Callable[[], None]:  # noqa: ARG002  # as all are
        hub = self._hubs.get_hub()
        listener = hub.add(hub.READ, fd, lambda _: call(), hub.greenlet.throw, lambda: None)
        return lambda: hub.remove(listener)

    def ready(self) -> Ready:
        event = self._event()
        return Ready(event.send, event.wait)

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._eventlet.spawn_n(function, *arguments)

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._tpool.execute(function, *arguments)


class _Waiter:
    """A greenlet that waits for an operation's event."""

    __slots__ = ("event", "ready")

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.event: OwnedEvent | None = None


class Dispatcher:
    """Submits operations for the greenlets of one hub, and wakes them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.pid = os.getpid()
        self._queue = Queue()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiter] = {}
        self._end_watch: Callable[[], None] | None = None

    def run(self, submit: Submit) -> OwnedEvent:
        """Carry an operation out. An exception while it waits cancels it, and what it had won goes back."""
        number, waiter = next(self._numbers), _Waiter(self.hub.ready())
        self._waiting[number] = waiter
        try:
            if self._end_watch is None:
                # Only while somebody waits: otherwise the hub would never see that it has nothing left to do.
                self._end_watch = self.hub.watch(self._queue.fd, self._drain, False)
            submit(self._queue, number)
            waiter.ready.wait()
        except BaseException:
            self._abandon(number, waiter)
            raise
        if waiter.event is None:
            raise ForkedError("the operation belongs to the parent process")
        error = waiter.event.take_error()
        if error is not None:
            raise error
        return waiter.event

    def forked(self) -> None:
        """This is a child: its parent's operations are none of its own."""
        for number in list(self._waiting):
            waiter = self._waiting.pop(number)
            waiter.ready.call()

    def _abandon(self, number: int, waiter: _Waiter) -> None:
        if self._waiting.pop(number, None) is not None:
            # One that was refused has no such number, which does not matter.
            library.cancel(self._queue.handle, number, None)
            self._rest()
        elif waiter.event is not None:
            # It was killed between the event and its awaking.
            waiter.event.free()

    def _rest(self) -> None:
        if not self._waiting and self._end_watch is not None:
            end, self._end_watch = self._end_watch, None
            end()

    def _drain(self) -> None:
        try:
            for event in _events(self._queue):
                waiter = self._waiting.pop(event.id, None)
                if waiter is not None:
                    waiter.event = event
                    waiter.ready.call()
        except ForkedError:
            self.forked()
        self._rest()


def _events(queue: Queue) -> Any:
    while True:
        event = queue.next(0)
        if event is None:
            return
        yield event


def watch_losses(hub: Hub, queue: Queue, lost: Callable[[OwnedEvent], None]) -> None:
    """Have a function called in the hub with each event of a queue, for as long as the process lives."""
    ends: list[Callable[[], None]] = []

    def drain() -> None:
        try:
            for event in _events(queue):
                lost(event)
        except ForkedError:
            ends.pop()()

    ends.append(hub.watch(queue.fd, drain, True))


def _patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and (monkey.is_module_patched("socket") or monkey.is_module_patched("threading"))


def _patched_by_eventlet() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and (patcher.is_monkey_patched("socket") or patcher.is_monkey_patched("thread"))


_gevent: _Gevent | None = None
_eventlet: _Eventlet | None = None
_dispatchers: weakref.WeakKeyDictionary[Any, Dispatcher] = weakref.WeakKeyDictionary()


def hub_in_use() -> tuple[Any, Hub] | None:
    """This thread's hub and the way to use it; None in a process that is not monkey-patched."""
    global _gevent, _eventlet  # noqa: PLW0603  # made when they are needed: most processes have neither
    if _patched_by_gevent():
        _gevent = _gevent or _Gevent()
        return _gevent._gevent.get_hub(), _gevent
    if _patched_by_eventlet():
        _eventlet = _eventlet or _Eventlet()
        return _eventlet._hubs.get_hub(), _eventlet
    return None


def dispatcher() -> Dispatcher | None:
    """The dispatcher of this thread's hub; None in a process that is not monkey-patched."""
    found = hub_in_use()
    if found is None:
        return None
    key, hub = found
    known = _dispatchers.get(key)
    if known is None or known.pid != os.getpid():
        if known is not None:
            known.forked()
        known = _dispatchers[key] = Dispatcher(hub)
    return known
