"""Distributed locks over independent Redis masters: the API of the `redlock` package, on the C library libredlock.

    from redlock import RedLock  # or: from libredlock import RedLock

    with RedLock("distributed_lock"):
        ...

`RedLock`, `ReentrantRedLock`, `RedLockFactory` and `RedLockError` are a drop-in for that package's. Beyond it, a factory's
`RedLockFactory.acquire` gives a `HeldLock` and raises what went wrong; `libredlock.aio` has the same for asyncio.
"""

from . import aio as aio
from . import errors as errors
from . import factory as factory
from . import held as held
from . import lock as lock
from . import options as options
from ._arguments import Milliseconds, Options, Resource
from ._library import library as _loaded
from ._nodes import ConnectionDetail, Node
from ._version import __version__
from .errors import (
    AcquireCancelledError,
    ClosedError,
    ContendedError,
    ExpiredError,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    NodeReport,
    NoQuorumError,
    RedLockError,
    ReleasedError,
    ResourceError,
)
from .held import HeldLock
from .lock import RedLock, RedLockFactory, ReentrantRedLock
from .options import Option, option_table

__all__ = [
    "AcquireCancelledError",
    "ClosedError",
    "ConnectionDetail",
    "ContendedError",
    "ExpiredError",
    "ForkedError",
    "HeldLock",
    "InternalError",
    "InvalidArgumentError",
    "Milliseconds",
    "NoQuorumError",
    "Node",
    "NodeReport",
    "Option",
    "Options",
    "RedLock",
    "RedLockError",
    "RedLockFactory",
    "ReentrantRedLock",
    "ReleasedError",
    "Resource",
    "ResourceError",
    "__version__",
    "library_path",
    "library_version",
    "option_table",
]


def library_version() -> str:
    """The version of the C library that is loaded."""
    return str(_loaded.version().decode())


def library_path() -> str:
    """Where the C library was loaded from."""
    return _loaded.path
