"""Connection details, as the users of redis-py write them, turned into the C library's URLs and options.

A caller's dict is never changed, and an argument that would not be honoured is an error: a lock that ignores half of what
it was told to do is worse than none.
"""

from __future__ import annotations

import importlib
import os
import ssl
import threading
from typing import Any, Iterable, Mapping, NamedTuple, Union
from urllib.parse import quote

from . import _urls
from .errors import InvalidArgumentError

#: One node: redis-py's arguments, a dict with ``url``, a URL, or a redis-py client.
ConnectionDetail = Union[Mapping[str, Any], str, Any]

DEFAULT_URL = "redis://127.0.0.1:6379/0"


class Node:
    """One Redis master of a factory, as it was described.

    It answers redis-py's methods, such as ``node.get(lock.resource)``, by a client that is made when it is first asked for
    one, if redis-py is installed. The locks do not use that client: the C library has connections of its own.
    """

    __slots__ = ("_client", "_clients", "_detail", "_making", "address")

    #: The node's URL without user and password.
    address: str

    def __init__(self, url: str, detail: ConnectionDetail, clients: str = "redis") -> None:
        self.address = _urls.without_credentials(url)
        # A copy, since the dict is the caller's.
        self._detail = dict(detail) if isinstance(detail, Mapping) else {"url": detail}
        self._clients, self._client, self._making = clients, None, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._made(), name)

    def _made(self) -> Any:
        with self._making:
            if self._client is None:
                self._client = self._make()
            return self._client

    def _make(self) -> Any:
        try:
            module = importlib.import_module(self._clients)
        except ImportError:
            raise AttributeError("a node answers redis-py's methods only where redis-py is installed") from None
        arguments = {**self._detail}
        url = arguments.pop("url", None)
        return module.Redis(**arguments) if url is None else module.Redis.from_url(_text("url", url), **arguments)

    def __repr__(self) -> str:
        return f"Node({self.address!r})"


class Parsed(NamedTuple):
    """What a factory is made of."""

    urls: tuple[str, ...]
    options: dict[str, str]
    #: Who knows the credentials of all nodes, like redis-py's ``CredentialProvider``.
    provider: Any
    #: For each node the redis-py client that was given, or its `Node`.
    nodes: list[Any]


def parse(details: Iterable[ConnectionDetail] | None, clients: str = "redis") -> Parsed:
    """Read connection details; None stands for the one node on this machine. `clients` is redis-py's module for `Node`."""
    if details is None:
        details = [DEFAULT_URL]
    if isinstance(details, (str, bytes, Mapping)) or not isinstance(details, Iterable):
        raise TypeError(f"connection_details must be a list with an item for each node, not {type(details).__name__}")
    urls: list[str] = []
    nodes: list[Any] = []
    options: dict[str, str] = {}
    providers: list[Any] = []
    for index, detail in enumerate(details):
        try:
            url, wanted, provider = _read(detail)
            _merge(options, wanted)
            providers.append(provider)
            if provider is not providers[0]:
                raise InvalidArgumentError(
                    "all nodes of a factory have the same credential_provider, or none of them has one"
                )
        except (TypeError, ValueError) as error:
            raise type(error)(f"connection_details[{index}]: {error}") from None
        urls.append(url)
        nodes.append(detail if _is_client(detail) else Node(url, detail, clients))
    if not urls:
        raise InvalidArgumentError("connection_details is empty: name at least one node, or give None for the default")
    if providers[0] is not None:
        options["ask_credentials"] = "on"
    return Parsed(tuple(urls), options, providers[0], nodes)


def _read(detail: ConnectionDetail) -> tuple[str, dict[str, str], Any]:
    """The URL of one node, the options that it asks for, and who knows its credentials."""
    if _is_client(detail):
        return _from_all_arguments(_arguments_of_client(detail))
    arguments = {"url": detail} if isinstance(detail, str) else detail
    if not isinstance(arguments, Mapping):
        raise TypeError(f"must be a dict of redis-py's arguments, a URL or a redis-py client, not {type(detail).__name__}")
    # None stands for an argument that is not given; but redis-py takes this one for "none".
    others = {name: value for name, value in arguments.items() if name != "url" and value is not None}
    if "ssl_cert_reqs" in arguments and arguments["ssl_cert_reqs"] is None:
        others["ssl_cert_reqs"] = ssl.CERT_NONE
    if arguments.get("url") is None:
        return _from_all_arguments(others)
    url = _text("url", arguments["url"])
    _urls.check_authority(url)
    if not others and _urls.is_plain(url):
        return url, {}, None
    # What a URL says comes before what stands beside it, as with redis-py.
    return _from_all_arguments({**others, **_urls.arguments_of(url)})


def _merge(options: dict[str, str], wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        if options.setdefault(name, value) != value:
            raise InvalidArgumentError(
                f"asks for {name} = {value} and another node for {options[name]}; all nodes of a factory have the same"
            )


# ---- arguments ----

# Arguments that concern what commands answer, or how redis-py keeps its connections and tries again. Nothing is left to
# honour: the C library keeps its connections alive and replaces them by itself.
_NO_EFFECT = frozenset(
    (
        "auto_close_connection_pool",
        "cache",
        "cache_config",
        "charset",
        "client_name",
        "decode_responses",
        "driver_info",
        "encoding",
        "encoding_errors",
        "errors",
        "event_dispatcher",
        "health_check_interval",
        "legacy_responses",
        "lib_name",
        "lib_version",
        "maint_notifications_config",
        "max_connections",
        "oss_cluster_maint_notifications_handler",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "single_connection_client",
        "socket_keepalive",
        "socket_keepalive_options",
        "socket_read_size",
        "timeout",
    )
)

# Arguments that the C library has no like of, with the values that ask for nothing.
_ONLY: dict[str, tuple[Any, ...]] = {
    "connection_pool": (),
    "redis_connect_func": (),
    "ssl_ca_data": (),
    "ssl_ca_path": (),
    "ssl_ciphers": (),
    "ssl_exclude_verify_flags": ([], ()),
    "ssl_include_verify_flags": ([], ()),
    # The C library speaks no older version.
    "ssl_min_version": (
        ssl.TLSVersion.TLSv1,
        ssl.TLSVersion.TLSv1_1,
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.MINIMUM_SUPPORTED,
    ),
    "ssl_ocsp_context": (),
    "ssl_ocsp_expected_cert": (),
    "ssl_password": (),
    "ssl_validate_ocsp": (False,),
    "ssl_validate_ocsp_stapled": (False,),
}

# How much of a server's certificate is verified.
_CERTIFICATES: dict[Any, str] = {
    "required": "full",
    ssl.CERT_REQUIRED: "full",
    # For a client, the ssl module's CERT_OPTIONAL is CERT_REQUIRED.
    "optional": "full",
    ssl.CERT_OPTIONAL: "full",
    "none": "none",
    ssl.CERT_NONE: "none",
}
_VERIFY = frozenset(("ssl_cert_reqs", "ssl_check_hostname"))

# Arguments that are options of the whole factory here.
_LONGEST_TIMEOUT = 86400
_TIMEOUTS = {"socket_timeout": "node_timeout_ms", "socket_connect_timeout": "connect_timeout_ms"}
_TLS_FILES = {"ssl_ca_certs": "tls_ca_file", "ssl_certfile": "tls_cert_file", "ssl_keyfile": "tls_key_file"}

_PLACE = frozenset(("host", "port", "db", "username", "password", "ssl", "unix_socket_path", "protocol"))


def _from_all_arguments(arguments: dict[str, Any]) -> tuple[str, dict[str, str], Any]:
    provider = arguments.pop("credential_provider", None)
    if provider is not None:
        if not callable(getattr(provider, "get_credentials", None)):
            raise TypeError("credential_provider must have a method get_credentials")
        if any(arguments.get(name) is not None for name in ("username", "password")):
            # As with redis-py.
            raise InvalidArgumentError("give either a credential_provider, or a username and a password")
    return *_from_arguments(arguments), provider


def _from_arguments(arguments: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The URL and the options that redis-py's arguments come to."""
    place: dict[str, Any] = {}
    options: dict[str, str] = {}
    is_tls = _flag("ssl", arguments.get("ssl") or False)
    if is_tls:
        options.update(_verify(arguments))
    for name, value in arguments.items():
        if value is None or name in _NO_EFFECT or name in _VERIFY:
            continue
        if name in _PLACE:
            place[name] = value
        elif not is_tls and name.startswith("ssl_") and (name in _ONLY or name in _TLS_FILES):
            # As with redis-py: how to speak TLS does not matter to who does not.
            continue
        elif name in _TIMEOUTS:
            options[_TIMEOUTS[name]] = _timeout(name, value)
        elif name in _TLS_FILES:
            options[_TLS_FILES[name]] = _text(name, value)
        else:
            _refuse(name, value)
    return _url(place), options


def _verify(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The option ``tls_verify``, if its default is not what is asked for."""
    wanted = arguments.get("ssl_cert_reqs")
    try:
        verify = "full" if wanted is None else _CERTIFICATES[wanted]
    except (KeyError, TypeError):
        raise InvalidArgumentError(
            "ssl_cert_reqs must be 'required', 'optional' or 'none', or one of ssl.CERT_..."
        ) from None
    check_hostname = arguments.get("ssl_check_hostname")
    if check_hostname is not None and not _flag("ssl_check_hostname", check_hostname) and verify == "full":
        verify = "ca"
    return {} if verify == "full" else {"tls_verify": verify}


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
        # It is not shown, here and below: in a malformed URL it may be a part of the password.
        raise InvalidArgumentError("the host is malformed")
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
        raise InvalidArgumentError(f"{name} must be a number") from None
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
    _check_connections(getattr(pool, "connection_class", None))
    settings = getattr(pool, "connection_kwargs", None)
    connection = [kind.__name__ for kind in getattr(pool, "connection_class", type(None)).__mro__]
    if not isinstance(settings, Mapping) or any("Sentinel" in name for name in connection):
        raise TypeError(f"a client of the type {type(client).__name__} names no single master")
    wanted = {name: settings.get(name) for name in ("username", "password", "db", "protocol", "credential_provider")}
    if "UnixDomainSocketConnection" in connection:
        return {**wanted, "unix_socket_path": settings.get("path")}
    wanted.update(host=settings.get("host"), port=settings.get("port"))
    if "SSLConnection" in connection:
        wanted.update({name: settings.get(name) for name in _TLS_FILES}, ssl=True)
        if "ssl_cert_reqs" in settings:
            wanted["ssl_cert_reqs"] = ssl.CERT_NONE if settings["ssl_cert_reqs"] is None else settings["ssl_cert_reqs"]
        if _checks_hostnames_by_default():
            wanted["ssl_check_hostname"] = settings.get("ssl_check_hostname")
    return wanted


def _checks_hostnames_by_default() -> bool:
    """Before version 6, redis-py did not, so that nothing can be told from a client of that kind: its name is verified."""
    version = str(getattr(importlib.import_module("redis"), "__version__", "0"))
    return int(version.partition(".")[0]) >= 6  # noqa: PLR2004


# How connections meet their server.
_METHODS = ("connect", "_connect", "send_packed_command", "read_response")


def _check_connections(connection: Any) -> None:
    """A client of fakeredis and the like uses no server, so that one at the address it names would be locked for nothing."""
    for name in _METHODS:
        module = getattr(getattr(connection, name, None), "__module__", None)
        if module is not None and module.partition(".")[0] not in ("redis", "valkey"):
            raise InvalidArgumentError(
                f"this client's connections are those of {module.partition('.')[0]}, not redis-py's own, so that it may "
                "use no real server. Name the server by its host and port"
            )
