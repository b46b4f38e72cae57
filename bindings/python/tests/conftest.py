"""Fixtures: five masters that `testkit` started for this run, a factory over them, and a name that no other test uses."""

from __future__ import annotations

import itertools
import os
from typing import Iterator

import pytest
from helpers import Nodes

from redlock import RedLockFactory

_numbers = itertools.count()


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    urls, pids = os.environ.get("REDLOCK_TEST_URLS"), os.environ.get("REDLOCK_TEST_PIDS")
    if not urls or not pids:
        pytest.exit("the tests need servers: run bindings/python/test", returncode=2)
    nodes = Nodes(urls.split(","), [int(pid) for pid in pids.split(",")])
    yield nodes
    nodes.close()


@pytest.fixture
def factory(nodes: Nodes) -> Iterator[RedLockFactory]:
    with RedLockFactory(nodes.details) as factory:
        yield factory


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}:{os.getpid()}:{next(_numbers)}"
