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
    (b"\xff", InvalidArgumentError, "UTF-8"),
    ([], InvalidArgumentError, "empty"),
    (["a", "a"], InvalidArgumentError, "twice"),
    (["a", ""], InvalidArgumentError, "empty"),
    ([str(i) for i in range(129)], InvalidArgumentError, "128"),
    (None, TypeError, "NoneType"),
    (17, TypeError, "int"),
    (["a", 17], TypeError, "int"),
    ({"a"}, TypeError, "set"),
]


@pytest.mark.parametrize(("resource", "kind", "says"), RESOURCES)
def test_resources(factory: RedLockFactory, resource: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        factory.acquire(resource, ttl=1_000, timeout=0)
    with pytest.raises(kind, match=says):
        factory.create_lock(resource).acquire()


TTLS = [
    (0, InvalidArgumentError),
    (-1, InvalidArgumentError),
    (2**64, InvalidArgumentError),
    (120_001, InvalidArgumentError),
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
def test_ttls(factory: RedLockFactory, name: str, ttl: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"(?i:ttl)"):
        factory.acquire(name, ttl=ttl, timeout=0)
    with pytest.raises(kind, match=r"(?i:ttl)"):
        factory.create_lock(name, ttl=ttl).acquire()
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


def test_invalid_arguments_are_value_errors_of_this_package() -> None:
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(InvalidArgumentError, RedLockError)
    error = pickle.loads(pickle.dumps(InvalidArgumentError("why")))
    assert (type(error), str(error), error.status) == (InvalidArgumentError, "why", 6)
