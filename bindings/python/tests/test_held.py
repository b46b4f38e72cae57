"""`RedLockFactory.acquire` and `HeldLock`: what goes wrong is raised, with every node's part."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from typing import Callable

import pytest
from helpers import Nodes, Server, wait_until

import redlock
from redlock import (
    ClosedError,
    ContendedError,
    ExpiredError,
    InvalidArgumentError,
    NoQuorumError,
    RedLockError,
    RedLockFactory,
    ReleasedError,
)


def test_acquire_holds_and_with_releases(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    with factory.acquire(name, ttl=10_000, timeout=0) as held:
        assert (held.resource, held.ttl, held.released, held.lost) == (name, 10_000, False, False)
        assert 0 < held.validity < 10_000
        assert nodes.values(name).count(held.token) >= nodes.quorum
        assert name in repr(held)
    assert held.released
    assert held.validity == 0.0
    assert not factory.is_locked(name)


def test_contended(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    nodes.take(name)
    with pytest.raises(ContendedError) as failure:
        factory.acquire(name, ttl=10_000, timeout=0)
    error = failure.value
    assert (error.status, error.name) == (1, "REDLOCK_ERR_CONTENDED")
    assert len(error.nodes) == 5
    assert sum(node.name == "REDLOCK_ERR_CONTENDED" for node in error.nodes) >= nodes.quorum
    assert all(node.message and node.address for node in error.nodes)
    nodes.delete(name)


def test_no_quorum(nodes: Nodes, name: str) -> None:
    with RedLockFactory(nodes.details, options={"node_timeout_ms": 100}) as factory:
        factory.acquire(name, ttl=10_000, timeout=30).release()
        with nodes.stopped(3), pytest.raises(NoQuorumError) as failure:
            factory.acquire(name, ttl=10_000, timeout=0)
        assert sum(node.name == "REDLOCK_ERR_TIMEOUT" for node in failure.value.nodes) == 3
        factory.acquire(name, ttl=10_000, timeout=30).release()


def test_a_minority_that_hangs_does_not_matter(nodes: Nodes, name: str) -> None:
    # Were they waited for, it would be for half a minute, and the lock lost by then.
    with RedLockFactory(nodes.details) as factory, nodes.stopped(2):
        with factory.acquire(name, ttl=10_000, timeout=30) as held:
            assert held.extend() > 0


def test_unreachable_nodes() -> None:
    with RedLockFactory(["redis://127.0.0.1:1", "redis://127.0.0.1:2"]) as factory:
        with pytest.raises(NoQuorumError) as failure:
            factory.acquire("any", ttl=1_000, timeout=0)
        assert {node.name for node in failure.value.nodes} == {"REDLOCK_ERR_UNREACHABLE"}
        with pytest.raises(NoQuorumError):
            factory.is_locked("any")


def test_release_twice(factory: RedLockFactory, name: str) -> None:
    held = factory.acquire(name, ttl=10_000, timeout=0)
    held.release()
    for operation in (held.release, held.extend, held.keep_alive):
        with pytest.raises(ReleasedError):
            operation()


def test_an_expired_lock_says_so(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    held = factory.acquire(name, ttl=60, timeout=30)
    wait_until(lambda: nodes.holders(name) == 0, "it ran out")
    assert held.lost
    nodes.take(name)
    for operation in (held.extend, held.keep_alive, held.release):
        with pytest.raises(ExpiredError):
            operation()
    assert set(nodes.values(name)) == {"somebody else"}
    nodes.delete(name)


def test_leaving_with_an_expired_lock_says_so(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    with pytest.raises(ExpiredError), factory.acquire(name, ttl=60, timeout=30):
        wait_until(lambda: nodes.holders(name) == 0, "it ran out")
    with pytest.raises(KeyError), factory.acquire(name, ttl=60, timeout=30):  # noqa: PT012
        wait_until(lambda: nodes.holders(name) == 0, "it ran out")
        raise KeyError("which says more")


def test_with_after_a_release_of_one_s_own(factory: RedLockFactory, name: str) -> None:
    with factory.acquire(name, ttl=10_000, timeout=0) as held:
        held.release()


def test_extend(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    with factory.acquire(name, ttl=10_000, timeout=0) as held:
        assert held.extend(50_000) > 40_000
        assert held.ttl == 50_000
        assert held.extend(5_000) > 40_000, "it never ends earlier by being extended"
        assert sum(client.pttl(name) > 40_000 for client in nodes.clients) >= nodes.quorum
        with pytest.raises(InvalidArgumentError):
            held.extend(0)
        with pytest.raises(TypeError):
            held.extend("long")  # type: ignore[arg-type]
        assert held.validity > 40_000


def test_an_extend_does_not_bring_a_lost_lock_back(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    held = factory.acquire(name, ttl=10_000, timeout=0)
    nodes.delete(name)
    with pytest.raises(ExpiredError):
        held.extend()
    assert nodes.holders(name) == 0
    with pytest.raises(ExpiredError):
        held.release()


def test_a_forgotten_lock_is_released_with_a_warning(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)
    with pytest.warns(ResourceWarning, match="never released"):  # noqa: PT031
        del held
        gc.collect()
    wait_until(lambda: nodes.holders(name) == 0, "all nodes freed it")


def test_a_detached_lock_stays_until_its_ttl_ends(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    with factory.acquire(name, ttl=60_000, timeout=0) as held:
        held.keep_alive()
        token, fence = held.token, held.fence
        held.detach()
    assert (held.token, held.fence, held.released, held.lost) == (token, fence, True, False)
    for operation in (held.detach, held.release, held.extend):
        with pytest.raises(ReleasedError):
            operation()
    del held
    gc.collect()
    with pytest.raises(ContendedError):
        factory.acquire(name, ttl=60_000, timeout=0)
    assert nodes.values(name).count(token) >= nodes.quorum
    nodes.delete(name)


def test_fences_rise_over_factories(nodes: Nodes, name: str) -> None:
    fences = []
    for _ in range(3):
        with RedLockFactory(nodes.details) as factory, factory.acquire(name, ttl=10_000, timeout=30) as held:
            fences.append(held.fence)
            held.extend()
            assert held.fence == fences[-1]
    assert fences == sorted(set(fences))
    assert fences[0] > 0


def test_without_fencing_there_is_no_fence(nodes: Nodes, name: str) -> None:
    with RedLockFactory(nodes.details, options={"fencing": False}) as factory:
        with factory.acquire(name, ttl=10_000, timeout=0) as held:
            assert held.fence == 0


def test_several_resources(factory: RedLockFactory, name: str) -> None:
    names = [f"{name}:{i}" for i in range(4)]
    with factory.acquire(names, ttl=10_000, timeout=0) as held:
        assert len(held.fences) == 4
        assert all(held.fences)
        assert held.fence == held.fences[0]
        assert factory.is_locked(names[3])
        with pytest.raises(ContendedError):
            factory.acquire((f"{name}:free", names[2]), ttl=10_000, timeout=0)
    assert not factory.is_locked([*names, f"{name}:free"])


def test_waiting_ends_when_the_lock_is_released(factory: RedLockFactory, name: str) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)
    others: list[redlock.HeldLock] = []
    waiter = threading.Thread(target=lambda: others.append(factory.acquire(name, ttl=60_000, timeout=None)))
    waiter.start()
    # This thread goes on working, so the other does not keep the GIL while it waits.
    held.extend()
    assert not others
    held.release()
    waiter.join(30)
    assert others[0].validity > 0
    others[0].release()


def test_waiting_ends_when_the_factory_is_closed(nodes: Nodes, name: str) -> None:
    nodes.take(name)
    factory = RedLockFactory(nodes.details)
    failures: list[RedLockError] = []

    def wait() -> None:
        try:
            factory.acquire(name, ttl=60_000, timeout=None)
        except RedLockError as error:
            failures.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    factory.close()
    waiter.join(30)
    assert [type(error) for error in failures] == [ClosedError]
    nodes.delete(name)


def test_locks_outlive_their_factory(nodes: Nodes, name: str) -> None:
    factory = RedLockFactory(nodes.details)
    held = factory.acquire(name, ttl=10_000, timeout=0)
    factory.close()
    assert held.extend() > 0
    held.release()


CLOSED: list[Callable[[RedLockFactory], object]] = [
    lambda factory: factory.acquire("any", ttl=1_000, timeout=0),
    lambda factory: factory.acquire(["any", "other"], ttl=1_000, timeout=1),
    lambda factory: factory.is_locked("any"),
    lambda factory: factory.check(),
    lambda factory: factory.trust_nodes(),
    lambda factory: factory.create_lock("any").acquire(),
    lambda factory: factory.create_lock("any").acquire(timeout=1),
    lambda factory: factory.create_lock("any").locked(),
]


@pytest.mark.parametrize("use", CLOSED)
def test_use_after_close(nodes: Nodes, use: Callable[[RedLockFactory], object]) -> None:
    factory = RedLockFactory(nodes.details)
    factory.close()
    factory.close()
    assert factory.closed
    with pytest.raises(ClosedError):
        use(factory)


def test_check_has_a_line_for_each_node(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    factory.acquire(name, ttl=10_000, timeout=0).release()
    lines = factory.check()
    assert len(lines) == 5
    assert all(url in line for url, line in zip(nodes.urls, lines))


def test_trust_nodes(name: str) -> None:
    options: redlock.Options = {"restart_guard": "strict", "node_timeout_ms": 30_000}
    with Server() as server, RedLockFactory([server.wait().url], options=options) as factory:
        with pytest.raises(NoQuorumError) as failure:
            factory.acquire(name, ttl=10_000, timeout=0)
        assert failure.value.nodes[0].name == "REDLOCK_ERR_NOT_ADMITTED"
        wait_until(lambda: _trusted(factory), "the node is connected")
        factory.acquire(name, ttl=10_000, timeout=30).release()


def _trusted(factory: RedLockFactory) -> bool:
    try:
        factory.trust_nodes()
    except NoQuorumError:
        return False
    return True


def test_what_belongs_to_one_process_is_not_copied(factory: RedLockFactory, name: str) -> None:
    with factory.acquire(name, ttl=10_000, timeout=0) as held:
        for thing in (held, factory):
            with pytest.raises(TypeError, match="cannot be copied"):
                copy.copy(thing)
            with pytest.raises(TypeError, match="cannot be copied"):
                pickle.dumps(thing)


def test_errors_travel_between_processes(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    nodes.take(name)
    with pytest.raises(ContendedError) as failure:
        factory.acquire(name, ttl=10_000, timeout=0)
    error = pickle.loads(pickle.dumps(failure.value))
    assert type(error) is ContendedError
    assert (str(error), error.status, error.nodes) == (str(failure.value), 1, failure.value.nodes)
    nodes.delete(name)
