"""The samples of this package's README, run literally, one after the other; their ports must be free."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
import redis
from helpers import blocks, run_python, wait_until


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[None]:
    """Those that the README starts."""
    code = next(code for code in blocks("sh") if "redis-server" in code) + "wait"
    shell = subprocess.Popen(["bash", "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for port in (7001, 7002, 7003):
            wait_until(lambda port=port: answers(port), "the servers answer")  # type: ignore[misc]
        yield
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()


def answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


@pytest.mark.usefixtures("servers")
def test_the_samples() -> None:
    samples = blocks("python")
    assert len(samples) == 3
    ended = run_python("\n".join(samples))
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    said = blocks("text")[0].splitlines()
    assert lines[: len(said)] == said
    assert lines[len(said) :] == [
        "wrote two with a fence: True",
        "wrote one with a fence: True",
        "held: True",
        "lost: False",
    ]
