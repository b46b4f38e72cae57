"""Connection details, as the users of redis-py write them, turned into the C library's URLs and options.

A caller's dict is never changed, and an argument that would not be honoured is an error: a lock that ignores half of what
it was told to do is worse than none.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Iterable, Mapping, NamedTuple, Union
from urllib.parse import quote

from . import _urls
from .errors import InvalidArgumentError

#: One node: redis-py's arguments, a dict with ``url``, a URL, or a redis-py client.
ConnectionDetail = Union[Mapping[str, Any], str, Any]

DEFAULT_URL = "redis://127.0.0.1:6379/0"


class Node:
    """One Redis master of a factory, as it was described. It is no connection: the C library keeps those."""

    __slots__ = ("address",)

    #: The node's URL without user and password.
    address: str

    def __init__(self, url: str) -> None:
        self.address = _urls.without_credentials(url)

    def __repr__(self) -> str:
        return f"Node({self.address!r})"


class Parsed(NamedTuple):
    """What a factory is made of."""

    urls: tuple[str, ...]
    options: dict[str, str]
    #: For each node the redis-py client that was given, or its `Node`.
    nodes: list[Any]


def parse(details: Iterable[ConnectionDetail] | None, clients: str = "redis") -> Parsed:
    """Read connection details; None stands for the one node on this machine."""
    if details is None:
        details = [DEFAULT_URL]
    if isinstance(details, (str, bytes, Mapping)) or not isinstance(details, Iterable):
        raise TypeError(f"connection_details must be a list with an item for each node, not {type(details).__name__}")
    urls: list[str] = []
    nodes: list[Any] = []
    options: dict[str, str] = {}
    for index, detail in enumerate(details):
        try:
            url, wanted = _read(detail)
            _merge(options, wanted)
        except (TypeError, ValueError) as error:
            raise type(error)(f"connection_details[{index}]: {error}") from None
        urls.append(url)
        nodes.append(detail if _is_client(detail) else Node(url))
    if not urls:
        raise InvalidArgumentError("connection_details is empty: name at least one node, or give None for the default")
    return Parsed(tuple(urls), options, nodes)


def _read(detail: ConnectionDetail) -> tuple[str, dict[str, str]]:
    """The URL of one node, and the options that it asks for."""
    if _is_client(detail):
        return _from_arguments(_arguments_of_client(detail))
    arguments = {"url": detail} if isinstance(detail, str) else detail
    if not isinstance(arguments, Mapping):
        raise TypeError(f"must be a dict of redis-py's arguments, a URL or a redis-py client, not {type(detail).__name__}")
    others = {name: value for name, value in arguments.items() if name != "url" and value is not None}
    if arguments.get("url") is None:
        return _from_arguments(others)
    url = _text("url", arguments["url"])
    if not others and _urls.is_plain(url):
        return url, {}
    # What a URL says comes before what stands beside it, as with redis-py.
    return _from_arguments({**others, **_urls.arguments_of(url)})


def _merge(options: dict[str, str], wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        if options.setdefault(name, value) != value:
            raise InvalidArgumentError(
                f"asks for {name} = {value} and another node for {options[name]}; all nodes of a factory have the same"
            )


# ---- arguments ----

# Arguments that concern what commands answer, or how redis-py keeps its connections: nothing is left to honour.
_NO_EFFECT = frozenset(
    (
        "auto_close_connection_pool",
        "charset",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "errors",
        "max_connections",
        "single_connection_client",
        "socket_read_size",
    )
)

# Arguments that the C library has no like of, with the one value that asks for nothing.
_ONLY: dict[str, tuple[Any, ...]] = {
    "ssl_check_hostname": (True,),
    "ssl_cert_reqs": ("required", ssl.CERT_REQUIRED),
    "retry_on_timeout": (False,),
    "retry_on_error": ([], ()),
    "health_check_interval": (0,),
    "socket_keepalive": (False,),
    "socket_keepalive_options": ({},),
    "ssl_validate_ocsp": (False,),
    "ssl_validate_ocsp_stapled": (False,),
    "client_name": (),
    "credential_provider": (),
    "connection_pool": (),
    "retry": (),
    "redis_connect_func": (),
    "ssl_ca_data": (),
    "ssl_ca_path": (),
    "ssl_password": (),
    "ssl_ciphers": (),
    "ssl_min_version": (),
    "lib_name": (),
    "lib_version": (),
}

# Arguments that are options of the whole factory here.
_LONGEST_TIMEOUT = 86400
_TIMEOUTS = {"socket_timeout": "node_timeout_ms", "socket_connect_timeout": "connect_timeout_ms"}
_TLS_FILES = {"ssl_ca_certs": "tls_ca_file", "ssl_certfile": "tls_cert_file", "ssl_keyfile": "tls_key_file"}

_PLACE = frozenset(("host", "port", "db", "username", "password", "ssl", "unix_socket_path", "protocol"))


def _from_arguments(arguments: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The URL and the options that redis-py's arguments come to."""
    place: dict[str, Any] = {}
    options: dict[str, str] = {}
    for name, value in arguments.items():
        if value is None or name in _NO_EFFECT:
            continue
        if name in _PLACE:
            place[name] = value
        elif name in _TIMEOUTS:
            options[_TIMEOUTS[name]] = _timeout(name, value)
        elif name in _TLS_FILES:
            options[_TLS_FILES[name]] = _text(name, value)
        else:
            _refuse(name, value)
    return _url(place), options


def _refuse(name: Any, value: Any) -> None:
    if name not in _ONLY:
        raise TypeError(f"unknown argument {name!r}")
    if not any(value == only and type(value) is type(only) for only in _ONLY[name]):
        # The value stays out of the message: it might be a secret.
        raise InvalidArgumentError(f"the argument {name!r} cannot be honoured with this value")


def _url(place: Mapping[str, Any]) -> str:
    database = _number("db", place.get("db", 0), 0)
    parameters = _protocol(place.get("protocol"))
    if "unix_socket_path" in place:
        return _unix_url(place, database, parameters)
    scheme = "rediss" if _flag("ssl", place.get("ssl", False)) else "redis"
    host = _text("host", place.get("host", "localhost"))
    if ":" in host:
        host = f"[{host}]"
    port = _number("port", place.get("port", 6379), 1)
    query = f"?{'&'.join(parameters)}" if parameters else ""
    return f"{scheme}://{_credentials(place)}{_host(host)}:{port}/{database}{query}"


def _unix_url(place: Mapping[str, Any], database: int, parameters: list[str]) -> str:
    if place.get("host") is not None or place.get("ssl"):
        raise InvalidArgumentError("give either unix_socket_path or a host (and TLS), not both")
    parameters = [f"db={database}", *parameters]
    for name, key in (("user", "username"), ("pass", "password")):
        if key in place:
            parameters.append(f"{name}={quote(_text(key, place[key]), safe='')}")
    path = quote(_text("unix_socket_path", place["unix_socket_path"]))
    return f"unix://{path}?{'&'.join(parameters)}"


def _credentials(place: Mapping[str, Any]) -> str:
    user, password = (quote(_text(key, place.get(key, "")), safe="") for key in ("username", "password"))
    if password:
        return f"{user}:{password}@"
    if user:
        raise InvalidArgumentError("a username needs a password")
    return ""


def _host(host: str) -> str:
    """What would end the host early, or begin another part of the URL, is none."""
    if not host or any(character in "/?#@%\\" or character.isspace() for character in host):
        raise InvalidArgumentError(f"the host {host!r} is malformed")
    return host


def _protocol(value: Any) -> list[str]:
    if value is None:
        return []
    protocols = {"2": "resp2", "3": "resp3", "resp2": "resp2", "resp3": "resp3"}
    if str(value) not in protocols:
        raise InvalidArgumentError("protocol must be 2 or 3")
    return [f"protocol={protocols[str(value)]}"]


def _timeout(name: str, seconds: Any) -> str:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise InvalidArgumentError(f"{name} is {seconds!r} seconds: it must be more than 0, and at most {_LONGEST_TIMEOUT}")
    return str(max(1, round(seconds * 1000)))


def _text(name: str, value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise InvalidArgumentError(f"{name} is not UTF-8") from None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidArgumentError(f"{name} contains a NUL character")
    return value


def _number(name: str, value: Any, least: int) -> int:
    """A whole number, or its digits, as settings from the environment come."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    try:
        number = int(value)
    except ValueError:
        raise InvalidArgumentError(f"{name} is {value!r}: it must be a number") from None
    if number < least:
        raise InvalidArgumentError(f"{name} is {number}: it must be at least {least}")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


# ---- redis-py clients ----


def _is_client(detail: Any) -> bool:
    """By its shape, so that redis-py need not be installed."""
    return hasattr(detail, "connection_pool")


def _arguments_of_client(client: Any) -> dict[str, Any]:
    """Where a client connects to, and as whom. How it handles its own connections is its own affair."""
    pool = client.connection_pool
    settings = getattr(pool, "connection_kwargs", None)
    connection = [kind.__name__ for kind in getattr(pool, "connection_class", type(None)).__mro__]
    if not isinstance(settings, Mapping) or any("Sentinel" in name for name in connection):
        raise TypeError(f"a client of the type {type(client).__name__} names no single master")
    if settings.get("credential_provider") is not None:
        raise InvalidArgumentError("the client's credential_provider cannot be honoured")
    wanted = {name: settings.get(name) for name in ("username", "password", "db", "protocol")}
    if "UnixDomainSocketConnection" in connection:
        return {**wanted, "unix_socket_path": settings.get("path")}
    wanted.update(host=settings.get("host"), port=settings.get("port"))
    if "SSLConnection" in connection:
        # Its default is not to look at the name in the certificate. We do, which is safer and fails loudly.
        names = ["ssl_cert_reqs", *_TLS_FILES]
        wanted.update({name: settings.get(name) for name in names}, ssl=True)
    return wanted
