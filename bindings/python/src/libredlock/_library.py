"""The C library: found, described to ctypes, and held against this package's version.

ctypes and not cffi: a pair of acquire and release takes some 200 us, of which the crossing into C is 2 to 3 us with either
of them; ctypes comes with Python, and it can call without giving the GIL up, which cffi's ABI mode cannot. So functions
that may block are called through ``CDLL``, which lets other threads run meanwhile, and those that only look something up
through ``PyDLL``, which spares a busy process the fight for the GIL after each of them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable

from ._version import __version__

EVENT_ACQUIRE = 1
EVENT_RELEASE = 2
EVENT_EXTEND = 3
EVENT_IS_LOCKED = 4
EVENT_LOST = 5
EVENT_CREDENTIALS = 6

_SONAME = "libredlock.0.dylib" if sys.platform == "darwin" else "libredlock.so.0"


class Event(ctypes.Structure):
    """A ``redlock_event``."""

    id: int
    status: int
    kind: int
    lock: int | None
    error: int | None
    validity_ms: int
    value: int
    fence: int

    # Room for later versions included; the size never changes.
    _fields_ = [
        ("id", c_uint64),
        ("status", c_int32),
        ("kind", c_uint32),
        ("lock", c_void_p),
        ("error", c_void_p),
        ("validity_ms", c_int64),
        ("value", c_uint64),
        ("fence", c_uint64),
        ("reserved", c_uint64 * 5),
    ]


_Handle = c_void_p
_Out = POINTER(c_void_p)
_Names = POINTER(c_char_p)

# Name, result, arguments. Those that may block, or wake other threads:
_BLOCKING: list[tuple[str, Any, list[Any]]] = [
    ("factory_new", c_int32, [_Names, c_size_t, _Handle, _Out, _Out]),
    ("factory_free", None, [_Handle]),
    ("factory_check", c_int32, [_Handle, _Out, _Out]),
    ("factory_trust_nodes", c_int32, [_Handle, _Out]),
    ("factory_set_credentials", c_int32, [_Handle, c_char_p, c_char_p, _Out]),
    ("factory_ask_for_credentials", c_int32, [_Handle, _Handle, c_uint64, _Out]),
    ("factory_refuse_credentials", c_int32, [_Handle, c_char_p, _Out]),
    ("acquire", c_int32, [_Handle, c_char_p, c_uint64, c_int64, _Out, _Out]),
    ("acquire_many", c_int32, [_Handle, _Names, c_size_t, c_uint64, c_int64, _Out, _Out]),
    ("release", c_int32, [_Handle, _Out]),
    ("extend", c_int32, [_Handle, c_uint64, _Out]),
    ("is_locked", c_int32, [_Handle, c_char_p, POINTER(c_int32), _Out]),
    ("lock_free", None, [_Handle]),
    ("lock_detach", None, [_Handle]),
    ("lock_keep_alive", c_int32, [_Handle, _Handle, c_uint64, _Out]),
    ("queue_next", c_int32, [_Handle, POINTER(Event), c_size_t, c_int64, POINTER(c_size_t), _Out]),
    ("queue_free", None, [_Handle]),
    ("submit_acquire", c_int32, [_Handle, c_char_p, c_uint64, c_int64, _Handle, c_uint64, _Out]),
    (
        "submit_acquire_many",
        c_int32,
        [_Handle, _Names, c_size_t, c_uint64, c_int64, _Handle, c_uint64, _Out],
    ),
    ("submit_release", c_int32, [_Handle, _Handle, c_uint64, _Out]),
    ("submit_extend", c_int32, [_Handle, c_uint64, _Handle, c_uint64, _Out]),
    ("submit_is_locked", c_int32, [_Handle, c_char_p, _Handle, c_uint64, _Out]),
    ("cancel", c_int32, [_Handle, c_uint64, _Out]),
]

# And those that only look something up:
_QUICK: list[tuple[str, Any, list[Any]]] = [
    ("version", c_char_p, []),
    ("version_number", c_uint32, []),
    ("status_name", c_char_p, [c_int32]),
    ("error_message", c_char_p, [_Handle]),
    ("error_code", c_int32, [_Handle]),
    ("error_node_count", c_size_t, [_Handle]),
    ("error_node_address", c_char_p, [_Handle, c_size_t]),
    ("error_node_status", c_int32, [_Handle, c_size_t]),
    ("error_node_message", c_char_p, [_Handle, c_size_t]),
    ("error_free", None, [_Handle]),
    ("options_new", c_int32, [_Out, _Out]),
    ("options_set", c_int32, [_Handle, c_char_p, c_char_p, _Out]),
    ("options_free", None, [_Handle]),
    ("option_count", c_size_t, []),
    ("option_name", c_char_p, [c_size_t]),
    ("option_default", c_char_p, [c_size_t]),
    ("option_description", c_char_p, [c_size_t]),
    ("lock_validity_ms", c_int64, [_Handle]),
    ("lock_token", c_char_p, [_Handle]),
    ("lock_fence", c_uint64, [_Handle]),
    ("lock_fence_at", c_uint64, [_Handle, c_size_t]),
    ("lock_resource_count", c_size_t, [_Handle]),
    ("queue_new", c_int32, [_Out, _Out]),
    ("reentrant_new", c_int32, [_Handle, c_char_p, c_uint64, _Out, _Out]),
    ("reentrant_free", None, [_Handle]),
    ("queue_fd", c_int, [_Handle]),
    ("string_free", None, [_Handle]),
]


class Library:
    """The functions of one loaded library, without the prefix ``redlock_``, as ``library.acquire(...)``."""

    path: str

    def __init__(self, path: str) -> None:
        try:
            blocking, quick = ctypes.CDLL(path), ctypes.PyDLL(path)
        except OSError as error:
            raise ImportError(f"the redlock package cannot load the C library it stands on: {error}. {_HELP}") from None
        self.path = path
        self._version_of(quick)
        for dll, functions in ((blocking, _BLOCKING), (quick, _QUICK)):
            for name, result, arguments in functions:
                setattr(self, name, self._function(dll, name, result, arguments))
        # To be called where nobody waits for it, on a lock that is given back already.
        self.lock_forget = self._function(quick, "lock_free", None, [_Handle])
        # A release with what `with` passes behind its arguments, which C does not look at: see _leaving.py.
        self.leave = self._function(ctypes.CDLL(path), "release", c_int32, [_Handle, _Out, *[ctypes.py_object] * 4])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)

    def _version_of(self, dll: ctypes.CDLL) -> None:
        number = self._function(dll, "version_number", c_uint32, [])()
        text = self._function(dll, "version", c_char_p, [])().decode()
        if not _compatible(number, _number_of(__version__)):
            raise ImportError(
                f"the redlock package {__version__} needs libredlock {__version__} or a later one of the same major "
                f"version, but {self.path} is {text}. {_HELP}"
            )

    def _function(self, dll: ctypes.CDLL, name: str, result: Any, arguments: list[Any]) -> Callable[..., Any]:
        try:
            function = getattr(dll, f"redlock_{name}")
        except AttributeError:
            raise ImportError(f"{self.path} has no function redlock_{name}: is it libredlock? {_HELP}") from None
        function.restype = result
        function.argtypes = arguments
        return function  # type: ignore[no-any-return]


_HELP = "Install the wheel, which contains it, or libredlock itself, or let REDLOCK_LIBRARY name the file."


def _number_of(version: str) -> int:
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 10000 + minor * 100 + patch


def _compatible(library: int, package: int) -> bool:
    """Later versions only add to what is there, until the major version changes."""
    return library >= package and library // 10000 == package // 10000


def _path() -> str:
    """Where the library is: where the environment says, within this package, or where the system's loader looks."""
    named = os.environ.get("REDLOCK_LIBRARY")
    if named:
        return named
    enclosed = Path(__file__).with_name(_SONAME)
    return str(enclosed) if enclosed.exists() else _SONAME


library = Library(_path())
