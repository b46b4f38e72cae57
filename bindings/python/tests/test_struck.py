"""An exception of a signal's handler at any moment of a ``with`` statement leaves no lock behind."""

from __future__ import annotations

import contextlib
import random
import signal
from types import FrameType
from typing import Any, Callable, ContextManager, Iterator

import pytest
from helpers import Nodes, wait_until

from libredlock import RedLock, RedLockFactory, ReentrantRedLock

ROUNDS = 1_500

# A `HeldLock` that is dropped before its block began is told of.
pytestmark = pytest.mark.filterwarnings("ignore:the lock on .* was never released:ResourceWarning")


class Struck(BaseException):
    """What the handler raises."""


class Alarm:
    """Raises in the main thread after a random time, once in each round at most."""

    def __init__(self) -> None:
        self.armed = False
        self.raised = 0
        self.strikes = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.armed:
            self.armed = False
            self.raised += 1
            raise Struck

    def round(self, longest: float, body: Callable[[], object]) -> None:
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest))
            body()
            self.armed = False
        except Struck:
            self.strikes += 1


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    alarm = Alarm()
    before = signal.signal(signal.SIGALRM, alarm)
    yield alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


Make = Callable[[RedLockFactory, str], ContextManager[Any]]


WAYS: dict[str, Make] = {
    "create_lock": lambda factory, name: factory.create_lock(name, ttl=60_000),
    "acquire": lambda factory, name: factory.acquire(name, ttl=60_000, timeout=0),
    "waiting": lambda factory, name: factory.acquire([name, f"{name}:2"], ttl=60_000, timeout=5),
    "reentrant": lambda factory, name: ReentrantRedLock(name, factory=factory, ttl=60_000),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_new_lock_in_each_round(factory: RedLockFactory, nodes: Nodes, name: str, alarm: Alarm, way: str) -> None:
    make = WAYS[way]
    factory.acquire(f"{name}:first", ttl=10_000, timeout=30).release()

    def body() -> None:
        with make(factory, key):
            pass

    for i in range(ROUNDS):
        key = f"{name}:{i}"
        alarm.round(600e-6, body)
    no_key_is_left(nodes, [f"{name}:{i}" for i in range(ROUNDS)], alarm)


@pytest.mark.parametrize("kind", [RedLock, ReentrantRedLock])
def test_a_lock_that_is_used_again_and_again(
    factory: RedLockFactory, nodes: Nodes, name: str, alarm: Alarm, kind: type[RedLock]
) -> None:
    """Nothing drops it, so that no finalizer can help."""
    lock = kind(name, factory=factory, ttl=60_000)
    with lock:
        pass
    names = [f"{name}:{i}" for i in range(ROUNDS)]

    def body() -> None:
        with lock:
            if kind is ReentrantRedLock:
                with lock:
                    pass

    for lock.resource in names:
        alarm.round(600e-6, body)
        if kind is ReentrantRedLock:
            assert lock.release() is False  # type: ignore[func-returns-value]
        assert not lock.lost
    no_key_is_left(nodes, names, alarm)


def no_key_is_left(nodes: Nodes, names: list[str], alarm: Alarm) -> None:
    assert ROUNDS / 10 < alarm.strikes < ROUNDS
    assert alarm.strikes == alarm.raised, "an exception was swallowed"
    left: list[Any] = []

    def is_free() -> bool:
        left[:] = [name for client in nodes.clients for name, value in zip(names, client.mget(names)) if value is not None]
        return not left

    with contextlib.suppress(AssertionError):
        wait_until(is_free, "all nodes freed them")
    assert not left, f"{len(set(left))} of {ROUNDS} keys are left after {alarm.strikes} exceptions"
