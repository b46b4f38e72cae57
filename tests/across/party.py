"""Those who take locks in the tests across languages: programs that do what they are told, a line at a time."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path

from helpers import PATIENCE

#: A TTL in ms that no test outlives.
LONG = 60_000


class Party:
    """A program of one language or library; it holds at most one lock."""

    def __init__(self, program: Path, **settings: str) -> None:
        self.name = program.name
        self._killed = False
        self._process = subprocess.Popen(
            [program, *(f"{name}={value}" for name, value in settings.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: str, *words: object) -> str:
        """Tell it something, and give its answer."""
        self.tell(order, *words)
        return self.answer()

    def tell(self, order: str, *words: object) -> None:
        """Tell it ``try RESOURCE TTL``, ``wait RESOURCE TTL`` or ``release``."""
        assert self._process.stdin
        self._process.stdin.write(" ".join([order, *map(str, words)]) + "\n")
        self._process.stdin.flush()

    def answer(self, patience: float = PATIENCE) -> str:
        """Hear ``ok`` (with the fence, when it took a lock of ours), ``contended`` or ``error TEXT``."""
        assert self._process.stdout
        assert self.has_answered(patience), f"{self.name} does not answer"
        line = self._process.stdout.readline()
        assert line, f"{self.name} has ended"
        return line.rstrip("\n")

    def has_answered(self, patience: float = 0) -> bool:
        """Whether there is an answer to what it was told."""
        # There is one answer at a time, so nothing of it is in a buffer already.
        assert self._process.stdout
        return bool(select.select([self._process.stdout], [], [], patience)[0])

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._killed = True
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        """Let it end, and see that it ends well, unless it was killed."""
        if self._killed:
            return
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        assert self._process.returncode == 0, f"{self.name} ended with {self._process.returncode}"


def fence_of(answer: str) -> int:
    """The fence of the lock that was taken."""
    word, _, fence = answer.partition(" ")
    assert word == "ok", answer
    return int(fence)


def rise(fences: list[int]) -> bool:
    """Whether each is larger than the one before."""
    return all(earlier < later for earlier, later in zip(fences, fences[1:]))


def name_of(program: Path) -> str:
    """Such as ``go``."""
    return program.name


def programs(folder: str) -> list[Path]:
    """The programs that tests/across/run has built into one of its folders."""
    return sorted(Path(os.environ[folder]).iterdir())
