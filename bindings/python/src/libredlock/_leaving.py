"""Leaving a ``with`` block by one call into C, before which no handler of a signal can run.

Handlers run between the steps of Python code, also before the first step of an ``__exit__`` that is written in Python. If
one raised there, as that of Ctrl-C does, the lock would stay held for its TTL. So in the main thread, the only one where
handlers run, a ``with`` statement gets for its exit a call that the interpreter makes without any step of Python code: the C
library's release. What is left to do in Python comes after it.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from types import MethodType
from typing import Any, Callable, Protocol

from ._green import hub_in_use
from ._library import library


class Leavable(Protocol):
    """What can be left so."""

    def _exit_cells(self) -> tuple[Any, Any] | None:
        """Where the lock's handle will be when the block is left, and a pointer to where the error goes; None: by Python."""

    def _left(self, status: int, error: type[BaseException] | None) -> None:
        """The lock was given back, with this status, after the block had ended in this exception."""


class ExitByC:
    """A method ``__exit__`` whose work C does where it can."""

    def __init__(self, in_python: Callable[..., Any]) -> None:
        self._in_python = in_python
        self.__doc__ = in_python.__doc__

    def __get__(self, lock: Any, kind: type | None = None) -> Callable[..., Any]:
        if lock is None:
            return self._in_python
        cells = lock._exit_cells() if in_main_thread() and hub_in_use() is None else None
        if cells is None:
            return MethodType(self._in_python, lock)
        handle, error = cells
        # It holds the lock's object too: a ``with`` statement has no other reference to it.
        return partial(library.leave, handle, error, lock)


def in_main_thread() -> bool:
    """Whether handlers of signals run in this thread."""
    return threading.get_ident() == _main


def _find_main_thread() -> None:
    global _main  # noqa: PLW0603  # a child's is the thread that forked
    _main = threading.main_thread().ident


_main: int | None = None
_find_main_thread()
os.register_at_fork(after_in_child=_find_main_thread)


def _left(status: int, function: Any, arguments: tuple[Any, ...]) -> None:  # noqa: ARG001  # as ctypes calls it
    arguments[2]._left(status, arguments[3])


library.leave.errcheck = _left  # type: ignore[attr-defined]
