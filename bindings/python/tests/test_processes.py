"""Forks, processes and threads: mutual exclusion as an outside file saw it, and whose lock is whose after a fork."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from pathlib import Path
from typing import Any, Callable

import pytest
from helpers import Nodes, run_python, wait_until

from redlock import ContendedError, ForkedError, RedLock, RedLockFactory, ReentrantRedLock

# Forking among threads, which Python warns of since 3.12, is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(body: Callable[[], object]) -> None:
    """Run in a forked child, and fail when it fails there."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def increment(path: Path) -> None:
    """Without any atomicity: whoever is not alone loses increments."""
    path.write_text(str(int(path.read_text()) + 1))


def test_a_child_uses_its_parent_s_factory(factory: RedLockFactory, name: str) -> None:
    factory.acquire(name, ttl=10_000, timeout=0).release()
    in_child(lambda: factory.acquire(name, ttl=10_000, timeout=30).release())
    factory.acquire(name, ttl=10_000, timeout=30).release()


def test_a_lock_stays_with_the_parent(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)
    lock = factory.create_lock(f"{name}:other")
    assert lock.acquire()

    def child() -> None:
        for operation in (held.release, held.extend, held.keep_alive, lock.extend, lock.release):
            with pytest.raises(ForkedError):
                operation()
        assert held.validity == 0.0
        with pytest.raises(ContendedError):
            factory.acquire(name, ttl=60_000, timeout=0)

    in_child(child)
    assert nodes.values(name).count(held.token) >= nodes.quorum
    held.release()
    lock.release()


def test_a_child_that_ends_in_python_s_way_releases_nothing(nodes: Nodes, name: str) -> None:
    code = """
import os, sys
from redlock import RedLockFactory
factory = RedLockFactory(sys.argv[2:])
held = factory.acquire(sys.argv[1], ttl=60000, timeout=0)
pid = os.fork()
if pid == 0:
    sys.exit(0)  # with all that Python does at its end
assert os.waitpid(pid, 0)[1] == 0
assert held.validity > 0
held.extend()
held.release()
"""
    ended = run_python(code, name, *nodes.patient_urls)
    assert ended.returncode == 0, ended.stdout


def test_a_child_keeps_locks_of_its_own_alive(factory: RedLockFactory, nodes: Nodes, name: str) -> None:
    with factory.acquire(name, ttl=10_000, timeout=0) as held:
        held.keep_alive()

        def child() -> None:
            own = factory.acquire(f"{name}:child", ttl=1_000, timeout=30)
            lost = own.keep_alive()
            nodes.delete(f"{name}:child")
            assert lost.wait(30)

        in_child(child)
        assert held.extend() > 0


def test_a_pre_forking_server(nodes: Nodes, name: str, tmp_path: Path) -> None:
    """The application is loaded, and has used its locks, before its workers are forked."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    lock = RedLock(name, nodes.details)
    with lock:
        increment(counter)

    def work() -> None:
        for _ in range(20):
            assert lock.acquire(timeout=60)
            increment(counter)
            lock.release()

    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert counter.read_text() == "81"


def _work(details: list[dict[str, Any]], name: str, path: Path, turns: int) -> bool:
    for _ in range(turns):
        with RedLockFactory(details) as factory, factory.acquire(name, ttl=30_000, timeout=60):
            increment(path)
    return True


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(nodes: Nodes, name: str, tmp_path: Path, method: str) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    with multiprocessing.get_context(method).Pool(3) as pool:
        pending = [pool.apply_async(_work, (nodes.details, name, counter, 5)) for _ in range(4)]
        assert all(each.get(60) for each in pending)
    assert counter.read_text() == "20"


def test_threads_exclude_each_other(factory: RedLockFactory, name: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def work() -> None:
        lock = factory.create_lock(name)
        for _ in range(10):
            assert lock.acquire(timeout=60)
            increment(counter)
            lock.release()

    run_threads([work] * 8)
    assert counter.read_text() == "80"


def test_threads_share_one_lock_object(factory: RedLockFactory, name: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    lock = factory.create_lock(name)

    def work() -> None:
        for _ in range(10):
            assert lock.acquire(timeout=60)
            increment(counter)
            lock.release()

    run_threads([work] * 8)
    assert counter.read_text() == "80"


def test_threads_that_release_one_lock_at_once(factory: RedLockFactory, name: str) -> None:
    lock = factory.create_lock(name)
    for _ in range(20):
        assert lock.acquire(timeout=60)
        run_threads([lock.release] * 4)
        assert not lock.locked()


def test_the_reentrant_lock_counts_right_among_threads(nodes: Nodes, name: str) -> None:
    lock = ReentrantRedLock(name, nodes.details)

    def work() -> None:
        for _ in range(50):
            with lock:
                assert lock.validity > 0

    run_threads([work] * 4)
    assert not lock.locked()
    assert lock.release() is False


def test_a_hundred_threads_that_wait_let_others_work(factory: RedLockFactory, name: str) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)
    waiting: list[threading.Thread] = []

    def wait() -> None:
        factory.acquire(name, ttl=60_000, timeout=60).release()

    for _ in range(100):
        waiting.append(threading.Thread(target=wait))
        waiting[-1].start()
    for i in range(100):
        with factory.create_lock(f"{name}:{i}"):
            assert all(thread.is_alive() for thread in waiting)
    held.release()
    for thread in waiting:
        thread.join(60)
        assert not thread.is_alive()


def test_one_lock_is_used_by_many_threads_at_once(factory: RedLockFactory, name: str) -> None:
    held = factory.acquire(name, ttl=60_000, timeout=0)

    def work() -> None:
        for _ in range(50):
            held.extend()

    run_threads([work] * 4)
    outcomes: list[Any] = []

    def release() -> None:
        try:
            outcomes.append(held.release())  # type: ignore[func-returns-value]
        except Exception as error:
            outcomes.append(type(error).__name__)

    run_threads([release] * 4)
    assert outcomes.count(None) == 1
    assert outcomes.count("ReleasedError") == 3
    wait_until(lambda: not factory.is_locked(name), "it is free")


def run_threads(bodies: list[Callable[[], object]]) -> None:
    """Run them at once, and fail when one fails."""
    failures: list[BaseException] = []

    def run(body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not failures
