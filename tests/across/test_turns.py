"""Many processes of several languages take turns at one lock, while masters hang now and then.

For how long says ACROSS_SECONDS, once without `fair` and once with it; by how many processes of each language, ACROSS_EACH;
how many seconds lie between two masters that hang, ACROSS_EVERY.
It prints how long they waited, and how many turns others had meanwhile: with `fair`, hardly more than one each.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from masters import Masters
from party import LONG, Party, fence_of, programs, rise

SECONDS = float(os.environ.get("ACROSS_SECONDS", "10"))
PROGRAMS = [program for program in programs("ACROSS_LANGUAGES") if program.name in {"c", "go", "node", "python"}]
#: How many processes of each.
EACH = int(os.environ.get("ACROSS_EACH", "4"))
#: How long no master hangs in between.
EVERY = float(os.environ.get("ACROSS_EVERY", "0.3"))
#: Patient with a busy machine, but not as long as a master hangs.
SETTINGS = {"node_timeout_ms": "1000", "connect_timeout_ms": "20000"}


class Register:
    """What a lock protects: a number in a file, and the fences of those who changed it, in the order of their turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("0")
        self.fences: list[int] = []

    def increment(self, fence: int) -> None:
        """Without any atomicity: who is not alone loses increments, or finds the file empty."""
        self.path.write_text(str(int(self.path.read_text() or 0) + 1))
        self.fences.append(fence)


class Turns:
    """The turns of one party: how long each was waited for, in seconds, and its place among the turns of all."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.places: list[int] = []

    def take(self, party: Party, resource: str, register: Register, over: threading.Event) -> None:
        """Lock, increment and unlock until it is over."""
        while not over.is_set():
            began = time.monotonic()
            fence = fence_of(party.ask("wait", resource, LONG))
            self.waits.append(time.monotonic() - began)
            self.places.append(len(register.fences))
            register.increment(fence)
            give_back(party)

    def most_by_others(self) -> int:
        """How many turns others had at most between two of these."""
        return max((later - earlier - 1 for earlier, later in zip(self.places, self.places[1:])), default=0)


def is_there(party: Party) -> bool:
    """Whether it has started, and found the masters: a process's start is no wait for a lock."""
    took = party.ask("wait", f"turns:{id(party)}", LONG)
    give_back(party)
    return took.startswith("ok")


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
        over.wait(random.uniform(0.3 * EVERY, 1.7 * EVERY))


def test_processes_of_several_languages_take_turns(
    start: Callable[..., Party], masters: Masters, fair: str, tmp_path: Path
) -> None:
    parties = [start(program, **SETTINGS, fair=fair) for program in PROGRAMS for _ in range(EACH)]
    assert all(is_there(party) for party in parties)
    register, over = Register(tmp_path / "number"), threading.Event()
    turns = [Turns() for _ in parties]
    with ThreadPoolExecutor(len(parties) + 1) as threads:
        disturbance = threads.submit(disturb, masters, over)
        running = [
            threads.submit(each.take, party, f"turns:fair-{fair}", register, over) for party, each in zip(parties, turns)
        ]
        over.wait(SECONDS)
        over.set()
        for each in [*running, disturbance]:
            each.result()
    counts = [len(each.waits) for each in turns]
    print("turns:", [(party.name, count) for party, count in zip(parties, counts)])
    longest = max(wait for each in turns for wait in each.waits)
    cycle = SECONDS * len(parties) / sum(counts)
    print(f"fair={fair}: longest wait {longest:.3f} s, a cycle {cycle:.3f} s on average")
    most = max(each.most_by_others() for each in turns)
    print(f"others had {most} turns at most between two of one of {len(parties)} processes")
    assert int(register.path.read_text()) == sum(counts)
    assert rise(register.fences)
    assert fair == "off" or (min(counts) > 0 and most < 3 * len(parties))
