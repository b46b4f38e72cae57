"""The C library: found, held against the package's version, and introduced."""

from __future__ import annotations

import ctypes.util
import re
import shutil
from pathlib import Path

import pytest
from helpers import PYTHON_FOLDER, REPOSITORY, run_python

import redlock

SOURCE = PYTHON_FOLDER / "src"


def test_the_versions_are_one() -> None:
    (crate,) = re.findall(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    assert redlock.__version__ == crate == redlock.library_version() == redlock.__VERSION__
    assert "redlock" in redlock.library_path()


@pytest.mark.parametrize("version", ["0.99.0", "1.0.0"])
def test_another_version_is_refused(tmp_path: Path, version: str) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "libredlock/_version.py").write_text(f'"""Another one."""\n__version__ = "{version}"\n')
    ended = run_python("import redlock", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert f"ImportError: the redlock package {version} needs libredlock {version}" in ended.stdout
    assert f"is {redlock.__version__}" in ended.stdout


def test_an_older_package_goes_with_a_newer_library(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "libredlock/_version.py").write_text('"""An older one."""\n__version__ = "0.0.1"\n')
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


def mixed(tmp_path: Path, *gone: str, **files: str) -> Path:
    """The package in a folder where another package has left its traces."""
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True)
    for name, text in files.items():
        (tmp_path / f"redlock/{name}.py").write_text(text)
    for name in gone:
        (tmp_path / name).unlink()
    return tmp_path


OTHER = "from redlock.lock import RedLock\n"


def test_the_package_of_another_project_is_told_and_harms_nothing(tmp_path: Path) -> None:
    """It was installed into the same folder, and has replaced redlock/__init__.py."""
    folder = str(mixed(tmp_path, __init__=OTHER))
    ended = run_python("import redlock", PYTHONPATH=folder)
    assert ended.returncode == 1
    assert re.search(r"ImportError: the files of two packages called redlock are mixed .*pip uninstall", ended.stdout)
    ended = run_python("from libredlock import RedLock, aio; print(RedLock.__module__)", PYTHONPATH=folder)
    assert ended.stdout == "libredlock.lock\n"
    ended = run_python("import runpy; runpy.run_module('libredlock', run_name='__main__')", PYTHONPATH=folder)
    assert ended.returncode == 1
    assert "is another package's" in ended.stdout


def test_another_package_that_was_uninstalled_harms_nothing(tmp_path: Path) -> None:
    folder = str(mixed(tmp_path, "redlock/__init__.py", "redlock/lock.py"))
    ended = run_python("from libredlock import RedLock, aio", PYTHONPATH=folder)
    assert (ended.returncode, ended.stdout) == (0, "")
    ended = run_python("import runpy; runpy.run_module('libredlock', run_name='__main__')", PYTHONPATH=folder)
    assert ended.returncode == 1
    assert "is missing: another package called redlock was uninstalled" in ended.stdout


def test_half_a_package_is_told(tmp_path: Path) -> None:
    shutil.copytree(SOURCE / "redlock", tmp_path / "redlock")
    ended = run_python("import redlock", PYTHONPATH=str(tmp_path))
    assert re.search(r"ImportError: the redlock package is incomplete: libredlock is missing", ended.stdout)


def test_both_names_are_one_package() -> None:
    code = """
import redlock, libredlock, redlock.lock, redlock.aio
from redlock.errors import ContendedError
assert redlock.lock is libredlock.lock and redlock.aio is libredlock.aio
assert redlock.RedLock is libredlock.RedLock and ContendedError is libredlock.ContendedError
import runpy
runpy.run_module("libredlock", run_name="__main__")
"""
    ended = run_python(code)
    assert ended.stdout.endswith("redlock is the same package\n"), ended.stdout
    import libredlock

    assert set(libredlock.__all__) == set(redlock.__all__)


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
    left_out = {"log_set", "status_message", "lock_resource", "lock_resource_at"}
    # The end of a Python thread is no end of what it shares with others.
    left_out |= {"free_at_thread_end"}
    # Our re-entrant lock counts by itself, in a class that can be subclassed and patched.
    left_out |= {name for name in declared if name.startswith("reentrant_")} - bound
    assert declared == bound | left_out


def test_an_event_has_the_size_that_the_header_says() -> None:
    from libredlock._library import Event

    assert ctypes.sizeof(Event) == 96
    fields = vars(Event)
    assert (fields["lock"].offset, fields["fence"].offset) == (16, 48)
