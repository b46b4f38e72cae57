"""Locks in Flask, under any WSGI server.

    gunicorn -k gevent --workers 2 flask_app:app

One factory serves the whole process. It may be made before the server forks its workers, and greenlets can share it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Flask

from redlock import ContendedError, NoQuorumError, RedLockFactory

locks = RedLockFactory(os.environ["LOCK_MASTERS"].split(","))
counter = Path(os.environ["COUNTER"])
app = Flask(__name__)


@app.post("/count")
def count() -> Any:
    """Add one, which takes reading and writing."""
    try:
        with locks.acquire("counter", ttl=10_000, timeout=10) as held:
            lost = held.keep_alive()
            number = int(counter.read_text()) + 1
            if lost.is_set():
                return {"error": "lost the lock"}, 503
            counter.write_text(str(number))
            return {"count": number, "fence": held.fence}
    except ContendedError:
        return {"error": "busy"}, 409
    except NoQuorumError:
        return {"error": "no locks at the moment"}, 503
