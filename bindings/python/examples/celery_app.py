"""Locks in Celery, with every pool.

    celery -A celery_app worker -P prefork  # or gevent, eventlet, threads

A task that must not run twice at once waits for its lock for a while, and is tried again later when it could not have it.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from redlock import ContendedError, NoQuorumError, RedLockFactory

locks = RedLockFactory(os.environ["LOCK_MASTERS"].split(","))
counter = Path(os.environ["COUNTER"])
app = Celery("celery_app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])


@app.task(autoretry_for=(ContendedError, NoQuorumError), retry_backoff=True, max_retries=10)
def count() -> int:
    """Add one, which takes reading and writing."""
    with locks.acquire("counter", ttl=10_000, timeout=10) as held:
        lost = held.keep_alive()
        number = int(counter.read_text()) + 1
        if lost.is_set():
            raise RuntimeError("lost the lock")
        counter.write_text(str(number))
        return number
