"""The samples of the old package's README, and its own tests, run unchanged on this one.

It looks for a master on port 6379: to be run where that is free.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Iterator

import pytest
import redis
from helpers import Server

import redlock
from redlock import RedLock

#: So many addresses of its own the samples have room for.
HOSTS = [f"127.0.0.{i}" for i in range(1, 5)]


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(host=host, port=6379)) for host in HOSTS]
        for server in servers:
            server.wait()
        yield servers


@pytest.fixture
def hosts(servers: list[Server]) -> list[str]:
    """Empty masters."""
    for server in servers:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
    return HOSTS


@pytest.fixture(scope="session")
def old_package() -> Path:
    """The unpacked source distribution of the package before this one."""
    return Path(os.environ["REDLOCK_OLD_PACKAGE"])


def samples(old_package: Path) -> list[str]:
    """The blocks of Python code."""
    readme = (old_package / "README.rst").read_text()
    blocks = re.findall(r"^\.\. code:: python\n\n((?:[ ]{4}.*\n|\n)+)", readme, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def test_the_samples_of_the_readme(old_package: Path, hosts: list[str]) -> None:
    found = samples(old_package)
    assert len(found) == 4
    for sample in found:
        left = iter(hosts)
        code = re.sub(r"xxx\.xxx\.xxx\.xxx", lambda _, left=left: next(left), sample)  # type: ignore[misc]
        calls: list[list[str]] = []
        names: dict[str, Any] = {"do_something": lambda calls=calls: calls.append(held(hosts))}
        exec(code, names)
        assert len(calls) == code.count("do_something()")
        assert calls[0] == ["distributed_lock"]
        assert held(hosts) == []


def held(hosts: list[str]) -> list[str]:
    """The locks on the first node."""
    with redis.Redis(hosts[0], decode_responses=True) as client:
        # All keys of ours but the locks themselves have the resource in braces.
        return sorted(key for key in client.scan_iter() if "{" not in key and not key.startswith("libredlock:"))


def test_its_own_tests(old_package: Path, hosts: list[str]) -> None:  # noqa: ARG001
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", old_package, old_package / "tests"],
        cwd=old_package / "tests",
        env={**os.environ, "PYTHONPATH": str(Path(redlock.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"^1[0-9] passed", tests.stdout, re.MULTILINE), tests.stdout


def test_its_names_are_here(old_package: Path) -> None:
    code = (old_package / "redlock/lock.py").read_text()
    for name in re.findall(r"^(?:class (\w+)|([A-Z_]+) =)", code, re.MULTILINE):
        found = name[0] or name[1]
        # The script by which it released; here it is the C library's affair.
        assert hasattr(redlock.lock, found) or found == "RELEASE_LUA_SCRIPT"
    (parameters,) = re.findall(r"class RedLock\(object\):.*?def __init__\(self, (.*?)\):", code, re.DOTALL)
    theirs = [parameter.split("=")[0].strip() for parameter in parameters.split(",")]
    # The last one was for its factory alone.
    assert list(inspect.signature(RedLock.__init__).parameters)[1 : len(theirs)] == theirs[:-1]


def test_nothing_stands_for_this_machine(hosts: list[str]) -> None:
    with RedLock("default"):
        assert held(hosts) == ["default"]
        assert RedLock("default", [{}]).locked()
        assert RedLock("default", [{"host": "localhost"}]).locked()
    assert held(hosts) == []
