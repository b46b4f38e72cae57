"""redsync and node-redlock exclude our locks, of each language, and ours exclude theirs.

The tests of the Python package do the same for redlock-py and for the package that it takes the place of.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from masters import Masters
from party import LONG, Party, fence_of, name_of, programs


@pytest.mark.parametrize("peer", programs("ACROSS_PEERS"), ids=name_of)
@pytest.mark.parametrize("language", programs("ACROSS_LANGUAGES"), ids=name_of)
def test_each_excludes_the_other(
    peer: Path, language: Path, party: Callable[[Path], Party], masters: Masters, fair: str
) -> None:
    theirs, ours, resource = party(peer), party(language), f"peers:{peer.name}:{language.name}:{fair}"
    assert theirs.ask("try", resource, LONG) == "ok"
    assert ours.ask("try", resource, LONG) == "contended"
    masters.tell_to_wait(ours, resource, LONG)
    assert not ours.has_answered()
    assert theirs.ask("release") == "ok"
    fence = fence_of(ours.answer())

    assert theirs.ask("try", resource, LONG) == "contended"
    masters.tell_to_wait(theirs, resource, LONG)
    assert not theirs.has_answered()
    assert ours.ask("release") == "ok"
    assert theirs.answer() == "ok"
    assert theirs.ask("release") == "ok"

    assert fence_of(ours.ask("try", resource, LONG)) > fence
    assert ours.ask("release") == "ok"
