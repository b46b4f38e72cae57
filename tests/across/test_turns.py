"""Many processes of several languages take turns at one lock, while masters hang now and then.

For how long says ACROSS_SECONDS, once without `fair` and once with it.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from masters import Masters
from party import LONG, Party, fence_of, programs, rise

SECONDS = float(os.environ.get("ACROSS_SECONDS", "10"))
PROGRAMS = [program for program in programs("ACROSS_LANGUAGES") if program.name in {"c", "go", "node", "python"}]
#: How many processes of each.
EACH = 4
#: Patient with a busy machine, but not as long as a master hangs.
SETTINGS = {"node_timeout_ms": "1000", "connect_timeout_ms": "20000"}


class Register:
    """What a lock protects: a number in a file, and the fences of those who changed it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("0")
        self.fences: list[int] = []

    def increment(self, fence: int) -> None:
        """Without any atomicity: who is not alone loses increments, or finds the file empty."""
        self.path.write_text(str(int(self.path.read_text() or 0) + 1))
        self.fences.append(fence)


def take_turns(party: Party, resource: str, register: Register, over: threading.Event) -> int:
    """Lock, increment and unlock until it is over; returns how many times."""
    turns = 0
    while not over.is_set():
        register.increment(fence_of(party.ask("wait", resource, LONG)))
        give_back(party)
        turns += 1
    return turns


def give_back(party: Party) -> None:
    """Release. It cannot be proven that the lock was held to the end when one of the nodes that granted it hangs."""
    answer = party.ask("release")
    assert answer == "ok" or "are needed" in answer, answer


def disturb(masters: Masters, over: threading.Event) -> None:
    """Have one master after the other hang, until it is over."""
    while not over.is_set():
        pid = random.choice(masters.pids)
        os.kill(pid, signal.SIGSTOP)
        over.wait(random.uniform(0.1, 1.5))
        os.kill(pid, signal.SIGCONT)
        over.wait(random.uniform(0.1, 0.5))


def test_processes_of_several_languages_take_turns(
    start: Callable[..., Party], masters: Masters, fair: str, tmp_path: Path
) -> None:
    parties = [start(program, **SETTINGS, fair=fair) for program in PROGRAMS for _ in range(EACH)]
    register, over = Register(tmp_path / "number"), threading.Event()
    with ThreadPoolExecutor(len(parties) + 1) as threads:
        disturbance = threads.submit(disturb, masters, over)
        running = [threads.submit(take_turns, party, f"turns:fair-{fair}", register, over) for party in parties]
        over.wait(SECONDS)
        over.set()
        turns = [each.result() for each in running]
        disturbance.result()
    print("turns:", [(party.name, count) for party, count in zip(parties, turns)])
    assert int(register.path.read_text()) == sum(turns)
    assert rise(register.fences)
    assert min(turns) > 0
