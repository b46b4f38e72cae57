"""A node's URL, taken apart into redis-py's arguments, as redis-py's ``from_url`` does.

Messages never repeat a URL: nobody knows where in a malformed one the password ends.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .errors import InvalidArgumentError

_TCP = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_UNIX = ("unix", "redis+unix", "valkey+unix")


def is_plain(url: str) -> bool:
    """Whether a URL says nothing that redis-py and the C library would say differently."""
    return "?" not in url and url.partition("://")[0].lower() not in _UNIX


def without_credentials(url: str) -> str:
    """What may be shown of a URL that is plain, or that this package made."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    return scheme + separator + rest.rpartition("@")[2]


_ESCAPES = "in a user or password, '/' is %2F, '?' %3F, '#' %23, '@' %40, ':' %3A"


def check_authority(url: str) -> None:
    """Refuse a URL whose password looks like the end of its host, before anything is made of its parts."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() in _UNIX:
        return
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" not in behind:
        return
    host = authority.rpartition("@")[2]
    if (
        "@" in behind.partition("?")[0]
        or "#" in behind
        or not re.fullmatch(r"([^:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?", host)
    ):
        raise InvalidArgumentError(f"the URL is malformed: percent-encode the password; {_ESCAPES}")


def arguments_of(url: str) -> dict[str, Any]:
    """The arguments that a URL stands for."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgumentError(f"the URL is malformed; {_ESCAPES}") from None
    arguments = _parameters(parts.query)
    for name, text in (("username", parts.username), ("password", parts.password)):
        if text:
            arguments[name] = unquote(text)
    path = unquote(parts.path)
    if parts.scheme in _UNIX:
        return {**arguments, "unix_socket_path": path}
    if port is not None:
        arguments["port"] = port
    return {**arguments, **_tcp_place(parts, path)}


def _tcp_place(parts: SplitResult, path: str) -> dict[str, Any]:
    if parts.scheme not in _TCP:
        raise InvalidArgumentError("the URL has none of the schemes redis, rediss (for TLS) and unix")
    if not parts.hostname:
        raise InvalidArgumentError("the URL names no host")
    place: dict[str, Any] = {"host": unquote(parts.hostname)}
    if path.strip("/"):
        place["db"] = path.strip("/")
    if _TCP[parts.scheme]:
        place["ssl"] = True
    return place


def _boolean(text: str) -> bool:
    return text.upper() not in ("0", "F", "FALSE", "N", "NO")


# Parameters that are no text. The short names are the C library's own.
_TYPES: Mapping[str, Callable[[str], Any]] = {
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "socket_keepalive": _boolean,
    "retry_on_timeout": _boolean,
    "ssl_check_hostname": _boolean,
    "health_check_interval": int,
    "legacy_responses": _boolean,
    "ssl_min_version": int,
}
_LONG_NAMES = {"user": "username", "pass": "password"}


def _parameters(query: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        try:
            arguments[_LONG_NAMES.get(name, name)] = _TYPES.get(name, str)(text)
        except ValueError:
            raise InvalidArgumentError(f"the URL's parameter {name} is malformed") from None
    if "@" in query and not all(name.isidentifier() for name in arguments):
        raise InvalidArgumentError(f"the URL's parameters are malformed; {_ESCAPES}")
    return arguments
