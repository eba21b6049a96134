"""Spreads calls over all addresses of a service, in turns (gRPC's round_robin).

    resolve --addresses--> one subchannel each --READY ones--> pick
       ^------------------ lost or failed ----'

As with grpc itself, names are not asked again while all is well: servers that come and go end their
connections now and then (max_connection_age).
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.backoff import Backoff
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.subchannel import State, Subchannel, Target
from gateway.transcoding.transport.native.tasks import cancel, report_unforeseen

# Names are not asked for more often than this, whatever happens to the connections.
_RESOLUTION_SECONDS: Final = 2.0
_RESOLVE_SECONDS: Final = 5.0
_MAX_BACKOFF_SECONDS: Final = 10.0
_MULTIPLIER: Final = 1.6
# What calls to an address may still take that the name no longer has.
_GRACE_SECONDS: Final = 30.0


def unreachable() -> StatusError:
    """Makes the error of a call to a service of which no address answers."""
    return failure(code_pb2.UNAVAILABLE, "the service cannot be reached")


Resolve = Callable[[Target], Awaitable[list[str]]]
"""Gives the addresses of a target. Raises OSError or UnicodeError."""


async def resolve(target: Target) -> list[str]:
    """Asks the system's resolver. Raises OSError, or UnicodeError for what cannot be a name."""
    found = await asyncio.get_running_loop().getaddrinfo(
        target.name, target.port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


class Balancer:
    """The connections to one target. It begins to connect when it is first asked."""

    def __init__(self, target: Target, resolve: Resolve) -> None:
        self._target = target
        self._resolve = resolve
        self._subchannels: dict[str, Subchannel] = {}
        self._ready: tuple[Connection, ...] = ()
        # Clients that start together shall not all begin with the same address.
        self._turn = random.randrange(1 << 16)  # noqa: S311  # no secret
        self._has_failed = False
        self._settled = asyncio.Event()
        self._has_ready = asyncio.Event()
        self._stale = asyncio.Event()
        self._resolving: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def pick(self) -> Connection | None:
        """Gives the connection whose turn it is, None while there is none yet.

        Raises StatusError UNAVAILABLE if no address can be reached.
        """
        ready = self._ready
        if ready:
            self._turn += 1
            return ready[self._turn % len(ready)]
        self._resolve_if_idle()
        if self._has_failed:
            raise unreachable()
        return None

    def _resolve_if_idle(self) -> None:
        if self._resolving is None:
            self._resolving = asyncio.create_task(self._keep_resolved(), name="name resolution")

    async def settled(self) -> None:
        """Waits until `pick` has an answer."""
        await self._settled.wait()

    async def ready(self) -> None:
        """Waits until a connection is there, however often it fails before."""
        self._resolve_if_idle()
        await self._has_ready.wait()

    async def close(self, grace_seconds: float) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        if self._resolving is not None:
            await cancel(self._resolving)
        self._ready, self._has_failed = (), True
        self._settled.set()
        # Who waits for a connection is told by `pick` that there will be none.
        self._has_ready.set()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(
            *self._leaving,
            *(each.close(grace_seconds) for each in self._subchannels.values()),
            return_exceptions=True,
        )

    async def _keep_resolved(self) -> None:
        backoff = Backoff(
            initial_seconds=_RESOLUTION_SECONDS,
            max_seconds=_MAX_BACKOFF_SECONDS,
            multiplier=_MULTIPLIER,
        )
        while True:
            self._stale.clear()
            if addresses := await self._ask():
                backoff.reset()
                self._use(addresses)
                await asyncio.sleep(_RESOLUTION_SECONDS)
                await self._stale.wait()
            else:
                # What was known may still be right; without anything there is nobody to call.
                self._update()
                await asyncio.sleep(backoff.next_seconds())

    async def _ask(self) -> list[str]:
        """Gives the addresses that the name has now, none if that cannot be told."""
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                return await self._resolve(self._target)
        except Exception as error:  # noqa: BLE001  # no failure may be the last question
            report_unforeseen(error, f"resolving {self._target.name}")
            return []

    def _use(self, addresses: list[str]) -> None:
        for address in self._subchannels.keys() - set(addresses):
            task = asyncio.create_task(
                self._subchannels.pop(address).close(_GRACE_SECONDS), name="leaving"
            )
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        for address in addresses:
            if address not in self._subchannels:
                self._subchannels[address] = Subchannel(address, self._target, self._on_change)
        self._update()

    def _on_change(self) -> None:
        if any(each.state is not State.READY for each in self._subchannels.values()):
            self._stale.set()
        self._update()

    def _update(self) -> None:
        subchannels = self._subchannels.values()
        self._ready = tuple(each.connection for each in subchannels if each.connection is not None)
        self._has_failed = all(each.state is State.TRANSIENT_FAILURE for each in subchannels)
        if self._ready:
            self._has_ready.set()
        else:
            self._has_ready.clear()
        if self._ready or self._has_failed:
            self._settled.set()
        else:
            self._settled.clear()
