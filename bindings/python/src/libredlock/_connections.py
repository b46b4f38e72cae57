"""The C library's factory: the connections to a set of nodes, made, shared and closed, and the calls that go over them."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from ctypes import byref, c_char_p, c_int32, c_void_p, string_at
from threading import Lock as Mutex
from typing import Any, Callable, Dict, Mapping

from ._arguments import FOREVER, Options, encode, option_text
from ._calls import Queue, call
from ._credentials import answer, give
from ._green import dispatcher
from ._library import library
from ._nodes import Parsed
from ._waiting import wait_for_lock
from ._watch import watch
from .errors import ClosedError, ContendedError, ExpiredError, InvalidArgumentError, NoQuorumError

#: The ways for an acquire to fail that a later try may not meet.
FAILED = (ContendedError, NoQuorumError, ExpiredError)

Settings = Dict[bytes, bytes]

#: Names of such lengths need not be shown to the C library, unless they might be one of its own keys.
_COMMON_LENGTHS = range(1, 129)
_MOST_TTLS = 64


class Connections:
    """The connections to one set of nodes. Freed when nobody refers to them any more; locks can outlive them."""

    __slots__ = ("__weakref__", "_asking_pid", "_cell", "_forget", "_granted", "_provider")

    def __init__(self, urls: tuple[str, ...], settings: Settings, provider: Any = None) -> None:
        self._cell = c_void_p()
        # TTLs that are known to be allowed.
        self._granted: set[int] = set()
        array = _array(tuple(encode(url, "a node's URL") for url in urls))
        options = _options(settings)
        try:
            call(library.factory_new, array, len(urls), options.value, byref(self._cell))
        finally:
            library.options_free(options.value)
        self._provider, self._asking_pid = provider, 0
        self._forget: Callable[[], None] | None = None
        if provider is not None:
            self._ask()

    def _ask(self) -> None:
        """Have the C library ask the provider; once more in a child, which has no queue of its parent's."""
        handle, provider = self._cell.value, self._provider
        if handle:
            self._asking_pid = os.getpid()
            # Not by a method: that would keep this object.
            self._forget = watch().ask(
                lambda queue, number: call(library.factory_ask_for_credentials, handle, queue, number),
                lambda: answer(handle, provider),
            )

    def set_credentials(self, username: str | None, password: str) -> None:
        """Who logs in from now on."""
        give(self._cell.value, username, password)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._cell.value

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Call a function whose first argument is the factory."""
        handle = self._cell.value
        if not handle:
            raise ClosedError("the factory was closed")
        if self._provider is not None and self._asking_pid != os.getpid():
            self._ask()
        try:
            call(function, handle, *arguments)
        except InvalidArgumentError:
            # Or was it closed between those two lines?
            if self._cell.value:
                raise
            raise ClosedError("the factory was closed") from None

    def acquire(self, names: tuple[bytes, ...], ttl: int, wait_ms: int, cell: c_void_p) -> None:
        """Acquire a lock; its handle goes into `cell`. Signals can end it while it waits."""
        green = dispatcher()
        if green is not None:
            event = green.run(lambda queue, number: self.submit_acquire(names, ttl, wait_ms, queue, number))
            event.take_lock(cell)
            return
        since = time.monotonic()
        try:
            # Whoever need not wait is served best by the shortest way.
            self._try(names, ttl, cell)
            return
        except FAILED:
            left_ms = wait_ms
            if wait_ms != FOREVER:
                left_ms -= int((time.monotonic() - since) * 1000)
                if left_ms <= 0:
                    raise
        wait_for_lock(lambda queue, number: self.submit_acquire(names, ttl, left_ms, queue, number), cell)

    def _try(self, names: tuple[bytes, ...], ttl: int, cell: c_void_p) -> None:
        if len(names) == 1:
            self.call(library.acquire, names[0], ttl, 0, byref(cell))
        else:
            self.call(library.acquire_many, _array(names), len(names), ttl, 0, byref(cell))

    def submit_acquire(self, names: tuple[bytes, ...], ttl: int, wait_ms: int, queue: Queue, number: int) -> None:
        """Begin to acquire; the queue's event `number` tells the outcome."""
        if len(names) == 1:
            self.call(library.submit_acquire, names[0], ttl, wait_ms, queue.handle, number)
        else:
            self.call(library.submit_acquire_many, _array(names), len(names), ttl, wait_ms, queue.handle, number)

    def is_locked(self, name: bytes) -> bool:
        """Whether a quorum of nodes has the lock taken."""
        green = dispatcher()
        if green is not None:
            return bool(green.run(lambda queue, number: self.submit_is_locked(name, queue, number)).value)
        answer = c_int32()
        self.call(library.is_locked, name, byref(answer))
        return bool(answer.value)

    def submit_is_locked(self, name: bytes, queue: Queue, number: int) -> None:
        """Begin to ask; the queue's event `number` brings the answer."""
        self.call(library.submit_is_locked, name, queue.handle, number)

    def check(self) -> list[str]:
        """What is known of each node, a line each."""
        report = c_void_p()
        self.call(library.factory_check, byref(report))
        try:
            return string_at(report.value or 0).decode().splitlines()
        finally:
            library.string_free(report.value)

    def check_arguments(self, names: tuple[bytes, ...], ttl: int) -> None:
        """Have the C library refuse now what it would refuse in each acquire."""
        if not self._cell.value:
            return
        for name in names:
            if ttl not in self._granted or len(name) not in _COMMON_LENGTHS or b"libredlock:" in name:
                holder = c_void_p()
                self.call(library.reentrant_new, name, ttl, byref(holder))
                library.reentrant_free(holder)
        if len(self._granted) < _MOST_TTLS:
            self._granted.add(ttl)

    def trust_nodes(self) -> None:
        """Give the operator's word that the nodes have forgotten no lock."""
        self.call(library.factory_trust_nodes)

    def close(self) -> None:
        """Close them; again is harmless."""
        green = dispatcher()
        handle, self._cell.value = self._cell.value, None
        if self._forget is not None:
            self._forget()
        if handle and green is not None:
            green.hub.in_thread(library.factory_free, handle)
        elif handle:
            library.factory_free(handle)

    def __del__(self) -> None:
        handle = self._cell.value
        if handle:
            if getattr(self, "_forget", None) is not None:
                self._forget()  # type: ignore[misc]
            # Not by `close`, for a finalizer may run where no greenlet may wait.
            library.factory_free(handle)


def _array(texts: tuple[bytes, ...]) -> Any:
    return (c_char_p * len(texts))(*texts)


def settings_of(parsed: Parsed, options: Options | None) -> Settings:
    """The options that are given by name, before those that connection details bring along."""
    return {**_encoded(parsed.options), **_encoded(options or {})}


def _encoded(options: Options) -> Settings:
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a dict of names and values, not {type(options).__name__}")
    return {encode(name, "an option's name"): option_text(value, name) for name, value in options.items()}


def _options(settings: Settings) -> c_void_p:
    handle = c_void_p()
    call(library.options_new, byref(handle))
    try:
        for name, value in settings.items():
            call(library.options_set, handle.value, name, value)
    except BaseException:
        library.options_free(handle.value)
        raise
    return handle


# ---- connections of locks that were made without a factory ----

#: For how many sets of nodes connections are kept when no lock needs them any more.
_KEPT = 16


class _Shared:
    """Connections by what they were made of: a ``with RedLock(...)`` in a loop shall not connect anew in each round."""

    def __init__(self) -> None:
        self._connections: OrderedDict[tuple[Any, ...], Connections] = OrderedDict()
        self._mutex, self._pid = Mutex(), os.getpid()

    def get(self, urls: tuple[str, ...], settings: Settings, provider: Any) -> Connections:
        # The connections keep the provider, so that no other has its number.
        key = (urls, tuple(sorted(settings.items())), id(provider))
        if self._pid != os.getpid():
            # A thread that held the mutex is not in the child to give it back. Python's hooks for forks would not tell of
            # all: uWSGI forks without them.
            self._mutex, self._pid = Mutex(), os.getpid()
        with self._mutex:
            if key not in self._connections:
                self._connections[key] = Connections(urls, settings, provider)
            self._connections.move_to_end(key)
            dropped = self._connections.popitem(last=False) if len(self._connections) > _KEPT else None
            found = self._connections[key]
        # Closing may take a moment, and nobody has to wait for it but us.
        del dropped
        return found


_shared = _Shared()


def shared(urls: tuple[str, ...], settings: Settings, provider: Any = None) -> Connections:
    """Connections to these nodes that are shared by all who ask for the same."""
    return _shared.get(urls, settings, provider)
