"""Waiting in the main thread can be ended by a signal, as with `threading.Lock`, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Callable

import pytest
from helpers import Nodes, wait_until

from libredlock._connections import Connections
from redlock import RedLock, RedLockFactory


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as somebody has begun to wait for a lock."""
    begun = threading.Event()
    real = Connections.submit_acquire

    def submit(*arguments: Any) -> None:
        real(*arguments)
        begun.set()

    monkeypatch.setattr(Connections, "submit_acquire", submit)
    return begun


def when(event: threading.Event, act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=lambda: event.wait(30) and act())
    thread.start()
    return thread


def test_control_c_ends_the_waiting(factory: RedLockFactory, nodes: Nodes, name: str, waiting: threading.Event) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)
    thread = when(waiting, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        factory.acquire(name, ttl=60_000, timeout=None)
    thread.join()
    held.release()
    # It was cancelled, and does not take the lock after all.
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")
    factory.acquire(name, ttl=60_000, timeout=30).release()


def test_a_handler_that_returns_lets_it_wait_on(nodes: Nodes, name: str, waiting: threading.Event) -> None:
    handled: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        handled.append(number)
        nodes.delete(name)

    nodes.take(name)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        thread = when(waiting, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        lock = RedLock(name, nodes.details)
        assert lock.acquire(timeout=None)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled == [signal.SIGUSR1]
    lock.release()
