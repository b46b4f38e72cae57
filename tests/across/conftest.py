"""Fixtures: the masters that `testkit` started for this run, and parties among them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable, Iterator

import pytest
from masters import PATIENT, Masters
from party import Party


@pytest.fixture(scope="session")
def masters() -> Iterator[Masters]:
    urls, pids = os.environ.get("REDLOCK_TEST_URLS"), os.environ.get("REDLOCK_TEST_PIDS")
    if not urls or not pids:
        pytest.exit("the tests need servers: run tests/across/run", returncode=2)
    masters = Masters(urls.split(","), [int(pid) for pid in pids.split(",")])
    yield masters
    masters.close()


@pytest.fixture(scope="module", params=["off", "on"], ids="fair-{}".format)
def fair(request: pytest.FixtureRequest) -> str:
    """The option of that name, the same for all."""
    return str(request.param)


@pytest.fixture
def start() -> Iterator[Callable[..., Party]]:
    """Starts a party, which ends with the test."""
    with contextlib.ExitStack() as ending:

        def start(program: Path, **settings: str) -> Party:
            party = Party(program, **settings)
            ending.callback(party.end)
            return party

        yield start


@pytest.fixture(scope="module")
def party(fair: str) -> Iterator[Callable[[Path], Party]]:
    """Gives the party of a program, the same one throughout a module."""
    parties: dict[Path, Party] = {}
    with contextlib.ExitStack() as ending:

        def party(program: Path) -> Party:
            if program not in parties:
                parties[program] = Party(program, **PATIENT, fair=fair)
                ending.callback(parties[program].end)
            return parties[program]

        yield party
