"""`libredlock.aio` for type checkers. At run time `redlock.aio` is that module itself, so this file is never loaded."""

from libredlock._mixed import refuse
from libredlock.aio import Acquiring, HeldLock, RedLock, RedLockFactory, ReentrantRedLock

__all__ = ["Acquiring", "HeldLock", "RedLock", "RedLockFactory", "ReentrantRedLock"]

refuse(__file__)
