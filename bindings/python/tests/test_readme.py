"""The README's examples: the first prints what it says there, and the others run."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from typing import Any

from helpers import PATIENCE, PYTHON_FOLDER, REPOSITORY, Nodes

README = (PYTHON_FOLDER / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def on(nodes: Nodes, code: str) -> str:
    """The code, with the masters of this run for its own."""
    ports = ", ".join(url.rpartition(":")[2] for url in nodes.urls)
    code = code.replace("7001, 7002, 7003", ports)
    # Other programs use the machine too.
    return code.replace('"port": port', f'"port": port, "socket_timeout": {PATIENCE}')


def run(code: str, **names: Any) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, names)
    return output.getvalue()


def test_the_first_example_prints_what_it_says(nodes: Nodes) -> None:
    assert run(on(nodes, blocks("python")[0])) == blocks("text")[0]


def test_the_second_runs(nodes: Nodes) -> None:
    pieces, written = ["one", "two"], []
    run(
        blocks("python")[1],
        masters=nodes.details,
        work_is_left=lambda: pieces,
        next_piece=pieces.pop,
        write=lambda piece, fence: written.append((piece, fence > 0)),
    )
    assert written == [("two", True), ("one", True)]


def test_that_for_asyncio_runs(nodes: Nodes) -> None:
    assert len(blocks("python")) == 3
    run(blocks("python")[2], masters=nodes.details)


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
