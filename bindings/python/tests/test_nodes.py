"""Connection details: what redis-py's users write is honoured or refused, and never changed."""

from __future__ import annotations

import asyncio
import copy
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest
import redis
import redis.asyncio
from helpers import PATIENCE, Nodes, Server, free_port

from libredlock._nodes import parse
from redlock import InvalidArgumentError, Node, NoQuorumError, RedLock, RedLockFactory, aio

#: Other programs use the machine too.
PATIENT = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}

WAYS: list[tuple[Any, str]] = [
    ({}, "redis://localhost:6379/0"),
    ({"host": "h"}, "redis://h:6379/0"),
    ({"host": "h", "port": 7000, "db": 3}, "redis://h:7000/3"),
    ({"host": "h", "port": "7000", "db": "3"}, "redis://h:7000/3"),
    ({"host": "::1", "port": 7000}, "redis://[::1]:7000/0"),
    ({"host": "h", "password": "p@:/?#%"}, "redis://:p%40%3A%2F%3F%23%25@h:6379/0"),
    ({"host": "h", "username": "u", "password": "p"}, "redis://u:p@h:6379/0"),
    ({"host": "h", "username": None, "password": None, "ssl": False}, "redis://h:6379/0"),
    ({"host": "h", "ssl": True}, "rediss://h:6379/0"),
    ({"host": "h", "protocol": 3}, "redis://h:6379/0?protocol=resp3"),
    ({"unix_socket_path": "/tmp/a b"}, "unix:///tmp/a%20b?db=0"),
    ({"unix_socket_path": "/s", "db": 2, "username": "u", "password": "p&"}, "unix:///s?db=2&user=u&pass=p%26"),
    ({"host": "h", "decode_responses": True, "encoding": "latin-1", "max_connections": 9}, "redis://h:6379/0"),
    (
        {"host": "h", "retry_on_timeout": True, "health_check_interval": 30, "socket_keepalive": True, "client_name": "x"},
        "redis://h:6379/0",
    ),
    (
        {"url": "redis://h:1/2?retry_on_timeout=1&health_check_interval=30&socket_keepalive=true&client_name=x@y"},
        "redis://h:1/2",
    ),
    ({"host": "h", "retry": object(), "retry_on_error": [ValueError], "max_connections": 4}, "redis://h:6379/0"),
    ({"host": "h", "ssl": False, "ssl_cert_reqs": "none", "ssl_ca_path": "/certificates"}, "redis://h:6379/0"),
    ({"host": "h", "ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2}, "rediss://h:6379/0"),
    ({"host": "h", "ssl": True, "ssl_cert_reqs": "optional"}, "rediss://h:6379/0"),
    ({"url": "redis://:a@b@h:1"}, "redis://:a@b@h:1"),
    ({"url": "redis://u:p@h:7000/3"}, "redis://u:p@h:7000/3"),
    ({"url": "redis://h/3", "db": 1}, "redis://h:6379/3"),
    ({"url": "redis://h", "db": 1, "password": "p"}, "redis://:p@h:6379/1"),
    ({"url": "redis://h?db=4"}, "redis://h:6379/4"),
    ({"url": "rediss://u:p%40@h:7000/1", "decode_responses": True}, "rediss://u:p%40@h:7000/1"),
    ({"url": "unix://u:p@/s?db=2"}, "unix:///s?db=2&user=u&pass=p"),
    ({"url": "unix:///s?db=2&user=u&pass=p"}, "unix:///s?db=2&user=u&pass=p"),
    ("redis://h:7000/3", "redis://h:7000/3"),
    (redis.Redis(host="h", port=7000, db=3), "redis://h:7000/3"),
    (redis.Redis(host="h", username="u", password="p"), "redis://u:p@h:6379/0"),
    (redis.Redis.from_url("redis://u:p%2F@h:7000/3"), "redis://u:p%2F@h:7000/3"),
    (redis.Redis(unix_socket_path="/s", db=2), "unix:///s?db=2"),
    (redis.Redis(host="h", ssl=True), "rediss://h:6379/0"),
    (redis.asyncio.Redis(host="h", port=7000), "redis://h:7000/0"),
]


@pytest.mark.parametrize(("detail", "url"), WAYS)
def test_ways_to_say_a_node(detail: Any, url: str) -> None:
    parsed = parse([detail])
    # Which version of the protocol a client of redis-py speaks by itself depends on redis-py's.
    protocol = f"{'&' if '?' in url else '?'}protocol=resp"
    assert parsed.urls[0] in (url, f"{url}{protocol}2", f"{url}{protocol}3")


def test_nothing_stands_for_this_machine() -> None:
    assert parse(None).urls == ("redis://127.0.0.1:6379/0",)


OPTIONS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"socket_timeout": 0.25}, {"node_timeout_ms": "250"}),
    ({"socket_connect_timeout": 2}, {"connect_timeout_ms": "2000"}),
    ({"url": "redis://h?socket_timeout=1.5"}, {"node_timeout_ms": "1500"}),
    (
        {"ssl": True, "ssl_ca_certs": Path("/ca"), "ssl_certfile": "/cert", "ssl_keyfile": "/key"},
        {"tls_ca_file": "/ca", "tls_cert_file": "/cert", "tls_key_file": "/key"},
    ),
    ({"url": "rediss://h?ssl_ca_certs=/ca&ssl_cert_reqs=required&ssl_check_hostname=true"}, {"tls_ca_file": "/ca"}),
    ({"ssl": True, "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}, {}),
]


@pytest.mark.parametrize(("detail", "options"), OPTIONS)
def test_arguments_that_are_options_of_the_factory(detail: dict[str, Any], options: dict[str, str]) -> None:
    assert parse([detail]).options == options


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ({"hots": "h"}, TypeError, "hots"),
    ({"host": 17}, TypeError, "host"),
    ({"host": "h/evil"}, ValueError, "host"),
    ({"ssl": True, "ssl_cert_reqs": "sometimes"}, ValueError, "ssl_cert_reqs"),
    ({"ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_3}, ValueError, "ssl_min_version"),
    ({"host": ""}, ValueError, "host"),
    ({"port": "many"}, ValueError, "port"),
    ({"port": 0}, ValueError, "port"),
    ({"port": 1.5}, TypeError, "port"),
    ({"db": -1}, ValueError, "db"),
    ({"ssl": "yes"}, TypeError, "ssl"),
    ({"username": "u"}, ValueError, "password"),
    ({"password": b"\xff"}, ValueError, "UTF-8"),
    ({"password": "a\0"}, ValueError, "NUL"),
    ({"ssl": True, "ssl_ca_data": "..."}, ValueError, "ssl_ca_data"),
    ({"credential_provider": object()}, TypeError, "get_credentials"),
    ({"socket_timeout": 0}, ValueError, "socket_timeout"),
    ({"socket_timeout": "1"}, TypeError, "socket_timeout"),
    ({"protocol": 4}, ValueError, "protocol"),
    ({"unix_socket_path": "/s", "host": "h"}, ValueError, "unix_socket_path"),
    ({"url": 17}, TypeError, "url"),
    ({"url": "http://h"}, ValueError, "scheme"),
    ({"url": "h:6379"}, ValueError, "scheme"),
    ({"url": "redis://"}, ValueError, "host"),
    ({"url": "redis://h:port"}, ValueError, "port"),
    ({"url": "redis://h:port?db=1"}, ValueError, "malformed"),
    ({"url": "redis://h?no_such=1"}, TypeError, "no_such"),
    ({"url": "redis://h?socket_timeout=soon"}, ValueError, "socket_timeout"),
    (17, TypeError, "int"),
    (None, TypeError, "NoneType"),
    (b"redis://h", TypeError, "bytes"),
]


@pytest.mark.parametrize(("detail", "kind", "says"), REFUSED)
def test_what_cannot_be_honoured_is_an_error(detail: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        RedLockFactory([detail])


def test_an_error_names_the_item() -> None:
    with pytest.raises(TypeError, match=r"connection_details\[1\].*hots"):
        RedLock("any", [{"host": "h"}, {"hots": "h"}])


@pytest.mark.parametrize(
    ("details", "kind"),
    [([], ValueError), ({"host": "h"}, TypeError), ("redis://h", TypeError), (17, TypeError), ([{}, {}], ValueError)],
)
def test_the_list_itself(details: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        RedLockFactory(details)


def test_nodes_that_ask_for_different_options() -> None:
    with pytest.raises(InvalidArgumentError, match="node_timeout_ms"):
        RedLockFactory([{"host": "a", "socket_timeout": 1}, {"host": "b", "socket_timeout": 2}])


def test_options_by_name_come_before_those_of_the_details(nodes: Nodes) -> None:
    details = [{**detail, "socket_timeout": 1} for detail in nodes.details]
    with pytest.raises(InvalidArgumentError, match="node_timeout_ms"):
        RedLockFactory(details, options={"node_timeout_ms": 0})


def test_databases_of_one_server_are_nodes(nodes: Nodes, name: str) -> None:
    """As in the old package's tests. They fail together, of which the C library warns; the same one twice is an error."""
    host, port = nodes.urls[0].rpartition("/")[2].split(":")
    details = [{"host": host, "port": int(port), "db": number, **PATIENT} for number in range(3)]
    lock = RedLock(name, details)
    with lock:
        assert sum(node.exists(name) for node in lock.redis_nodes) >= lock.quorum
    with pytest.raises(InvalidArgumentError, match="same server"):
        RedLock(name, [*details, details[0]])


def test_details_are_not_changed(nodes: Nodes, name: str) -> None:
    details = [{**detail, "decode_responses": True} for detail in nodes.details]
    before = copy.deepcopy(details)
    for _ in range(2):
        with RedLock(name, details):
            assert nodes.holders(name) >= nodes.quorum
    with RedLockFactory(details) as factory, factory.create_lock(name):
        assert nodes.holders(name) >= nodes.quorum
    assert details == before


def test_details_may_be_an_iterator(nodes: Nodes, name: str) -> None:
    with RedLock(name, iter(nodes.details)) as validity:
        assert validity > 0


def test_host_and_port(nodes: Nodes, name: str) -> None:
    places = [url.rpartition("/")[2].split(":") for url in nodes.urls]
    with RedLock(name, [{"host": host, "port": int(port), "db": 0, **PATIENT} for host, port in places]):
        assert nodes.holders(name) >= nodes.quorum


def test_clients_of_redis_py(nodes: Nodes, name: str) -> None:
    with RedLockFactory(nodes.clients, options={"node_timeout_ms": 30_000}) as factory, factory.create_lock(
        name
    ) as validity:
        assert validity > 0
        assert factory.redis_nodes == nodes.clients
        assert nodes.holders(name) >= nodes.quorum


def test_nodes_are_shown_without_passwords() -> None:
    node = RedLock("any", [{"host": "h", "username": "me", "password": "secret"}]).redis_nodes[0]
    assert isinstance(node, Node)
    assert (node.address, repr(node)) == ("redis://h:6379/0", "Node('redis://h:6379/0')")


SECRETS = [
    "redis://:secret@h:port",
    "redis://:sec?ret@h:port",
    "redis://me:secret@h?no_such=1",
    "unix://:secret@/s?x=1",
    "redis://:sec#a/b@cret@h:1",
    "redis://:sec/ret@h:1",
    "redis://me:1/sec@h",
    "redis://me:1#sec@h",
    "redis://me:1?sec@h",
    "redis://me:1?sec=1&ret@h",
    "rediss://:p#sec@cret@h:1/sec",
]


@pytest.mark.parametrize("url", SECRETS)
def test_errors_show_no_passwords(url: str) -> None:
    with pytest.raises((TypeError, ValueError)) as failure:
        RedLockFactory([{"url": url}])
    assert "sec" not in str(failure.value)
    assert "cret" not in str(failure.value)


VERIFY: list[tuple[dict[str, Any], str]] = [
    ({"ssl_cert_reqs": "none"}, "none"),
    ({"ssl_cert_reqs": ssl.CERT_NONE}, "none"),
    ({"ssl_cert_reqs": None}, "none"),
    ({"ssl_check_hostname": False}, "ca"),
    ({"ssl_cert_reqs": "none", "ssl_check_hostname": False}, "none"),
]


@pytest.mark.parametrize(("arguments", "verify"), VERIFY)
def test_how_much_of_a_certificate_is_verified(arguments: dict[str, Any], verify: str) -> None:
    details: list[Any] = [{"host": "h", "ssl": True, **arguments}, {"url": "rediss://h", **arguments}]
    if not any(value is None for value in arguments.values()):
        details.append(redis.Redis(host="h", ssl=True, **arguments))
    for detail in details:
        assert parse([detail]).options == {"tls_verify": verify}


def test_a_client_without_a_real_server_is_refused() -> None:
    fakeredis = pytest.importorskip("fakeredis")
    for client in (fakeredis.FakeRedis(), fakeredis.FakeAsyncRedis(), fakeredis.FakeStrictRedis(host="127.0.0.1")):
        with pytest.raises(InvalidArgumentError, match="fakeredis"):
            RedLockFactory([client])


def test_nodes_answer_redis_py_s_methods(nodes: Nodes, name: str) -> None:
    """As the nodes of the old package do, and its tests use."""
    lock = RedLock(name, nodes.details)
    assert lock.acquire()
    assert [node.get(lock.resource) for node in lock.redis_nodes].count(lock.lock_key.encode()) >= nodes.quorum  # type: ignore[union-attr]
    assert sum(node.delete(lock.resource) for node in lock.redis_nodes) >= nodes.quorum
    assert not lock.locked()
    first = RedLockFactory(nodes.urls[:1]).redis_nodes[0]
    assert first.ping()
    assert first.connection_pool is first.connection_pool
    with pytest.raises(AttributeError, match="no_such_method"):
        _ = first.no_such_method


def test_nodes_of_asyncio_answer_with_coroutines(nodes: Nodes, name: str) -> None:
    async def main() -> None:
        async with aio.RedLockFactory(nodes.details) as factory, factory.create_lock(name) as validity:
            assert validity > 0
            node = factory.redis_nodes[0]
            assert await node.ping()
            await node.aclose()

    asyncio.run(main())


def test_nodes_without_redis_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    node = RedLock("any", [{"host": "h"}]).redis_nodes[0]
    assert repr(node) == "Node('redis://h:6379/0')"
    with pytest.raises(AttributeError, match="redis-py is installed"):
        node.get("any")


# ---- servers with passwords, sockets and TLS ----


def test_a_password(name: str) -> None:
    with Server("--requirepass", "p@ss:/?#word") as server:
        server.wait(password="p@ss:/?#word")
        details = [{"host": server.host, "port": server.port, "password": "p@ss:/?#word", **PATIENT}]
        with RedLock(name, details) as validity:
            assert validity > 0
        with RedLockFactory([{"host": server.host, "port": server.port, "password": "wrong"}]) as factory:
            with pytest.raises(NoQuorumError) as failure:
                factory.acquire(name, ttl=1_000, timeout=0)
            assert "wrong" not in failure.value.nodes[0].message.split()


def test_a_user(name: str) -> None:
    with Server("--user", "me", "on", ">secret", "~*", "&*", "+@all") as server:
        details = {"host": server.host, "port": server.port, "username": "me", "password": "secret", "db": 2, **PATIENT}
        server.wait(username="me", password="secret")
        with RedLock(name, [details]):
            assert redis.Redis(**details).exists(name)  # type: ignore[arg-type]


def test_a_unix_socket(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a socket"
        with Server("--unixsocket", path) as server:
            server.wait()
            with RedLock(name, [{"unix_socket_path": path, "db": 1, **PATIENT}]) as validity:
                assert validity > 0
            with RedLock(name, [redis.Redis(unix_socket_path=path)], options={"node_timeout_ms": 30_000}) as validity:
                assert validity > 0


@pytest.fixture(scope="module")
def certificates() -> Iterator[dict[str, str]]:
    trustme = pytest.importorskip("trustme", reason="makes the certificates")
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        paths = {name: f"{folder}/{name}.pem" for name in ("ca", "cert", "key")}
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(paths["ca"])
        certificate.cert_chain_pems[0].write_to_path(paths["cert"])
        certificate.private_key_pem.write_to_path(paths["key"])
        yield paths


def test_tls(name: str, certificates: dict[str, str]) -> None:
    ca, cert, key = certificates["ca"], certificates["cert"], certificates["key"]
    port = free_port()
    tls = [
        "--bind",
        "127.0.0.1",
        "127.0.0.2",
        "--tls-port",
        str(port),
        "--tls-ca-cert-file",
        ca,
        "--tls-cert-file",
        cert,
        "--tls-key-file",
        key,
    ]
    arguments = {"ssl": True, "ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": key}
    with Server("--port", "0", *tls, port=port) as server:
        server.wait(**arguments)
        details: dict[str, Any] = {"host": "localhost", "port": port, **arguments, **PATIENT}
        with RedLock(name, [details]) as validity:
            assert validity > 0
        with RedLock(name, [redis.Redis(**details)], options={"node_timeout_ms": 30_000}) as validity:
            assert validity > 0
        with RedLock(name, [{"url": f"rediss://localhost:{port}", **arguments, **PATIENT, "ssl": None}]) as validity:
            assert validity > 0
        stranger = {"host": "localhost", "port": port, "ssl": True}
        assert not RedLock(name, [stranger], retry_times=0).acquire()
        identity = {"ssl_certfile": cert, "ssl_keyfile": key}
        with RedLock(name, [{**stranger, **identity, **PATIENT, "ssl_cert_reqs": "none"}]) as validity:
            assert validity > 0
        misnamed = {**details, "host": "127.0.0.2"}
        assert not RedLock(name, [misnamed], retry_times=0).acquire()
        with RedLock(name, [{**misnamed, "ssl_check_hostname": False}]) as validity:
            assert validity > 0
