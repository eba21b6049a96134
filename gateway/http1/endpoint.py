"""What all connections of a server share: the handler, the limits, the clock, and one another."""

import asyncio
import contextlib
import email.utils
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from gateway.http1 import answer
from gateway.http1.limits import Limits
from gateway.transcoding.http import Handler


class Peer(Protocol):
    """A connection, whatever it speaks."""

    def check(self, now: float) -> None:
        """Ends what has taken too long."""

    def drain(self) -> None:
        """Ends the connection when nothing is under way on it, soon."""

    def abort(self) -> None:
        """Ends the connection at once."""


class Clock:
    """The time, as of the last sweep: nothing that a request needs has to be more exact.

    `now` is `time.monotonic()`; `date` is the line of a Date field (RFC 9110 section 6.6.1), and
    after it the lines that every answer has, `fixed`.
    """

    __slots__ = ("_fixed", "_lines", "_second", "date", "now")

    def __init__(self, fixed: bytes = b"") -> None:
        self._fixed = fixed
        self._lines: dict[int, bytes] = {}
        self._second = 0
        self.now = 0.0
        self.date = b""
        self.tick()

    def tick(self) -> None:
        """Reads the time."""
        self.now = time.monotonic()
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = email.utils.formatdate(second, usegmt=True).encode()
            self.date = b"date: %b\r\n%b" % (date, self._fixed)
            self._lines.clear()

    def first_lines(self, status: int) -> bytes:
        """Gives the status line and the date of an answer. Raises NotSendable."""
        lines = self._lines.get(status)
        if lines is None:
            lines = self._lines[status] = answer.status_line(status) + self.date
        return lines


class Endpoint:
    """The shared part of a server.

    `peers` are its connections, each with whom it is counted for; `refused` are those that came on
    top, while they are told.
    """

    __slots__ = (
        "_client_of",
        "_clients",
        "_empty",
        "clock",
        "handler",
        "is_draining",
        "limits",
        "peers",
        "refused",
    )

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        fixed: bytes = b"",
        client_of: Callable[[str], str] = str,
    ) -> None:
        """`fixed` are whole lines that each answer's header has.

        `client_of` names the client at an address; what it names by nothing is not counted.
        """
        self.handler = handler
        self.limits = limits
        self.clock = Clock(fixed)
        self._client_of = client_of
        self._clients: Counter[str] = Counter()
        self.peers: dict[Peer, str] = {}
        self.refused: set[Peer] = set()
        self.is_draining = False
        self._empty: asyncio.Event | None = None

    def enter(self, peer: Peer, address: str) -> bool:
        """Says whether a new connection is taken; if not, it is to say so and to end."""
        client = self._client_of(address)
        limits = self.limits
        if (
            len(self.peers) >= limits.connections
            or self.is_draining
            or (client and self._clients[client] >= limits.connections_per_client)
        ):
            self.refused.add(peer)
            return False
        self.peers[peer] = client
        if client:
            self._clients[client] += 1
        return True

    def replace(self, peer: Peer, successor: Peer) -> None:
        """Takes note that a connection speaks another protocol from now on."""
        client = self.peers.pop(peer, None)
        if client is not None:
            self.peers[successor] = client

    def leave(self, peer: Peer) -> None:
        """Takes note that a connection has ended."""
        client = self.peers.pop(peer, "")
        if client:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
        self.refused.discard(peer)
        if self._empty is not None and not self.peers:
            self._empty.set()

    def sweep(self) -> None:
        """Reads the time, and has each connection look at it."""
        self.clock.tick()
        for peer in (*self.peers, *self.refused):
            peer.check(self.clock.now)

    async def drain(self, grace_seconds: float) -> None:
        """Ends all connections: idle ones now, others when they have answered, all in the end."""
        self.is_draining = True
        for peer in tuple(self.peers):
            peer.drain()
        if self.peers:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_seconds)
        for peer in (*self.peers, *self.refused):
            peer.abort()
