"""Bad input: each is Python's kind of error, says what is wrong, and harms nothing."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest
from helpers import Nodes

from redlock import InvalidArgumentError, RedLock, RedLockError, RedLockFactory

RESOURCES = [
    ("", InvalidArgumentError, "empty"),
    ("x" * 513, InvalidArgumentError, "513 bytes"),
    ("é" * 257, InvalidArgumentError, "514 bytes"),
    ("a\0b", InvalidArgumentError, "NUL"),
    ("\ud800", InvalidArgumentError, "UTF-8"),
    (b"\xff\xfe", InvalidArgumentError, "UTF-8"),
    ([], InvalidArgumentError, "empty"),
    (["a", "a"], InvalidArgumentError, "twice"),
    (["a", ""], InvalidArgumentError, "empty"),
    ([str(i) for i in range(129)], InvalidArgumentError, "128"),
    (None, TypeError, "NoneType"),
    (True, TypeError, "bool"),
    (["a", None], TypeError, "NoneType"),
    (object(), TypeError, "object"),
    ({"a"}, TypeError, "set"),
]


@pytest.mark.parametrize(("resource", "kind", "says"), RESOURCES)
def test_resources(factory: RedLockFactory, resource: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        factory.acquire(resource, ttl=1_000, timeout=0)
    if says not in ("128", "twice"):
        with pytest.raises(kind, match=says):
            factory.create_lock(resource)


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        (42, "42"),
        (3.5, "3.5"),
        (-1, "-1"),
        (b"bytes", "bytes"),
        (memoryview(b"view"), "view"),
    ],
)
def test_names_are_what_redis_py_makes_of_them(factory: RedLockFactory, nodes: Nodes, resource: Any, key: str) -> None:
    with factory.create_lock(resource) as validity:
        assert validity > 0
        assert nodes.values(key) == [client.get(resource) for client in nodes.clients]
        assert nodes.holders(key) >= nodes.quorum
    with factory.acquire([resource, f"{key}:2"], ttl=10_000, timeout=30):
        assert nodes.holders(key) >= nodes.quorum


TTLS = [
    (0, InvalidArgumentError),
    (-1, InvalidArgumentError),
    (2**64, InvalidArgumentError),
    (31 * 86_400_000, InvalidArgumentError),
    (float("nan"), InvalidArgumentError),
    (float("inf"), InvalidArgumentError),
    (0.5, InvalidArgumentError),
    (datetime.timedelta(microseconds=1), InvalidArgumentError),
    ("1000", TypeError),
    (None, TypeError),
    (True, TypeError),
    ([], TypeError),
]


@pytest.mark.parametrize(("ttl", "kind"), TTLS)
def test_ttls(factory: RedLockFactory, nodes: Nodes, name: str, ttl: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"(?i:ttl)"):
        factory.acquire(name, ttl=ttl, timeout=0)
    with pytest.raises(kind, match=r"(?i:ttl)"):
        factory.create_lock(name, ttl=ttl)
    with pytest.raises(kind, match=r"(?i:ttl)"):
        RedLock(name, nodes.details, ttl=ttl)
    assert not factory.is_locked(name)


@pytest.mark.parametrize("ttl", [5_000, 5e3, datetime.timedelta(seconds=5)])
def test_ways_to_say_a_ttl(factory: RedLockFactory, name: str, ttl: Any) -> None:
    with factory.acquire(name, ttl=ttl, timeout=0) as held:
        assert held.ttl == 5_000


TIMEOUTS = [
    (-2, InvalidArgumentError),
    (float("nan"), InvalidArgumentError),
    (1e30, OverflowError),
    ("1", TypeError),
    (True, TypeError),
]


@pytest.mark.parametrize(("timeout", "kind"), TIMEOUTS)
def test_timeouts(factory: RedLockFactory, name: str, timeout: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="timeout"):
        factory.acquire(name, ttl=1_000, timeout=timeout)
    with pytest.raises(kind, match="timeout"):
        factory.create_lock(name).acquire(timeout=timeout)


def test_a_timeout_without_blocking(factory: RedLockFactory, name: str) -> None:
    with pytest.raises(ValueError, match="blocks"):
        factory.create_lock(name).acquire(False, 1)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"retry_times": -1}, InvalidArgumentError),
        ({"retry_times": "3"}, TypeError),
        ({"retry_times": True}, TypeError),
        ({"retry_delay": -1}, InvalidArgumentError),
        ({"retry_delay": float("nan")}, InvalidArgumentError),
        ({"retry_delay": None}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_retries(factory: RedLockFactory, arguments: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        factory.create_lock("any", **arguments)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"no_such_option": 1}, InvalidArgumentError, "no_such_option"),
        ({"node_timeout_ms": "soon"}, InvalidArgumentError, "node_timeout_ms"),
        ({"node_timeout_ms": -5}, InvalidArgumentError, "node_timeout_ms"),
        ({"key_prefix": "a\0b"}, InvalidArgumentError, "NUL"),
        ({"key_prefix": None}, TypeError, "key_prefix"),
        ({1: 2}, TypeError, "name"),
        (["fencing"], TypeError, "dict"),
    ],
)
def test_options(nodes: Nodes, options: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        RedLockFactory(nodes.details, options=options)
    with pytest.raises(kind, match=says):
        RedLock("any", nodes.details, options=options)


def test_an_option_is_honoured(nodes: Nodes, name: str) -> None:
    with RedLockFactory(nodes.details, options={"key_prefix": "p:", "max_ttl_ms": 200_000}) as factory:
        with factory.acquire(name, ttl=150_000, timeout=0):
            assert nodes.holders(f"p:{name}") >= nodes.quorum


def test_a_factory_and_details_contradict_each_other(factory: RedLockFactory, nodes: Nodes) -> None:
    with pytest.raises(TypeError, match="already"):
        RedLock("any", nodes.details, factory=factory)


def test_an_invalid_argument_is_not_mistaken_for_a_lock_of_another(factory: RedLockFactory, name: str) -> None:
    """A program that takes each `RedLockError` for "not locked" would never work, and never say so."""
    assert issubclass(InvalidArgumentError, ValueError)
    assert not issubclass(InvalidArgumentError, RedLockError)

    def is_free() -> bool:
        lock = factory.create_lock(name)
        lock.ttl = 0
        try:
            return lock.acquire()
        except RedLockError:
            return False

    with pytest.raises(ValueError, match="ttl"):
        is_free()


def test_a_ttl_of_ten_minutes_is_granted(nodes: Nodes, name: str) -> None:
    """With the default options, as the package before this one does."""
    with RedLock(name, nodes.details, ttl=600 * 1000) as validity:
        assert validity > 500_000
        assert sum(client.pttl(name) > 500_000 for client in nodes.clients) >= nodes.quorum


def test_a_ttl_above_the_option_is_refused_when_the_object_is_made(nodes: Nodes) -> None:
    with pytest.raises(InvalidArgumentError, match="max_ttl_ms"):
        RedLock("any", nodes.details, ttl=120_001, options={"restart_guard": "strict"})


@pytest.mark.parametrize("ttl", [1, 2, 3, 4, 5, 8])
def test_success_always_has_a_validity(factory: RedLockFactory, name: str, ttl: int) -> None:
    for _ in range(20):
        acquired, validity = factory.create_lock(name, ttl=ttl, retry_times=0).acquire_with_validity()
        assert acquired == (validity > 0)


def test_invalid_arguments_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InvalidArgumentError("why")))
    assert (type(error), str(error), error.status) == (InvalidArgumentError, "why", 6)
