"""Locks in FastAPI.

    uvicorn --workers 2 fastapi_app:app

The factory of `redlock.aio` waits without blocking the event loop, and without a thread.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, AsyncIterator

from fastapi import FastAPI, HTTPException

from redlock import ContendedError, NoQuorumError, aio

locks = aio.RedLockFactory(os.environ["LOCK_MASTERS"].split(","))
counter = Path(os.environ["COUNTER"])


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
    """Close the connections when the server stops."""
    async with locks:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/count")
async def count() -> dict[str, Any]:
    """Add one, which takes reading and writing."""
    try:
        async with locks.acquire("counter", ttl=10_000, timeout=10) as held:
            number = int(counter.read_text()) + 1
            counter.write_text(str(number))
            return {"count": number, "fence": held.fence}
    except ContendedError:
        raise HTTPException(409, "busy") from None
    except NoQuorumError:
        raise HTTPException(503, "no locks at the moment") from None
