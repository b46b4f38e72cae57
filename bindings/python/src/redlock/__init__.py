"""The package `libredlock` under the name of the package that it takes the place of.

    from redlock import RedLock

    with RedLock("distributed_lock"):
        ...

Other packages on PyPI are imported as `redlock` too. Where one of them is installed beside this one, use `libredlock`.
"""

import sys as _sys

try:
    import libredlock as _libredlock  # noqa: F401  # to tell what is missing
except ModuleNotFoundError as _error:
    if _error.name != "libredlock":
        raise
    raise ImportError(
        "the redlock package is incomplete: libredlock is missing beside it. Several packages are called redlock; "
        "uninstall them all (pip uninstall redlock redlock-py), and install this one again"
    ) from None

from libredlock import (
    AcquireCancelledError,
    ClosedError,
    ConnectionDetail,
    ContendedError,
    ExpiredError,
    ForkedError,
    HeldLock,
    InternalError,
    InvalidArgumentError,
    Milliseconds,
    Node,
    NodeReport,
    NoQuorumError,
    Option,
    Options,
    RedLock,
    RedLockError,
    RedLockFactory,
    ReentrantRedLock,
    ReleasedError,
    Resource,
    ResourceError,
    __version__,
    library_path,
    library_version,
    option_table,
)
from libredlock import aio as aio
from libredlock import errors as errors
from libredlock import factory as factory
from libredlock import held as held
from libredlock import lock as lock
from libredlock import options as options

#: The version under the name that the package before this one has for it.
__VERSION__ = __version__

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

# The modules are the same objects under both names, so that what is patched in one is patched in the other. The files
# lock.py and aio.py beside this one are for type checkers, and for the error when another package has replaced this file.
for _name, _module in (
    ("aio", aio),
    ("errors", errors),
    ("factory", factory),
    ("held", held),
    ("lock", lock),
    ("options", options),
):
    _sys.modules[f"{__name__}.{_name}"] = _module
