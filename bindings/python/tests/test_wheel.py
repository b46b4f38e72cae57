"""The wheel: contains the C library, installs into a fresh environment, and takes a lock there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers import PYTHON_FOLDER, REPOSITORY, Nodes

import redlock

# What builds the wheel knows no older Python; the wheel that it builds does.
pytestmark = pytest.mark.skipif(sys.version_info < (3, 9), reason="setuptools with Metadata 2.4 needs Python 3.9")

USE = """
import sys
import redlock
from redlock import RedLock
assert sys.argv[1] in redlock.__file__ and sys.argv[1] in redlock.library_path(), redlock.library_path()
with RedLock(sys.argv[2], sys.argv[3:]) as validity:
    print("held for", validity)
"""


def run(*command: Any, **environment: Any) -> str:
    """Without what would lead a process to this clone's package and library."""
    strangers = ("PYTHONPATH", "LD_LIBRARY_PATH", "REDLOCK_LIBRARY")
    clean = {name: value for name, value in os.environ.items() if name not in strangers}
    done = subprocess.run(
        [str(word) for word in command],
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(folder: Path, **environment: Any) -> Path:
    """Built in a copy, since setuptools builds into the folder that it is in."""
    copy = folder / "copy"
    shutil.copytree(PYTHON_FOLDER / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for path in [*PYTHON_FOLDER.glob("*.*"), *REPOSITORY.glob("LICENSE-*")]:
        if path.is_file():
            shutil.copy(path, copy)
    options = ("--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *options, "-w", folder, copy, SOURCE_DATE_EPOCH="1700000000", **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def loaded_library() -> str:
    """The file behind the name by which the loader found the library."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(line.split()[-1] for line in lines if "libredlock" in line)


def check(wheel: Path, folder: Path, nodes: Nodes, name: str) -> None:
    venv.create(folder / "fresh", with_pip=True)
    python = folder / "fresh/bin/python"
    run(python, "-m", "pip", "install", "--no-index", wheel)
    assert "held for" in run(python, "-c", USE, folder / "fresh", name, *nodes.patient_urls)
    run(python, "-m", "pip", "check")


def test_a_wheel_around_a_given_library(tmp_path: Path, nodes: Nodes, name: str) -> None:
    wheel = build(tmp_path, REDLOCK_LIBRARY=loaded_library())
    assert wheel.name.startswith(f"libredlock-{redlock.__version__}-py3-none-")
    contents = zipfile.ZipFile(wheel).namelist()
    assert {
        "libredlock/libredlock.so.0",
        "libredlock/py.typed",
        "libredlock/aio.py",
        "redlock/py.typed",
        "redlock/aio.py",
    } <= set(contents)
    check(wheel, tmp_path, nodes, name)


def test_the_same_sources_give_the_same_wheel(tmp_path: Path) -> None:
    wheels = []
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        wheels.append(build(tmp_path / part, REDLOCK_LIBRARY=loaded_library()).read_bytes())
    assert wheels[0] == wheels[1]
