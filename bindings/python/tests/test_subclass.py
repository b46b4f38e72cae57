"""`RedLock` is an ordinary class: what is overridden or patched is what is used."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from helpers import Nodes

import redlock
from redlock import RedLock, RedLockError, RedLockFactory, ReentrantRedLock


class Named(RedLock):
    """As users write them: other arguments, and an acquire without any."""

    def __init__(self, number: int, **kwargs: Any) -> None:
        super().__init__(f"named:{number}", **kwargs)
        self.calls: list[str] = []

    def acquire(self) -> bool:  # type: ignore[override]
        self.calls.append("acquire")
        return super().acquire()

    def release(self) -> None:
        self.calls.append("release")
        super().release()


def test_a_subclass_is_used_by_with(nodes: Nodes) -> None:
    lock = Named(1, connection_details=nodes.details)
    with lock as validity:
        assert validity > 0
        assert lock.acquire_with_validity() == (False, 0)
    assert lock.calls == ["acquire", "acquire", "release"]


def test_patched_methods_are_used_by_with(nodes: Nodes, name: str) -> None:
    with mock.patch.object(RedLock, "acquire", return_value=False), pytest.raises(RedLockError):
        RedLock(name, nodes.details).__enter__()
    with mock.patch.object(RedLock, "acquire_with_validity", return_value=(True, 12.5)), mock.patch.object(
        RedLock, "release"
    ) as release, RedLock(name, nodes.details) as validity:
        assert validity == 12.5
    release.assert_called_once_with()


def test_an_instance_can_be_patched(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    with mock.patch.object(lock, "acquire", return_value=True) as acquire:
        assert lock.acquire_with_validity() == (True, 0.0)
    acquire.assert_called_once_with()


def test_without_init_the_reentrant_lock_still_counts() -> None:
    """As the old package's own tests do it."""
    with mock.patch.object(RedLock, "__init__", return_value=None) as init, mock.patch.object(
        RedLock, "acquire", return_value=True
    ) as acquire, mock.patch.object(RedLock, "release") as release:
        lock = ReentrantRedLock("")
        for _ in range(3):
            assert lock.acquire()
        for _ in range(3):
            lock.release()
    init.assert_called_once_with("")
    acquire.assert_called_once_with()
    release.assert_called_once_with()


def test_a_factory_makes_what_the_module_has(factory: RedLockFactory, name: str) -> None:
    class Counted(RedLock):
        pass

    with mock.patch("redlock.lock.RedLock", Counted):
        assert isinstance(factory.create_lock(name), Counted)


def test_a_factory_can_be_subclassed(nodes: Nodes, name: str) -> None:
    class Prefixed(RedLockFactory):
        def create_lock(self, resource: redlock.Resource, prefix: str | None = None, **kwargs: Any) -> RedLock:
            return super().create_lock(f"{prefix}:{resource!s}", **kwargs)

    with Prefixed(nodes.details) as factory, factory.create_lock(name, prefix="p", ttl=5_000):
        assert nodes.holders(f"p:{name}") >= nodes.quorum
