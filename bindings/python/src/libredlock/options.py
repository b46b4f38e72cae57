"""The settings that a factory knows, as the C library tells them."""

from __future__ import annotations

from typing import NamedTuple

from ._library import library


class Option(NamedTuple):
    """One setting of a factory."""

    #: What it is called in ``options={...}``.
    name: str
    #: What it is unless it is set; empty where nothing is.
    default: str
    #: What it does, and which values are allowed.
    description: str


def option_table() -> list[Option]:
    """Every option that there is."""
    return [_option(i) for i in range(library.option_count())]


def _option(i: int) -> Option:
    parts = (library.option_name(i), library.option_default(i), library.option_description(i))
    return Option(*(part.decode() for part in parts))
