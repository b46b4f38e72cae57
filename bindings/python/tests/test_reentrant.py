"""`ReentrantRedLock`: counts per object, nests, and does not believe in a lock that is gone."""

from __future__ import annotations

from unittest import mock

import pytest
from helpers import Nodes, wait_until

from libredlock._connections import Connections
from redlock import ExpiredError, RedLock, RedLockError, ReentrantRedLock


def test_it_is_released_as_often_as_it_was_acquired(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details)
    assert lock.acquire() is True
    assert lock.acquire() is True
    assert lock.release() is True
    assert lock.locked()
    assert lock.release() is None
    assert not lock.locked()
    assert lock.release() is False


def test_with_nests(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details)
    with lock as outer:
        with lock as inner:
            assert 0 < inner <= outer
        assert lock.locked()
    assert not lock.locked()


def test_inner_acquires_ask_no_node(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details)
    with lock, mock.patch.object(Connections, "acquire", autospec=True) as asked:
        for _ in range(10):
            assert lock.acquire()
            assert lock.acquire_with_validity()[0]
        for _ in range(20):
            assert lock.release() is True
        asked.assert_not_called()
    assert not lock.locked()


def test_another_object_is_another_holder(nodes: Nodes, name: str) -> None:
    with ReentrantRedLock(name, nodes.details):
        assert not ReentrantRedLock(name, nodes.details, retry_times=0).acquire()


def test_a_failed_acquire_counts_for_nothing(nodes: Nodes, name: str) -> None:
    nodes.take(name)
    lock = ReentrantRedLock(name, nodes.details, retry_times=0)
    assert not lock.acquire()
    assert lock.release() is False
    nodes.delete(name)
    with lock:
        assert lock.locked()
    assert not lock.locked()


def test_a_lost_lock_is_not_acquired_again(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details, ttl=60)
    assert lock.acquire(timeout=30)
    wait_until(lambda: lock.lost, "it ran out")
    assert lock.acquire() is False
    assert isinstance(lock.last_error, ExpiredError)
    with pytest.raises(RedLockError, match=r"^failed to acquire lock$") as failure, lock:
        pytest.fail("a lost lock was entered")
    assert failure.value.name == "REDLOCK_ERR_EXPIRED"
    assert lock.release() is None
    assert lock.acquire(timeout=30)
    assert lock.release() is None


def test_release_leaves_another_s_lock_alone(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details, ttl=60)
    assert lock.acquire(timeout=30)
    wait_until(lambda: nodes.holders(name) == 0, "it ran out")
    with RedLock(name, nodes.details):
        lock.release()
        assert nodes.holders(name) >= nodes.quorum
