"""What callers pass in, checked and put into the C library's terms."""

from __future__ import annotations

import math
import operator
import os
from datetime import timedelta
from typing import Any, Mapping, Sequence, Union

from .errors import InvalidArgumentError

#: What is locked: a name, or several that are locked together. Numbers are names as redis-py writes them.
Name = Union[str, bytes, bytearray, memoryview, int, float]
Resource = Union[Name, Sequence[Name]]
#: A number of milliseconds, or a duration.
Milliseconds = Union[int, float, timedelta]
#: Settings of a factory by their names.
Options = Mapping[str, Union[str, int, float, bool, "os.PathLike[str]"]]

#: The longest time the C library can wait, in ms.
_LONGEST = 2**63 - 1
#: The longest TTL the C library can be asked for, in ms; which one it grants is for it to say.
_LONGEST_TTL = 2**64 - 1

FOREVER = -1


def encode(text: str | bytes, what: str) -> bytes:
    """Text for C: UTF-8, without NUL, which would end it early."""
    if isinstance(text, str):
        try:
            encoded = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"{what} cannot be written as UTF-8: {error.reason}") from None
    elif isinstance(text, bytes):
        encoded = text
    else:
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    if b"\0" in encoded:
        raise InvalidArgumentError(f"{what} contains a NUL character")
    return encoded


_NAMES = (str, bytes, bytearray, memoryview, int, float)


def names_of(resource: Resource) -> tuple[bytes, ...]:
    """The names of what is to be locked."""
    if isinstance(resource, _NAMES):
        return (_name(resource, "the resource's name"),)
    if not isinstance(resource, Sequence):
        raise TypeError(f"resource must be a str or a sequence of them, not {type(resource).__name__}")
    if not resource:
        raise InvalidArgumentError("resource is an empty sequence")
    names: Sequence[Any] = resource
    return tuple(_name(name, "a resource's name") for name in names)


def _name(name: Any, what: str) -> bytes:
    """The bytes that redis-py makes of a key."""
    if isinstance(name, bool):
        raise TypeError(f"{what} must be str, not bool")
    if isinstance(name, (int, float)):
        name = repr(name)
    elif isinstance(name, (bytearray, memoryview)):
        name = bytes(name)
    encoded = encode(name, what)
    try:
        encoded.decode()
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{what} is not UTF-8, which the C library needs") from None
    return encoded


def milliseconds_of(value: Milliseconds, what: str) -> int:
    """A whole number of milliseconds; a fraction of one is an error, not rounded."""
    if type(value) is int:
        return value
    if isinstance(value, timedelta):
        value = value / timedelta(milliseconds=1)
    if isinstance(value, bool):
        raise TypeError(f"{what} must be a number of milliseconds, not bool")
    if isinstance(value, float):
        if not value.is_integer():
            raise InvalidArgumentError(f"{what} must be a whole number of milliseconds, not {value!r}")
        return int(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a number of milliseconds, not {type(value).__name__}") from None


def ttl_of(value: Milliseconds) -> int:
    """A TTL that C can be asked for."""
    ttl = milliseconds_of(value, "ttl")
    if not 1 <= ttl <= _LONGEST_TTL:
        raise InvalidArgumentError(f"ttl is {value!r} ms: it must be at least 1, and at most 30 days")
    return ttl


def count_of(value: int, what: str) -> int:
    """A number that is not negative."""
    if isinstance(value, bool):
        raise TypeError(f"{what} must be an int, not bool")
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}") from None
    if count < 0:
        raise InvalidArgumentError(f"{what} is {count}: it must not be negative")
    return count


def delay_of(value: Milliseconds) -> int:
    """A retry delay in ms."""
    return count_of(milliseconds_of(value, "retry_delay"), "retry_delay")


def wait_of(seconds: float | None) -> int:
    """How long to try, in ms, rounded up; None stands for ever."""
    if seconds is None:
        return FOREVER
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(seconds).__name__}")
    if not seconds >= 0:
        raise InvalidArgumentError(f"timeout is {seconds!r}: it must not be negative")
    if math.isinf(seconds):
        return FOREVER
    wait = math.ceil(seconds * 1000)
    if wait > _LONGEST:
        raise OverflowError(f"timeout is {seconds!r}: too many seconds")
    return wait


def option_text(value: Any, name: str) -> bytes:
    """An option's value as the text that the C library wants."""
    if isinstance(value, bool):
        value = "on" if value else "off"
    elif isinstance(value, (int, float)):
        value = str(value)
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    return encode(value, f"the value of the option {name!r}")
