"""A set of nodes, made once and used for any number of locks."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterable, NoReturn

from . import _nodes
from ._arguments import Milliseconds, Options, Resource, names_of, ttl_of, wait_of
from ._connections import Connections, settings_of
from ._library import library
from ._nodes import ConnectionDetail
from .held import HeldLock

if TYPE_CHECKING:
    from .lock import RedLock


class BaseFactory:
    """What the blocking and the asyncio factory have in common."""

    #: For each node the redis-py client that was given for it, or its address as a `redlock.Node`.
    redis_nodes: list[Any]
    #: How many nodes have to grant a lock.
    quorum: int
    #: redis-py's module for the clients that answer for the nodes.
    _clients = "redis"

    def __init__(
        self,
        connection_details: Iterable[ConnectionDetail] | None = None,
        *,
        options: Options | None = None,
    ) -> None:
        parsed = _nodes.parse(connection_details, self._clients)
        self._connections = Connections(parsed.urls, settings_of(parsed, options), parsed.provider)
        self.redis_nodes = parsed.nodes
        self.quorum = len(parsed.nodes) // 2 + 1

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._connections.closed

    def check(self) -> list[str]:
        """The health of each node, one line each, for a person to read.

        Asks the connected nodes about their fences, for a quarter of a second at most.
        """
        return self._connections.check()

    def trust_nodes(self) -> None:
        """Give the operator's word that the nodes have forgotten no lock, so that those that are connected vote at once.

        For a fresh set of nodes with the option ``restart_guard`` set to ``strict``. A new factory contacts all nodes first.
        """
        self._connections.trust_nodes()

    def set_credentials(self, username: str | None, password: str) -> None:
        """Set who logs in at all nodes from now on, in place of the users and passwords in `connection_details`.

        Connections that there are stay as they are. A `username` of None is that of each node. For tokens that run out, give
        redis-py's ``credential_provider`` instead.
        """
        self._connections.set_credentials(username, password)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.redis_nodes!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__qualname__} cannot be copied or pickled: give others the connection details")


class RedLockFactory(BaseFactory):
    """A set of independent Redis masters to take locks on. One is enough for a process, whatever number of threads it has.

    `connection_details` is a list with an item for each master: a dict of redis-py's arguments (``host``, ``port``, ``db``,
    ``username``, ``password``, ``credential_provider``, ``ssl``, ``unix_socket_path``, ``socket_timeout`` ...), a dict with
    ``url``, a URL, or a redis-py client, which only says where to connect to. None stands for ``redis://127.0.0.1:6379/0``.
    `options` are the settings of docs/OPTIONS.md. The masters are contacted in the background; the first acquire waits for
    them.

    A forked child can use its parent's factory: it makes connections of its own. Leaving its ``with`` block closes it.
    """

    def create_lock(self, resource: Resource, **kwargs: Any) -> RedLock:
        """Make a `RedLock` on these nodes; the further arguments are those of `RedLock`."""
        from .lock import RedLock

        return RedLock(resource=resource, factory=self, **kwargs)

    def acquire(self, resource: Resource, *, ttl: Milliseconds, timeout: float | None) -> HeldLock:
        """Acquire a lock for `ttl` ms, trying for `timeout` seconds: 0 tries once, None for ever.

        Raises `ContendedError`, `NoQuorumError` or `ExpiredError` (the nodes took longer to answer than the TTL), and then
        nothing stays locked. A signal's handler runs while it waits; when that raises, as Ctrl-C's does, the acquire is
        cancelled.
        """
        held = HeldLock(resource, ttl_of(ttl))
        try:
            self._connections.acquire(names_of(resource), held.ttl, wait_of(timeout), held._cell)
            held._check_won()
            held._own()
            return held
        except BaseException:
            # The first thing that is done here is one call into C, before which no handler of a signal can run.
            library.lock_free(held._cell)
            raise

    def is_locked(self, resource: Resource) -> bool:
        """Whether a resource, or one of several, is locked by anyone, on a quorum of the nodes.

        For diagnosis, since it may have changed when the answer is here. Raises `NoQuorumError` when too few nodes answer.
        """
        return any(self._connections.is_locked(name) for name in names_of(resource))

    def close(self) -> None:
        """Close the connections. Locks that are held stay held and usable; acquires that wait end in `ClosedError`.

        Blocks for at most the node timeout, while releases in the background reach the nodes. Again is harmless.
        """
        self._connections.close()

    def __enter__(self) -> RedLockFactory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
