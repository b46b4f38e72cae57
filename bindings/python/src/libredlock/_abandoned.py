"""Locks that a `RedLock` acquired. They stay held until their TTL ends, even when nobody knows of the object any more.

So it was with the package before this one, and programs rely on it: ``RedLock("cron", ttl=60000).acquire()`` in each of many
processes lets one of them work in a minute. The C library would release a lock whose handle is freed, so the handles are
listed here until there is nothing to release.
"""

from __future__ import annotations

from ._library import library

# Added to and taken from by single steps of the interpreter, from any thread.
_handles: dict[int, None] = {}
_sweep_at = 64


def keep(handle: int) -> None:
    """Keep a lock held until it is released, or its validity ends."""
    _handles[handle] = None
    if len(_handles) >= _sweep_at:
        _sweep()


def keep_no_longer(handle: int | None) -> None:
    """It was released, or belongs to an object that will see to it."""
    if handle is not None:
        _handles.pop(handle, None)


def _sweep() -> None:
    """Free those that have ended, seldom enough that it costs each of them little."""
    global _sweep_at  # noqa: PLW0603  # the module is the one thing of its kind
    for handle in list(_handles):
        if library.lock_validity_ms(handle) == 0 and _handles.pop(handle, handle) is None:
            library.lock_forget(handle)
    _sweep_at = max(64, 2 * len(_handles))
