"""The programs that the package is put into: greenlets, web servers, task queues; each is run, and counts right."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import pytest
from helpers import PATIENCE, PYTHON_FOLDER, TESTS, Nodes, free_port, wait_until

BIN = Path(sys.executable).parent
EXAMPLES = PYTHON_FOLDER / "examples"
PROGRAMS = TESTS / "programs"
REQUESTS = 40
#: All programs start at once, and beside other tests.
STARTING = 4 * PATIENCE


class Program:
    """A program that runs until the test is done with it, with a counter of its own."""

    def __init__(self, folder: Path, nodes: Nodes, number: int, command: list[str]) -> None:
        self.port = free_port()
        self.counter, self.log = folder / "counter", folder / "log"
        self.counter.write_text("0")
        environment = {
            **os.environ,
            "LOCK_MASTERS": ",".join(nodes.patient_urls),
            "COUNTER": str(self.counter),
            # A database that no lock is in.
            "BROKER": f"{nodes.urls[0]}/{number}",
            "PYTHONPATH": os.pathsep.join((str(EXAMPLES), str(PYTHON_FOLDER / "src"))),
            "PYTHONWARNINGS": "ignore",
        }
        self.environment = environment
        with self.log.open("w") as log:
            words = [word.replace("PORT", str(self.port)) for word in command]
            self.process = subprocess.Popen(
                [str(BIN / words[0]), *words[1:]], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()

    def ask(self, path: str, method: str = "POST") -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return bool(self.ask("/count"))
        return False


@pytest.fixture(scope="module")
def programs(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    """All at once, since each of them takes a while to start."""
    pytest.importorskip("gunicorn", reason="the programs are not installed for this Python")
    commands = {
        "flask": "gunicorn --no-control-socket -k gevent -w 2 -b 127.0.0.1:PORT flask_app:app",
        "django": "gunicorn --no-control-socket -w 2 --threads 4 --preload -b 127.0.0.1:PORT django_app:application",
        "fastapi": "uvicorn --workers 2 --port PORT fastapi_app:app",
        "prefork": "celery -q -A celery_app worker -P prefork -c 2 --without-mingle --without-gossip",
        "gevent": "celery -q -A celery_app worker -P gevent -c 20 --without-mingle --without-gossip",
        "eventlet": "celery -q -A celery_app worker -P eventlet -c 20 --without-mingle --without-gossip",
        "threads": "celery -q -A celery_app worker -P threads -c 4 --without-mingle --without-gossip",
        "uwsgi": f"uwsgi --http-socket 127.0.0.1:PORT -M -p 2 --enable-threads -T -H {BIN.parent} --die-on-term "
        f"--wsgi-file {PROGRAMS / 'uwsgi_app.py'}",
    }
    programs = {}
    try:
        for number, (name, command) in enumerate(commands.items(), start=2):
            if (BIN / command.split()[0]).exists():
                programs[name] = Program(tmp_path_factory.mktemp(name), nodes, number, command.split())
        yield programs
    finally:
        with ThreadPoolExecutor(len(commands)) as pool:
            list(pool.map(Program.stop, programs.values()))


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_greenlets(nodes: Nodes, name: str, kind: str) -> None:
    pytest.importorskip(kind, reason="is not installed for this Python", exc_type=ImportError)
    ended = subprocess.run(
        [sys.executable, PROGRAMS / "greenlets.py", kind, name, *nodes.urls],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert ended.stdout.splitlines()[-1] == "ok", ended.stdout


@pytest.mark.parametrize("name", ["flask", "django", "fastapi"])
def test_web_servers(programs: dict[str, Program], name: str) -> None:
    program = programs[name]
    wait_until(program.answers, "the server answers", STARTING)
    program.counter.write_text("0")
    method = "GET" if name == "django" else "POST"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: program.ask("/count", method), range(REQUESTS)))
    assert sorted(answer["count"] for answer in answers) == list(range(1, REQUESTS + 1))
    fences = [answer["fence"] for answer in sorted(answers, key=lambda answer: int(answer["count"]))]
    assert fences == sorted(fences)


SEND = """
import celery_app
tasks = [celery_app.count.delay() for _ in range(20)]
print(sorted(task.get(timeout=60) for task in tasks) == list(range(1, 21)))
"""


@pytest.mark.parametrize("name", ["prefork", "gevent", "eventlet", "threads"])
def test_celery(programs: dict[str, Program], name: str) -> None:
    program = programs[name]
    sent = subprocess.run(
        [sys.executable, "-c", SEND],
        env=program.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert sent.stdout == "True\n", sent.stdout + program.log.read_text()
    assert program.counter.read_text() == "20"


def test_uwsgi(programs: dict[str, Program]) -> None:
    if "uwsgi" not in programs:
        pytest.skip("uWSGI could not be built here")
    program = programs["uwsgi"]
    wait_until(program.answers, "the server answers", STARTING)
    program.counter.write_text("0")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: program.ask("/lose" if i % 8 == 0 else "/count"), range(REQUESTS)))
    assert program.counter.read_text() == str(REQUESTS)
    assert {answer["of_master"] for answer in answers} == {"is the master's"}
    assert [answer["told"] for answer in answers if "told" in answer] == [True] * (REQUESTS // 8)
    assert all(answer["pid"] != program.process.pid for answer in answers)
