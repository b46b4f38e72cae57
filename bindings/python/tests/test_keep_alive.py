"""Kept locks: they live past their TTL, and their loss is told in time."""

from __future__ import annotations

import gc
import logging
import threading

import pytest
from helpers import Nodes, wait_until

from redlock import RedLock, RedLockError, RedLockFactory


def outlives_its_ttl(nodes: Nodes, name: str, lock: RedLock) -> None:
    """Its key was seen to be young again several times over, which is longer than one TTL."""
    extensions, last = 0, 0
    while extensions < 4:
        left = max(client.pttl(name) for client in nodes.clients)
        assert not lock.lost
        extensions, last = extensions + (left > last), left


def test_a_kept_lock_outlives_its_ttl(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=2_000)
    with lock:
        lost = lock.keep_alive()
        outlives_its_ttl(nodes, name, lock)
        assert not lost.is_set()
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")
    assert not lost.is_set(), "a release is no loss"


def test_a_loss_is_told(nodes: Nodes, name: str) -> None:
    reasons: list[RedLockError] = []
    threads: list[str] = []

    def on_lost(reason: RedLockError) -> None:
        reasons.append(reason)
        threads.append(threading.current_thread().name)

    lock = RedLock(name, nodes.details, ttl=1_000)
    assert lock.acquire()
    lost = lock.keep_alive(on_lost)
    nodes.delete(name)
    assert lost.wait(30)
    wait_until(lambda: threads, "the callback is called")
    assert [reason.name for reason in reasons] == ["REDLOCK_ERR_EXPIRED"]
    assert threads == ["redlock-watch"]
    assert lock.lost
    lock.release()


def test_a_loss_for_want_of_nodes_is_told(nodes: Nodes, name: str) -> None:
    with RedLockFactory(nodes.details, options={"node_timeout_ms": 100}) as factory:
        held = factory.acquire(name, ttl=1_000, timeout=30)
        reasons: list[str] = []
        lost = held.keep_alive(lambda reason: reasons.append(reason.name))
        with nodes.stopped(3):
            assert lost.wait(30)
            wait_until(lambda: reasons, "the callback is called")
            with pytest.raises(RedLockError):
                held.release()
        assert reasons == ["REDLOCK_ERR_NO_QUORUM"]


def test_a_further_call_takes_the_place_of_the_one_before(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    held = factory.acquire(name, ttl=1_000, timeout=0)
    first = held.keep_alive()
    second = held.keep_alive()
    assert held.kept
    nodes.delete(name)
    assert second.wait(30)
    assert not first.is_set()
    with pytest.raises(RedLockError):
        held.release()


def test_a_listener_that_fails_harms_no_other(
    factory: RedLockFactory, nodes: Nodes, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: RedLockError) -> None:
        raise RuntimeError("the listener's own")

    held = [factory.acquire(f"{name}:{i}", ttl=1_000, timeout=0) for i in range(2)]
    with caplog.at_level(logging.ERROR, "redlock"):
        lost = [held[0].keep_alive(fail), held[1].keep_alive()]
        for i in range(2):
            nodes.delete(f"{name}:{i}")
            assert lost[i].wait(30)
        wait_until(lambda: "the listener's own" in caplog.text, "the failure is logged")
    for each in held:
        with pytest.raises(RedLockError):
            each.release()


def test_a_forgotten_lock_is_kept_no_longer(nodes: Nodes, name: str) -> None:
    lock = RedLock(name, nodes.details, ttl=60_000)
    assert lock.acquire()
    lock.keep_alive()
    with pytest.warns(ResourceWarning, match="never released"):  # noqa: PT031
        del lock
        gc.collect()
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")
