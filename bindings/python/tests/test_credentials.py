"""Passwords that are changed and tokens that run out: set, read from a file, or asked for when connections are made."""

from __future__ import annotations

import asyncio
import os
import uuid
from functools import partial
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
import redis
from helpers import PATIENCE, Nodes, wait_until

from libredlock import ClosedError, InvalidArgumentError, RedLock, RedLockFactory, aio

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class User:
    """A user of one test on all nodes."""

    def __init__(self, nodes: Nodes) -> None:
        self.name = f"python-{uuid.uuid4()}"
        self._nodes = nodes
        self._everywhere("ACL", "SETUSER", self.name, "on", "~*", "&*", "+@all")

    def change(self, password: str) -> None:
        """Make another password the only one, and cut the connections that were made with the last one."""
        self._everywhere("ACL", "SETUSER", self.name, "resetpass", f">{password}")
        self._everywhere("CLIENT", "KILL", "USER", self.name)

    def remove(self) -> None:
        self._everywhere("ACL", "DELUSER", self.name)

    def details(self, **arguments: Any) -> list[dict[str, Any]]:
        places = [urlsplit(url) for url in self._nodes.urls]
        patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
        return [{"host": place.hostname, "port": place.port, **patience, **arguments} for place in places]

    def _everywhere(self, *words: str) -> None:
        for client in self._nodes.clients:
            client.execute_command(*words)  # type: ignore[no-untyped-call]


class Provider(redis.CredentialProvider):
    """As people write them for redis-py."""

    def __init__(self, *credentials: str) -> None:
        self.credentials: Any = credentials
        self.asked = 0

    def get_credentials(self) -> Any:
        self.asked += 1
        if isinstance(self.credentials, Exception):
            raise self.credentials
        return self.credentials


@pytest.fixture
def user(nodes: Nodes) -> Iterator[User]:
    user = User(nodes)
    user.change("first-secret")
    yield user
    user.remove()


def works_again(factory: RedLockFactory, name: str) -> None:
    factory.acquire(name, ttl=60_000, timeout=PATIENCE).release()


def tells(factory: RedLockFactory, reason: str) -> bool:
    return reason in "".join(factory.check())


def test_a_provider_is_asked_when_connections_are_made(user: User, name: str) -> None:
    provider = Provider(user.name, "first-secret")
    with RedLockFactory(user.details(credential_provider=provider)) as factory:
        works_again(factory, name)
        assert provider.asked == 1
        provider.credentials = (user.name, "second-secret")
        user.change("second-secret")
        works_again(factory, name)
        assert "secret" not in "".join(factory.check())
        assert factory.redis_nodes[0].ping()
    with RedLock(name, user.details(credential_provider=provider)) as validity:
        assert validity > 0
    clients = [redis.Redis(**detail) for detail in user.details(credential_provider=provider)]
    with RedLock(name, clients) as validity:
        assert validity > 0


def test_a_provider_of_an_event_loop_s_factory(user: User, name: str) -> None:
    async def main() -> None:
        details = user.details(credential_provider=Provider(user.name, "first-secret"))
        async with aio.RedLockFactory(details) as factory, factory.create_lock(name) as validity:
            assert validity > 0

    asyncio.run(main())


def test_a_provider_that_fails_is_told_of_and_asked_again(user: User, name: str) -> None:
    provider = Provider()
    with RedLockFactory(user.details(credential_provider=provider)) as factory:
        for wrong, reason in [
            (OSError("the vault is\0closed"), "OSError: the vault is closed"),
            ("first-secret", "must return a tuple"),
            (("first-secret", 7), "the password must be str"),
        ]:
            provider.credentials = wrong
            wait_until(partial(tells, factory, reason), reason)
            assert "secret" not in "".join(factory.check())
        provider.credentials = (user.name, "first-secret")
        works_again(factory, name)


def test_a_forked_child_asks_by_itself(user: User, name: str) -> None:
    provider = Provider(user.name, "first-secret")
    with RedLockFactory(user.details(credential_provider=provider)) as factory:
        works_again(factory, name)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                provider.asked, provider.credentials = 0, (user.name, "second-secret")
                user.change("second-secret")
                works_again(factory, name)
                status = 0 if provider.asked else 2
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0


def test_all_nodes_have_the_same_provider(user: User) -> None:
    details = user.details(credential_provider=Provider("a", "b"))
    details[1]["credential_provider"] = Provider("a", "b")
    with pytest.raises(InvalidArgumentError, match="same credential_provider"):
        RedLockFactory(details)
    with pytest.raises(InvalidArgumentError, match="either"):
        RedLockFactory(user.details(credential_provider=Provider("a", "b"), password="c"))


def test_credentials_that_are_set_count_for_the_next_connections(user: User, name: str) -> None:
    with RedLockFactory(user.details(username=user.name, password="outdated")) as factory:
        factory.set_credentials(None, "first-secret")
        works_again(factory, name)
        for wrong in ("first\0secret", 7, None):
            with pytest.raises((TypeError, ValueError)) as failure:
                factory.set_credentials(None, wrong)  # type: ignore[arg-type]
            assert "secret" not in str(failure.value)
    with pytest.raises(ClosedError):
        factory.set_credentials(None, "any")


def test_a_password_file_is_read_at_each_connection(user: User, name: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first-secret\n")
    details = user.details(username=user.name, password="outdated")
    with RedLockFactory(details, options={"password_file": str(file)}) as factory:
        works_again(factory, name)
        file.write_text("second-secret\n")
        user.change("second-secret")
        works_again(factory, name)
