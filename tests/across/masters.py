"""The masters of the tests across languages, with a look at what they are asked."""

from __future__ import annotations

from typing import Any

from helpers import Nodes, wait_until
from party import Party

#: A machine with much to do may be slow to answer; that is not what is tested.
PATIENT = {"node_timeout_ms": "20000", "connect_timeout_ms": "20000"}

#: The commands by which we and others take a lock or give it back.
ORDERS = ["set", "eval", "evalsha"]


class Masters(Nodes):
    """The masters of a test."""

    def tell_to_wait(self, party: Party, resource: str, ttl: int) -> None:
        """Have a party wait for a lock; returns when it has asked a quorum of the nodes for it."""
        before = self._orders()
        party.tell("wait", resource, ttl)
        wait_until(lambda: self._asked_since(before) >= self.quorum, f"{party.name} asks for the lock")

    def _asked_since(self, before: list[int]) -> int:
        return sum(now > then for now, then in zip(self._orders(), before))

    def _orders(self) -> list[int]:
        return [orders_in(client.info("commandstats")) for client in self.clients]


def orders_in(statistics: dict[str, Any]) -> int:
    """How many commands for locks a node has been sent."""
    return sum(statistics.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ORDERS)
