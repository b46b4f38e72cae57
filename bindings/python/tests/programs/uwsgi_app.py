"""For uWSGI, which forks without Python's hooks: a lock is kept alive in the master, and others in its workers."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Callable, Iterable

import redis

from libredlock import ForkedError, RedLockFactory

URLS = os.environ["LOCK_MASTERS"].split(",")
locks = RedLockFactory(URLS)
counter = Path(os.environ["COUNTER"])

of_master = locks.acquire("of the master", ttl=1_000, timeout=10)
lost_by_master: threading.Event = of_master.keep_alive()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with what the worker saw."""
    answer: dict[str, Any] = {"pid": os.getpid()}
    try:
        of_master.release()
    except ForkedError:
        answer["of_master"] = "is the master's"
    with locks.acquire("counter", ttl=10_000, timeout=10) as held:
        held.keep_alive()
        counter.write_text(str(int(counter.read_text()) + 1))
    if environ["PATH_INFO"] == "/lose":
        name = f"of {os.getpid()}"
        own = locks.acquire(name, ttl=1_000, timeout=10)
        lost = own.keep_alive()
        for url in URLS:
            redis.Redis.from_url(url).delete(name)
        answer["told"] = lost.wait(30)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
