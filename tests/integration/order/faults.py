"""Faults to inject into the stand-ins, by the product that an order is about.

faults.hang("Capture", product_id, when=AFTER)        the money is taken, no answer ever comes
faults.fail("Authorize", product_id, UNAVAILABLE, when=BEFORE, times=2)
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc

BEFORE, AFTER = "before", "after"


@dataclass(slots=True)
class Fault:
    """What happens to a call: it fails with `code`, or without one hangs until `ended` is set."""

    code: grpc.StatusCode | None
    times: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    """The faults to inject, by RPC, product and moment."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str, str], Fault] = {}

    def hang(self, rpc: str, product_id: str, *, when: str) -> Fault:
        """Keeps calls without an answer."""
        return self._add(rpc, product_id, when, Fault(None, 1_000_000))

    def fail(
        self, rpc: str, product_id: str, code: grpc.StatusCode, *, when: str, times: int = 1
    ) -> Fault:
        """Fails the next `times` calls."""
        return self._add(rpc, product_id, when, Fault(code, times))

    def clear(self) -> None:
        """Lets everything go its way again; calls that hang go on hanging."""
        self._faults.clear()

    async def meet(self, rpc: str, product_id: str, when: str, context: Any) -> None:
        """Has the fault happen that waits here, if there is one."""
        fault = self._faults.get((rpc, product_id, when))
        if fault is None or fault.times == 0:
            return
        fault.times -= 1
        fault.reached.set()
        if fault.code is None:
            await fault.ended.wait()
        else:
            await context.abort(fault.code, "injected")

    def _add(self, rpc: str, product_id: str, when: str, fault: Fault) -> Fault:
        self._faults[rpc, product_id, when] = fault
        return fault
