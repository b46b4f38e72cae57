"""What can go wrong, as exceptions; each carries what every node had to say.

All but one are a `RedLockError`. A value that is not allowed is an `InvalidArgumentError`, which is not: a program that
takes every `RedLockError` for "not locked" must not take its own mistake for that.
"""

from __future__ import annotations

from ctypes import c_void_p
from typing import NamedTuple

from ._library import library


class NodeReport(NamedTuple):
    """One node's part in a failure."""

    #: The node's URL, without user and password.
    address: str
    #: What it did, as a number: 0 when it voted for the operation.
    status: int
    #: The number's name, such as ``"REDLOCK_ERR_TIMEOUT"``.
    name: str
    #: What happened, in one line; the server's own words where there are some.
    message: str


class Reported(Exception):  # noqa: N818  # no exception by itself
    """What all exceptions of this package tell."""

    #: The C library's status, such as 1; 0 where the failure was noticed on this side.
    status: int = 0
    #: What each node did, in the order of the connection details; empty where none was asked.
    nodes: tuple[NodeReport, ...] = ()

    @property
    def name(self) -> str:
        """The status as a word, such as ``"REDLOCK_ERR_CONTENDED"``."""
        return status_name(self.status)


class RedLockError(Reported):
    """A lock could not be taken, extended or given back. Its subclasses say why."""


class ContendedError(RedLockError):
    """Another owner holds the lock. Trying again later may succeed."""

    status = 1


class NoQuorumError(RedLockError):
    """Too few nodes could be reached, answered in time or were willing to vote: look at `nodes`."""

    status = 2


class ExpiredError(RedLockError):
    """The lock is not held any more. Stop using what it protects."""

    status = 3


class AcquireCancelledError(RedLockError):
    """The operation was cancelled."""

    status = 4


class ReleasedError(RedLockError):
    """The lock was already released."""

    status = 5


class InvalidArgumentError(Reported, ValueError):
    """A value is malformed, out of range or cannot be honoured. A wrong type is a `TypeError`. No `RedLockError`."""

    status = 6


class ForkedError(RedLockError):
    """The lock belongs to the parent process, which took it before a fork."""

    status = 7


class ClosedError(RedLockError):
    """The factory was closed."""

    status = 8


class ResourceError(RedLockError):
    """The operating system refused a thread, a descriptor or memory."""

    status = 9


class InternalError(RedLockError):
    """A defect of the C library; please report the message."""

    status = 10


_BY_STATUS: dict[int, type[Reported]] = {
    kind.status: kind
    for kind in (
        ContendedError,
        NoQuorumError,
        ExpiredError,
        AcquireCancelledError,
        ReleasedError,
        InvalidArgumentError,
        ForkedError,
        ClosedError,
        ResourceError,
        InternalError,
    )
}


def status_name(status: int) -> str:
    """The name of a status of the C library."""
    return str(library.status_name(status).decode())


def take_error(status: int, error: c_void_p) -> Reported:
    """Make the exception for a failed call, and free the C library's error."""
    handle = error.value
    message = library.error_message(handle).decode() if handle else status_name(status)
    exception = _BY_STATUS.get(status, RedLockError)(message)
    exception.status = status
    if handle:
        exception.nodes = tuple(_report(handle, i) for i in range(library.error_node_count(handle)))
        error.value = None
        library.error_free(handle)
    return exception


def _report(handle: int, i: int) -> NodeReport:
    status = library.error_node_status(handle, i)
    address = library.error_node_address(handle, i).decode()
    return NodeReport(address, status, status_name(status), library.error_node_message(handle, i).decode())
