#!/usr/bin/env python3
"""A party of the tests across languages, in Python: takes a lock and gives it back as standard input says."""

from __future__ import annotations

import os
import sys

from redlock import ContendedError, HeldLock, RedLockError, RedLockFactory


class Worker:
    """One party, that holds at most one lock."""

    def __init__(self, factory: RedLockFactory) -> None:
        self.factory = factory
        self.lock: HeldLock | None = None

    def obey(self, line: str) -> str:
        """Do what a line says: try RESOURCE TTL | wait RESOURCE TTL | release. Returns the answer."""
        order, *rest = line.split()
        try:
            if order == "release":
                return self.release()
            return self.acquire({"try": 0, "wait": None}[order], *rest)
        except ContendedError:
            return "contended"
        except RedLockError as error:
            return f"error {error}"

    def acquire(self, timeout: float | None, resource: str, ttl: str) -> str:
        self.lock = self.factory.acquire(resource, ttl=int(ttl), timeout=timeout)
        return f"ok {self.lock.fence}"

    def release(self) -> str:
        assert self.lock
        self.lock.release()
        return "ok"


def main() -> None:
    """Read lines to the end. The settings are arguments: NAME=VALUE..."""
    urls = os.environ["REDLOCK_TEST_URLS"].split(",")
    settings = dict(argument.split("=") for argument in sys.argv[1:])
    with RedLockFactory(urls, options=settings) as factory:
        worker = Worker(factory)
        for line in sys.stdin:
            print(worker.obey(line), flush=True)


main()
