"""The C library: found, held against the package's version, and introduced."""

from __future__ import annotations

import ctypes.util
import re
import shutil
from pathlib import Path

import pytest
from helpers import PYTHON_FOLDER, REPOSITORY, run_python

import redlock

PACKAGE = PYTHON_FOLDER / "src/libredlock"


def test_the_versions_are_one() -> None:
    (crate,) = re.findall(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    assert redlock.__version__ == crate == redlock.library_version() == redlock.__VERSION__
    assert "redlock" in redlock.library_path()


@pytest.mark.parametrize("version", ["0.99.0", "1.0.0"])
def test_another_version_is_refused(tmp_path: Path, version: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "redlock")
    (tmp_path / "redlock/_version.py").write_text(f'"""Another one."""\n__version__ = "{version}"\n')
    ended = run_python("import redlock", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert f"ImportError: the redlock package {version} needs libredlock {version}" in ended.stdout
    assert f"is {redlock.__version__}" in ended.stdout


def test_an_older_package_goes_with_a_newer_library(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "redlock")
    (tmp_path / "redlock/_version.py").write_text('"""An older one."""\n__version__ = "0.0.1"\n')
    ended = run_python("import redlock; print(redlock.__file__)", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0, ended.stdout
    assert str(tmp_path) in ended.stdout


def test_a_missing_library_is_told() -> None:
    ended = run_python("import redlock", REDLOCK_LIBRARY="/nowhere/libredlock.so.0")
    assert ended.returncode == 1
    assert re.search(r"ImportError: .*cannot load.*/nowhere/libredlock.so.0.*REDLOCK_LIBRARY", ended.stdout)


def test_another_library_is_told() -> None:
    other = ctypes.util.find_library("c")
    assert other
    ended = run_python("import redlock", REDLOCK_LIBRARY=other)
    assert ended.returncode == 1
    assert "has no function redlock_version_number: is it libredlock?" in ended.stdout


def test_options_are_told() -> None:
    table = {option.name: option for option in redlock.option_table()}
    assert table["max_ttl_ms"].default == "120000"
    assert all(option.description for option in table.values())


def test_every_function_of_the_header_is_known_or_left_out_on_purpose() -> None:
    header = (REPOSITORY / "include/redlock.h").read_text()
    declared = set(re.findall(r"\bredlock_(\w+)\(", header.partition('extern "C"')[2]))
    from libredlock import _library

    bound = {name for name, _, _ in [*_library._BLOCKING, *_library._QUICK]}
    # A callback on the library's threads has no place in a process that may be ending; names and messages come with errors.
    left_out = {"log_set", "status_message", "error_code", "lock_resource", "lock_resource_at"}
    # The end of a Python thread is no end of what it shares with others.
    left_out |= {"free_at_thread_end"}
    # Our re-entrant lock counts by itself, in a class that can be subclassed and patched.
    left_out |= {name for name in declared if name.startswith("holder_")}
    assert declared == bound | left_out


def test_an_event_has_the_size_that_the_header_says() -> None:
    from libredlock._library import Event

    assert ctypes.sizeof(Event) == 96
    fields = vars(Event)
    assert (fields["lock"].offset, fields["fence"].offset) == (16, 48)
