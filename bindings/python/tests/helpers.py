"""What the tests share: servers of their own, a look at the nodes from outside, and waiting for a condition."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Generous, since other programs use the machine too.
PATIENCE = 30.0

TESTS = Path(__file__).resolve().parent
PYTHON_FOLDER = TESTS.parent
REPOSITORY = PYTHON_FOLDER.parent.parent


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition, and fail when it does not come."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


def blocks(language: str) -> list[str]:
    """The README's samples in a language."""
    readme = (PYTHON_FOLDER / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)


class Nodes:
    """The masters of a test, with a connection to each that the package knows nothing of."""

    def __init__(self, urls: list[str], pids: list[int]) -> None:
        self.urls = urls
        self.pids = pids
        self.clients = [redis.Redis.from_url(url, decode_responses=True) for url in urls]

    @property
    def details(self) -> list[dict[str, Any]]:
        """Fresh connection details. Their nodes may take long to answer: other programs use the machine too."""
        return [{"url": url, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE} for url in self.urls]

    @property
    def patient_urls(self) -> list[str]:
        """The same as URLs."""
        return [f"{url}?socket_timeout={PATIENCE}&socket_connect_timeout={PATIENCE}" for url in self.urls]

    @property
    def quorum(self) -> int:
        return len(self.urls) // 2 + 1

    def values(self, key: str) -> list[Any]:
        """What each node has under a key."""
        return [client.get(key) for client in self.clients]

    def holders(self, key: str) -> int:
        """How many nodes have a key."""
        return sum(value is not None for value in self.values(key))

    def take(self, key: str, value: str = "somebody else", px: int = 60_000) -> None:
        """Lock as another library would, on all nodes."""
        for client in self.clients:
            assert client.set(key, value, nx=True, px=px)

    def delete(self, key: str) -> None:
        for client in self.clients:
            client.delete(key)

    @contextlib.contextmanager
    def stopped(self, count: int) -> Iterator[None]:
        """Some nodes hang, by SIGSTOP."""
        chosen = self.pids[:count]
        for pid in chosen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in chosen:
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        for client in self.clients:
            client.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A redis-server of one test, with settings of its own."""

    def __init__(self, *settings: str, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host, self.port = host, free_port() if port is None else port
        self.folder = tempfile.TemporaryDirectory()
        binary = os.environ.get("REDLOCK_TEST_SERVER", "redis-server")
        place = [] if "--port" in settings else ["--port", str(self.port)]
        command = [binary, "--bind", host, *place, "--save", "", "--dir", self.folder.name, *settings]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def wait(self, **arguments: Any) -> Server:
        """Wait until it answers to a client that is made with these arguments."""
        arguments = {"host": self.host, "port": self.port, "retry": Retry(NoBackoff(), 0), **arguments}
        with contextlib.closing(redis.Redis(**arguments)) as client:
            wait_until(lambda: self._answers(client), "the server answers")
        return self

    def _answers(self, client: Any) -> bool:
        assert self.process.poll() is None, "the server ended"
        try:
            return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
