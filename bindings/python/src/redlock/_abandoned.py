"""Held locks whose `RedLock` object is gone. They stay held until their TTL ends, as with the package before this one.

Programs rely on it: ``RedLock("cron", ttl=60000).acquire()`` in each of many processes lets one of them work in a minute.
The C library would release a lock whose handle is freed, so handles are kept until there is nothing to release.
"""

from __future__ import annotations

from .held import BaseHeldLock

# Finalizers come here, at any moment and in any thread; so nothing but single, atomic steps.
_kept: set[BaseHeldLock] = set()
_sweep_at = 16


def abandon(held: BaseHeldLock) -> None:
    """Keep a lock until its validity ends."""
    if held.released or held.kept or held.validity == 0.0:
        # A lock that is kept alive would stay for ever.
        return
    held._abandoned = True
    _kept.add(held)
    if len(_kept) >= _sweep_at:
        _sweep()


def _sweep() -> None:
    """Let go of those that have ended, seldom enough that it costs each of them little."""
    global _sweep_at  # noqa: PLW0603  # the module is the one thing of its kind
    for held in _kept.copy():
        if held.validity == 0.0:
            _kept.discard(held)
    _sweep_at = max(16, 2 * len(_kept))
