"""The README's command for installing, and the demo. Its samples are run in drop_in, where their ports are free."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from helpers import REPOSITORY, Nodes, blocks


def test_its_command_installs_the_package(tmp_path: Path) -> None:
    """Into a fresh environment, from this clone."""
    if not shutil.which("cargo"):
        pytest.skip("no Rust is here")
    if sys.version_info < (3, 9):
        pytest.skip("setuptools with Metadata 2.4 needs Python 3.9")
    (command,) = (block for block in blocks("sh") if "./bindings/python" in block)
    venv.create(tmp_path, with_pip=True)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    clean["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{clean['PATH']}"
    installed = subprocess.run(
        ["bash", "-ec", command + "cd /; python -m libredlock"],
        cwd=REPOSITORY,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stdout
    assert f"from {tmp_path}" in installed.stdout
    assert "redlock is the same package" in installed.stdout


def test_the_demo(nodes: Nodes) -> None:
    demo = subprocess.run(
        [
            sys.executable,
            REPOSITORY / "examples/python/demo.py",
            *nodes.patient_urls,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout
    assert demo.stdout.splitlines() == [
        "invoice:17 is ours for 9 s",
        "and for another at the same time: False",
        "the ledger is held twice over",
        "the report is ours, however long it takes; lost: False",
        "a second one was refused by a quorum",
        "fences rise: True",
        "a hundred tasks took turns: True",
    ]
