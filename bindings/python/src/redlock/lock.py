"""`libredlock.lock` for type checkers. At run time `redlock.lock` is that module itself, so this file is never loaded."""

from libredlock._mixed import refuse
from libredlock.lock import (
    CLOCK_DRIFT_FACTOR,
    DEFAULT_RETRY_DELAY,
    DEFAULT_RETRY_TIMES,
    DEFAULT_TTL,
    RedLock,
    RedLockError,
    RedLockFactory,
    ReentrantRedLock,
)

__all__ = [
    "CLOCK_DRIFT_FACTOR",
    "DEFAULT_RETRY_DELAY",
    "DEFAULT_RETRY_TIMES",
    "DEFAULT_TTL",
    "RedLock",
    "RedLockError",
    "RedLockFactory",
    "ReentrantRedLock",
]

refuse(__file__)
