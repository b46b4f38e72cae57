"""A typed program that uses the whole API: the type checkers of bindings/python/test accept it, and it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PYTHON_FOLDER, TESTS, Nodes, run_python

import redlock

SAMPLE = TESTS / "typing_sample.py"


def test_the_sample_runs(nodes: Nodes, name: str) -> None:
    ended = run_python(SAMPLE.read_text(), name, *nodes.patient_urls)
    assert ended.stdout == "ok\n", ended.stdout


def test_the_sample_uses_every_public_name() -> None:
    words = set(SAMPLE.read_text().replace("(", " ").replace(",", " ").replace(".", " ").split())
    assert set(redlock.__all__) <= words


def test_the_package_is_typed_for_others(tmp_path: Path) -> None:
    """Found as an installed package is, and not by this project's own settings."""
    pytest.importorskip("mypy", reason="is not installed for this Python")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from redlock import RedLock\nimport redlock.lock\nRedLock(None, 17)\nredlock.lock.RedLock('a', ttl='b')\n"
    )
    # Like a folder of installed packages, whose types count only where there is a py.typed.
    arguments = ["--strict", "--no-error-summary", f"--cache-dir={tmp_path}", "--config-file=", str(wrong)]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        env={"MYPYPATH": str(PYTHON_FOLDER / "src"), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == 3, ended.stdout
    assert all("[arg-type]" in line for line in lines), ended.stdout
