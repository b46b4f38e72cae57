"""Other Redlock packages exclude us and we exclude them, on the same key, in both directions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Iterator

import pytest
from helpers import PATIENCE, Nodes

from redlock import RedLock

# Each takes a lock or says that it cannot, and gives it back when a line comes. They have the name of our package, so each
# runs in a process of its own.
OLD_PACKAGE = """
import sys
from redlock import RedLock
lock = RedLock(sys.argv[1], [{"url": url} for url in sys.argv[2:]], retry_times=1, ttl=60000)
print("taken" if lock.acquire() else "refused", flush=True)
sys.stdin.readline()
lock.release()
"""
REDLOCK_PY = """
import sys
from redlock import Redlock
manager = Redlock(sys.argv[2:], retry_count=1)
lock = manager.lock(sys.argv[1], 60000)
print("taken" if lock else "refused", flush=True)
sys.stdin.readline()
if lock:
    manager.unlock(lock)
"""


class Peer:
    """Another package, in a process."""

    def __init__(self, folder: str, code: str) -> None:
        self.folder, self.code = folder, code
        self.processes: list[subprocess.Popen[str]] = []

    def take(self, nodes: Nodes, name: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", self.code, name, *nodes.urls],
            env={**os.environ, "PYTHONPATH": self.folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout
        return process.stdout.readline().strip()

    def give_back(self) -> None:
        assert self.processes[-1].communicate("\n", timeout=PATIENCE)[0] == ""
        assert self.processes.pop().returncode == 0


@pytest.fixture(params=["REDLOCK_OLD_PACKAGE", "REDLOCK_PY"])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    peer = Peer(os.environ[request.param], OLD_PACKAGE if request.param == "REDLOCK_OLD_PACKAGE" else REDLOCK_PY)
    yield peer
    for process in peer.processes:
        process.kill()
        process.communicate()


def test_each_excludes_the_other(peer: Peer, nodes: Nodes, name: str) -> None:
    ours = RedLock(name, nodes.details, retry_times=0)
    assert peer.take(nodes, name) == "taken"
    assert not ours.acquire()
    assert ours.locked()
    peer.give_back()
    with ours:
        assert peer.take(nodes, name) == "refused"
        peer.give_back()
        assert nodes.values(name).count(ours.lock_key) >= nodes.quorum
    assert peer.take(nodes, name) == "taken"
    peer.give_back()
    assert ours.acquire(timeout=PATIENCE)
    ours.release()
