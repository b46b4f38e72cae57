"""Takes locks among greenlets of gevent or eventlet, monkey-patched; says what went wrong, or "ok".

python greenlets.py gevent|eventlet NAME URL...
"""

from __future__ import annotations

import sys

KIND, NAME, URLS = sys.argv[1], sys.argv[2], sys.argv[3:]
if KIND == "gevent":
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.pool import Pool

    spawn, sleep, kill, Timeout = gevent.spawn, gevent.sleep, gevent.kill, gevent.Timeout
else:
    import warnings

    warnings.simplefilter("ignore")
    import eventlet

    eventlet.monkey_patch()
    spawn, sleep, kill, Timeout = eventlet.spawn, eventlet.sleep, eventlet.kill, eventlet.Timeout

import os  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402
from typing import Any, Callable  # noqa: E402

import redis  # noqa: E402

from libredlock import ContendedError, ExpiredError, RedLock, RedLockFactory, ReentrantRedLock  # noqa: E402

PATIENCE = 30


def join(greenlets: list[Any]) -> None:
    for greenlet in greenlets:
        greenlet.get() if KIND == "gevent" else greenlet.wait()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        sleep(0.005)


def holders(name: str) -> int:
    return sum(redis.Redis.from_url(url).exists(name) for url in URLS)


def others_run_while_one_waits(factory: RedLockFactory) -> None:
    held = factory.acquire(f"{NAME}:wait", ttl=60_000, timeout=0)
    entered: list[int] = []

    def wait(number: int) -> None:
        with factory.acquire(f"{NAME}:wait", ttl=60_000, timeout=None):
            entered.append(number)

    waiting = [spawn(wait, number) for number in range(100)]
    for number in range(20):
        with factory.create_lock(f"{NAME}:other:{number}"):
            sleep(0)
    assert not entered
    held.release()
    join(waiting)
    assert sorted(entered) == list(range(100))
    descriptors = os.listdir("/proc/self/fd")
    assert len(descriptors) < 60, "a descriptor for each greenlet"


def others_run_while_nodes_are_asked(factory: RedLockFactory) -> None:
    """The nodes stand still, and the others do not."""
    lock = factory.create_lock(f"{NAME}:slow", retry_times=0)
    pids = [int(pid) for pid in os.environ["REDLOCK_TEST_PIDS"].split(",")]
    for operation in (lambda: lock.acquire(timeout=PATIENCE), lock.locked, lock.extend, lock.release):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        greenlet = spawn(operation)
        # Were the thread blocked in C, nobody would let the nodes go on.
        for _ in range(20):
            sleep(0.001)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        join([greenlet])
    assert not lock.locked()


def they_exclude_each_other(factory: RedLockFactory) -> None:
    counter = [0]

    def work() -> None:
        for _ in range(10):
            with factory.acquire(f"{NAME}:counter", ttl=30_000, timeout=None):
                seen = counter[0]
                sleep(0)
                counter[0] = seen + 1

    join([spawn(work) for _ in range(10)])
    assert counter == [100]


def a_lock_is_kept_alive_and_its_loss_is_told(factory: RedLockFactory) -> None:
    name, reasons = f"{NAME}:kept", []
    held = factory.acquire(name, ttl=1_000, timeout=0)

    def on_lost(reason: Exception) -> None:
        sleep(0.001)
        reasons.append(reason)

    lost = held.keep_alive(on_lost)
    client = redis.Redis.from_url(URLS[0])
    lives = [client.pttl(name)]
    # It was seen to be young again several times over, which is longer than its TTL.

    def extended() -> int:
        lives.append(client.pttl(name))
        return sum(a < b for a, b in zip(lives, lives[1:]))

    until(lambda: extended() > 3)
    assert not lost.is_set()
    for url in URLS:
        redis.Redis.from_url(url).delete(name)
    assert lost.wait(PATIENCE)
    until(lambda: reasons)
    assert [type(reason) for reason in reasons] == [ExpiredError]


def one_that_is_killed_takes_nothing(factory: RedLockFactory) -> None:
    name = f"{NAME}:killed"
    held = factory.acquire(name, ttl=60_000, timeout=0)
    waiting = spawn(factory.acquire, name, ttl=60_000, timeout=None)
    sleep(0.01)
    kill(waiting)
    try:
        with Timeout(0.01):
            factory.acquire(name, ttl=60_000, timeout=None)
        raise AssertionError("it was not interrupted")
    except Timeout:
        pass
    held.release()
    until(lambda: holders(name) == 0)
    with factory.create_lock(name):
        pass


def locks_without_a_factory(factory: RedLockFactory) -> None:  # noqa: ARG001
    name = f"{NAME}:single"
    lock = ReentrantRedLock(name, URLS, ttl=10_000)
    with lock, lock:
        assert not RedLock(name, URLS, retry_times=0).acquire()
        try:
            RedLockFactory(URLS).acquire(name, ttl=1_000, timeout=0)
        except ContendedError as error:
            assert len(error.nodes) == len(URLS)
        else:
            raise AssertionError("it was taken twice")
    assert not lock.locked()


def other_threads_can_use_them(factory: RedLockFactory) -> None:
    """Real threads, as both have them in a pool."""

    def work() -> bool:
        with factory.create_lock(f"{NAME}:thread"):
            return True

    if KIND == "gevent":
        assert gevent.get_hub().threadpool.apply(work)
    else:
        from eventlet import tpool

        assert tpool.execute(work)


def a_child_has_its_own(factory: RedLockFactory) -> None:
    held = factory.acquire(f"{NAME}:parent", ttl=60_000, timeout=0)
    held.keep_alive()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if KIND == "eventlet":
                # A child of eventlet needs a hub of its own in any case.
                eventlet.hubs.use_hub()
            own = factory.acquire(f"{NAME}:child", ttl=1_000, timeout=PATIENCE)
            lost = own.keep_alive()
            for url in URLS:
                redis.Redis.from_url(url).delete(f"{NAME}:child")
            code = 0 if lost.wait(PATIENCE) else 2
        finally:
            os._exit(code)
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([status] * (found == pid))
        return bool(ended)

    until(has_ended)
    assert ended == [0]
    held.release()


def the_hub_ends_when_nothing_is_left(factory: RedLockFactory) -> None:
    if KIND == "gevent":
        pool = Pool(4)
        for _ in range(8):
            pool.spawn(lambda: factory.acquire(f"{NAME}:end", ttl=10_000, timeout=None).release())
        pool.join()
        assert gevent.wait(timeout=PATIENCE), "something of ours keeps the hub running"


TESTS = [
    others_run_while_one_waits,
    others_run_while_nodes_are_asked,
    they_exclude_each_other,
    a_lock_is_kept_alive_and_its_loss_is_told,
    one_that_is_killed_takes_nothing,
    locks_without_a_factory,
    other_threads_can_use_them,
    a_child_has_its_own,
    the_hub_ends_when_nothing_is_left,
]

with RedLockFactory(URLS, options={"node_timeout_ms": PATIENCE * 1000}) as the_factory:
    for test in TESTS:
        began = time.monotonic()
        test(the_factory)
        print(f"{test.__name__}: ok, {time.monotonic() - began:.2f} s", flush=True)
print("ok")
