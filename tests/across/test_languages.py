"""Locks of every language keep out those of every other, are handed over to them, and have fences that rise."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Callable

import pytest
from masters import PATIENT, Masters
from party import LONG, Party, fence_of, name_of, programs, rise

LANGUAGES = programs("ACROSS_LANGUAGES")
#: The TTL of a holder that dies, in ms.
SHORT = 2000


class Resource:
    """What all languages lock, and the fences in the order of the locks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fences: list[int] = []

    def taken(self, answer: str) -> None:
        """One has taken the lock: its fence is larger than all before."""
        self.fences.append(fence_of(answer))
        assert rise(self.fences)


@pytest.fixture(scope="module")
def resource(fair: str) -> Resource:
    return Resource(f"across:fair-{fair}")


@pytest.mark.parametrize(("holder", "other"), list(itertools.permutations(LANGUAGES, 2)), ids=name_of)
def test_one_language_hands_over_to_another(
    holder: Path, other: Path, party: Callable[[Path], Party], masters: Masters, resource: Resource
) -> None:
    first, second = party(holder), party(other)
    resource.taken(first.ask("try", resource.name, LONG))
    assert second.ask("try", resource.name, LONG) == "contended"
    masters.tell_to_wait(second, resource.name, LONG)
    assert not second.has_answered()
    assert first.ask("release") == "ok"
    resource.taken(second.answer())
    assert second.ask("release") == "ok"


class Pair:
    """A holder that is going to be killed, and one of another language that waits for its lock."""

    def __init__(self, holder: Party, other: Party) -> None:
        self.holder, self.other = holder, other
        self.resource = f"killed:{holder.name}"

    def hold_and_wait(self, masters: Masters) -> None:
        self.began = time.monotonic()
        self.fence = fence_of(self.holder.ask("try", self.resource, SHORT))
        masters.tell_to_wait(self.other, self.resource, LONG)

    def follow(self) -> None:
        assert fence_of(self.other.answer()) > self.fence
        # Not before the TTL, however slow the machine is; less a little, since the nodes go by the wall clock.
        assert time.monotonic() - self.began > 0.9 * SHORT / 1000
        assert self.other.ask("release") == "ok"


def test_a_killed_holder_is_followed_by_another_language(
    start: Callable[..., Party], party: Callable[[Path], Party], masters: Masters, fair: str
) -> None:
    others = LANGUAGES[1:] + LANGUAGES[:1]
    pairs = [Pair(start(holder, **PATIENT, fair=fair), party(other)) for holder, other in zip(LANGUAGES, others)]
    for pair in pairs:
        pair.hold_and_wait(masters)
    for pair in pairs:
        pair.holder.kill()
    for pair in pairs:
        pair.follow()
