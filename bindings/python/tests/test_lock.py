"""`RedLock`: the names, parameters, defaults, return values and exceptions of the package that it takes the place of."""

from __future__ import annotations

import gc
import inspect
from unittest import mock

import pytest
from helpers import Nodes, run_python, wait_until

import redlock.lock
from libredlock._connections import Connections
from redlock import RedLock, RedLockError, RedLockFactory, ReleasedError


def test_the_module_has_the_constants() -> None:
    lock = redlock.lock
    constants = (lock.DEFAULT_RETRY_TIMES, lock.DEFAULT_RETRY_DELAY, lock.DEFAULT_TTL, lock.CLOCK_DRIFT_FACTOR)
    assert constants == (3, 200, 100000, 0.01)
    assert {lock.RedLock, lock.ReentrantRedLock, lock.RedLockFactory, lock.RedLockError} == {
        redlock.RedLock,
        redlock.ReentrantRedLock,
        redlock.RedLockFactory,
        redlock.RedLockError,
    }


def test_the_parameters_are_those_of_the_old_package() -> None:
    parameters = list(inspect.signature(RedLock.__init__).parameters.values())[1:6]
    assert [(p.name, p.default) for p in parameters] == [
        ("resource", inspect.Parameter.empty),
        ("connection_details", None),
        ("retry_times", 3),
        ("retry_delay", 200),
        ("ttl", 100000),
    ]


def test_attributes(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, 5, 100, 500)
    assert (lock.resource, lock.retry_times, lock.retry_delay, lock.ttl) == (name, 5, 100, 500)
    assert (len(lock.redis_nodes), lock.quorum, lock.factory, lock.lock_key) == (5, 3, None, None)


def test_acquire_and_release(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    assert lock.acquire() is True
    assert nodes.values(name).count(lock.lock_key) >= nodes.quorum
    assert lock.release() is None  # type: ignore[func-returns-value]
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")


def test_acquire_with_validity(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=10_000)
    acquired, validity = lock.acquire_with_validity()
    assert acquired is True
    assert isinstance(validity, float)
    assert 0 < validity <= 10_000 - 102
    assert 0 < lock.validity <= validity
    other = RedLock(name, nodes.details, retry_times=0)
    assert other.acquire_with_validity() == (False, 0)
    lock.release()
    assert lock.validity == 0.0


def test_the_key_lives_for_the_ttl(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=20_000)
    assert lock.acquire()
    lives = [client.pttl(name) for client in nodes.clients]
    assert sum(10_000 < life <= 20_000 for life in lives) >= nodes.quorum
    lock.release()


def test_with_gives_the_validity_and_releases(nodes: Nodes, name: str) -> None:
    with RedLock(name, nodes.details) as validity:
        assert 0 < validity < 100_000
        assert nodes.holders(name) >= nodes.quorum
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")


def test_with_releases_after_an_exception(nodes: Nodes, name: str) -> None:
    with pytest.raises(KeyError), RedLock(name, nodes.details):
        raise KeyError
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")


def test_with_fails_in_the_words_of_the_old_package(nodes: Nodes, name: str) -> None:
    nodes.take(name)
    with pytest.raises(RedLockError) as failure, RedLock(name, nodes.details, retry_times=1, retry_delay=1):
        pytest.fail("the lock was taken twice")
    assert str(failure.value) == "failed to acquire lock"
    assert failure.value.name == "REDLOCK_ERR_CONTENDED"
    assert isinstance(failure.value.__cause__, redlock.ContendedError)
    assert [node.address for node in failure.value.nodes] == [f"{url}/0" for url in nodes.urls]
    nodes.delete(name)


@pytest.mark.parametrize("retry_times", [0, 1, 4])
def test_a_failed_acquire_is_tried_as_often_as_said(nodes: Nodes, name: str, retry_times: int) -> None:
    nodes.take(name)
    lock = RedLock(name, nodes.details, retry_times=retry_times, retry_delay=5)
    real = Connections.acquire
    with mock.patch.object(Connections, "acquire", autospec=True, side_effect=real) as tries:
        assert lock.acquire() is False
        assert tries.call_count == retry_times + 1
        tries.reset_mock()
        assert lock.acquire(blocking=False) is False
        assert tries.call_count == 1
    assert set(nodes.values(name)) == {"somebody else"}
    nodes.delete(name)


def test_a_failed_acquire_says_why(nodes: Nodes, name: str) -> None:
    nodes.take(name)
    lock = RedLock(name, nodes.details, retry_times=0)
    assert not lock.acquire()
    assert isinstance(lock.last_error, redlock.ContendedError)
    nodes.delete(name)
    assert lock.acquire()
    assert lock.last_error is None
    lock.release()


def test_a_retry_gets_the_lock(nodes: Nodes, name: str) -> None:
    nodes.take(name, px=50)
    lock = RedLock(name, nodes.details, retry_times=10_000, retry_delay=2)
    assert lock.acquire()
    lock.release()


def test_locked_tells_of_any_holder(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    assert lock.locked() is False
    nodes.take(name)
    assert lock.locked() is True
    nodes.delete(name)
    assert lock.locked() is False


def test_locked_goes_by_the_quorum(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    for client in nodes.clients[:2]:
        client.set(name, "a minority", px=60_000)
    assert lock.locked() is False
    nodes.clients[2].set(name, "the third", px=60_000)
    assert lock.locked() is True
    nodes.delete(name)


def test_two_locks_on_one_name_exclude_each_other(nodes: Nodes, name: str) -> None:
    first, second = RedLock(name, nodes.details), RedLock(name, nodes.details, retry_times=0)
    assert first.acquire()
    assert not second.acquire()
    second.release()
    assert first.locked(), "a release of what is not held must free nothing"
    first.release()
    assert second.acquire()
    second.release()


def test_one_object_does_not_get_its_lock_twice(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, retry_times=0)
    assert lock.acquire()
    token = lock.lock_key
    assert not lock.acquire()
    assert lock.lock_key == token
    lock.release()
    assert not lock.locked()


def test_release_again_is_harmless(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    assert lock.acquire()
    lock.release()
    nodes.take(name)
    lock.release()
    assert nodes.holders(name) == 5
    nodes.delete(name)


def test_release_before_any_acquire_is_an_error(nodes: Nodes, name: str) -> None:
    with pytest.raises(ReleasedError, match="never acquired"):
        RedLock(name, nodes.details).release()


def test_an_expired_lock_is_released_in_silence(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=60)
    assert lock.acquire(timeout=30)
    wait_until(lambda: nodes.holders(name) == 0, "it ran out")
    assert lock.lost
    nodes.take(name)
    lock.release()
    assert isinstance(lock.last_error, redlock.ExpiredError)
    assert nodes.holders(name) == 5, "another's lock was released"
    nodes.delete(name)


def test_a_forgotten_lock_stays_until_its_ttl_ends(nodes: Nodes, name: str) -> None:
    assert RedLock(name, nodes.details, ttl=60_000).acquire()
    gc.collect()
    other = RedLock(name, nodes.details, retry_times=0)
    assert not other.acquire()
    nodes.delete(name)


def test_a_lock_outlives_its_process(nodes: Nodes, name: str) -> None:
    code = "import sys; from redlock import RedLock; assert RedLock(sys.argv[1], sys.argv[2:], ttl=60000).acquire()"
    ended = run_python(code, name, *nodes.patient_urls)
    assert ended.returncode == 0, ended.stdout
    assert not RedLock(name, nodes.details, retry_times=0).acquire()
    nodes.delete(name)


def test_attributes_can_be_changed(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details)
    lock.resource, lock.ttl = f"{name}:other", 5_000
    with lock as validity:
        assert validity < 5_000
        assert nodes.holders(name) == 0
        assert nodes.holders(f"{name}:other") >= nodes.quorum


def test_locks_on_the_same_nodes_share_connections(nodes: Nodes, name: str) -> None:
    first, second = RedLock(name, nodes.details), RedLock(f"{name}:other", nodes.details)
    assert first._connections is second._connections
    assert first._connections is not RedLock(name, nodes.details, options={"node_timeout_ms": 40})._connections


def test_several_names_are_locked_together(nodes: Nodes, name: str) -> None:
    names = [f"{name}:{i}" for i in range(3)]
    with RedLock(names, nodes.details) as validity:
        assert validity > 0
        for each in names:
            assert not RedLock(each, nodes.details, retry_times=0).acquire()
    with RedLock(names[1], nodes.details):
        assert RedLock(names, nodes.details).locked()
        assert not RedLock(names, nodes.details, retry_times=0).acquire()
        wait_until(lambda: nodes.holders(names[0]) + nodes.holders(names[2]) == 0, "all was given back")


# ---- beyond the old package ----


def test_extend(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=10_000)
    assert lock.acquire()
    assert lock.extend(50_000) > 40_000
    assert sum(client.pttl(name) > 40_000 for client in nodes.clients) >= nodes.quorum
    lock.release()
    with pytest.raises(ReleasedError):
        lock.extend()


def test_fences_rise(factory: RedLockFactory, name: str) -> None:
    fences = []
    for _ in range(5):
        lock = factory.create_lock(name)
        with lock:
            fences.append(lock.fence)
            assert lock.fences == (lock.fence,)
        assert lock.fence == 0
    assert fences == sorted(set(fences))
    assert fences[0] > 0


def test_acquire_with_a_timeout_waits(nodes: Nodes, name: str) -> None:
    nodes.take(name, px=100)
    lock = RedLock(name, nodes.details)
    assert lock.acquire(timeout=30)
    lock.release()


def test_acquire_with_a_timeout_gives_up(nodes: Nodes, name: str) -> None:
    nodes.take(name)
    lock = RedLock(name, nodes.details)
    assert lock.acquire(timeout=0.05) is False
    assert lock.acquire_with_validity(timeout=0) == (False, 0)
    assert set(nodes.values(name)) == {"somebody else"}
    nodes.delete(name)


def test_no_timeout_waits_for_ever(nodes: Nodes, name: str) -> None:
    for timeout in (None, float("inf")):
        nodes.take(name, px=100)
        lock = RedLock(name, nodes.details)
        assert lock.acquire(True, timeout)
        lock.release()
