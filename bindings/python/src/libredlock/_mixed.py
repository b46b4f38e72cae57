"""Several packages on PyPI are imported as `redlock`. When two share a folder, files of one replace files of the other."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

_REMEDY = (
    "Import this one as libredlock, which works in any case, or uninstall all packages that are called redlock "
    "(pip uninstall redlock redlock-py) and install this one again"
)
#: What the docstring of this project's redlock/__init__.py says.
_OURS = "The package `libredlock` under the name"


def refuse(path: str) -> NoReturn:
    """A file of this package runs although the package's own __init__.py never loads it."""
    folder = Path(path).parent
    raise ImportError(f"the files of two packages called redlock are mixed in {folder}. {_REMEDY}")


def trouble() -> str | None:
    """What is wrong with the `redlock` beside this package; None when it is this project's."""
    init = Path(__file__).parent.with_name("redlock") / "__init__.py"
    if not init.exists():
        return f"{init} is missing: another package called redlock was uninstalled. {_REMEDY}"
    if _OURS not in init.read_text(errors="replace"):
        return f"{init} is another package's. {_REMEDY}"
    return None
