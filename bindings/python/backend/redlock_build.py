"""Builds the wheel: the package, and the C library beside it. A PEP 517 backend that needs nothing but Python.

The library is the file that the environment variable REDLOCK_LIBRARY names, or what cargo builds from this clone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Iterator, NoReturn

HERE = Path(__file__).resolve().parent.parent
CRATE = HERE.parent.parent
SONAME = "libredlock.0.dylib" if sys.platform == "darwin" else "libredlock.so.0"


def _version() -> str:
    names: dict[str, str] = {}
    exec((HERE / "src/libredlock/_version.py").read_text(), names)
    return names["__version__"]


VERSION = _version()

METADATA = f"""\
Metadata-Version: 2.1
Name: redlock
Version: {VERSION}
Summary: Distributed locks over independent Redis masters: a drop-in for the redlock package, on the C library libredlock
License: MIT OR Apache-2.0
Keywords: redis,redlock,lock,distributed,asyncio
Classifier: Operating System :: POSIX
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Requires-Python: >=3.8
Description-Content-Type: text/markdown

"""


class UnsupportedOperation(Exception):  # noqa: N818
    """The name that PEP 517 has for what a backend does not do."""


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:  # noqa: ARG001
    """Nothing has to be installed for building."""
    return []


def build_sdist(sdist_directory: str, config_settings: Any = None) -> NoReturn:  # noqa: ARG001
    """There is none: it would lack the sources of the C library."""
    raise UnsupportedOperation("build a wheel, in a clone of the project: the C library is built from its other folders")


def build_wheel(
    wheel_directory: str,
    config_settings: Any = None,  # noqa: ARG001
    metadata_directory: str | None = None,  # noqa: ARG001
) -> str:
    """Write the wheel into a directory; returns its name."""
    name = f"redlock-{VERSION}-{_tag()}.whl"
    with tempfile.TemporaryDirectory() as scratch:
        library = _stripped(_library(), Path(scratch))
        with zipfile.ZipFile(Path(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
            _write(wheel, library)
    return name


def _tag() -> str:
    # One wheel for all versions of Python: the library knows nothing of them.
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"py3-none-{platform}"


def _write(wheel: zipfile.ZipFile, library: Path) -> None:
    record = []
    for name, content in _contents(library):
        # The same sources give the same wheel: it tells no time.
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = (0o755 if name.endswith(SONAME) else 0o644) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        wheel.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        record.append(f"{name},sha256={digest},{len(content)}\n")
    name = f"redlock-{VERSION}.dist-info/RECORD"
    wheel.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "".join([*record, f"{name},,\n"]))


def _contents(library: Path) -> Iterator[tuple[str, bytes]]:
    source = HERE / "src"
    for path in sorted(source.rglob("*")):
        if path.suffix == ".py" or path.name == "py.typed":
            yield path.relative_to(source).as_posix(), path.read_bytes()
    yield f"libredlock/{SONAME}", library.read_bytes()
    info = f"redlock-{VERSION}.dist-info"
    for path in sorted(CRATE.glob("LICENSE-*")):
        yield f"{info}/{path.name}", path.read_bytes()
    yield f"{info}/METADATA", (METADATA + (HERE / "README.md").read_text()).encode()
    yield f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: redlock_build\nRoot-Is-Purelib: false\nTag: {_tag()}\n".encode()


def _library() -> Path:
    named = os.environ.get("REDLOCK_LIBRARY")
    return Path(named) if named else _built_by_cargo()


def _built_by_cargo() -> Path:
    command = ["cargo", "build", "--release", "--lib", "--message-format=json-render-diagnostics"]
    try:
        output = subprocess.run(command, cwd=CRATE, stdout=subprocess.PIPE, check=True).stdout
    except FileNotFoundError:
        raise SystemExit("cargo was not found: install Rust, or let REDLOCK_LIBRARY name a built libredlock") from None
    messages = [json.loads(line) for line in output.splitlines()]
    files = [name for message in messages for name in message.get("filenames", ()) if message["target"]["name"] == "redlock"]
    return Path(next(name for name in files if name.endswith((".so", ".dylib"))))


def _stripped(library: Path, scratch: Path) -> Path:
    """The library without what only debuggers read, which is most of it."""
    if sys.platform == "darwin" or not shutil.which("strip"):
        return library
    stripped = scratch / SONAME
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)
    return stripped
