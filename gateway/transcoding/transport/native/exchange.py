"""What a stream of a connection carries: one try of a call, unary or streaming.

Exchange      what the streams of a connection feed
Carrier       what an exchange may ask of them
Unprocessed   no server has seen it, so that it may be tried elsewhere
"""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native.answer import Head

WINDOW_BYTES: Final = 65_535
"""What a peer may send on one stream before we say more (docs/decisions/0076)."""


class Unprocessed(Exception):
    """No server has begun to work on the call, so it may be repeated whatever it does.

    `was_sent` says that it left us, and that a server refused it.
    """

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__()
        self.was_sent = was_sent


class Exchange(Protocol):
    """One try of a call, fed by the connection that it is on."""

    path: str
    block: bytes
    """The timeout and the metadata, as HPACK."""
    fields: int
    """How many they are."""
    carrier: "Carrier | None"
    """None before it begins and when it is over."""
    stream_id: int

    @property
    def body(self) -> bytes | None:
        """The one message with its prefix; None if messages are sent by and by."""
        ...

    def on_open(self) -> None:
        """Takes that an exchange without a body has its stream."""
        ...

    def on_head(self, head: Head, *, ends: bool) -> None:
        """Takes a header block. Raises StatusError if the call failed by it."""
        ...

    def on_data(self, data: bytes, size: int, *, ends: bool) -> int:
        """Takes a piece of what is answered; with its padding it took `size` of the window.

        Returns by how much to open the window. Raises StatusError if the call failed by it, and
        ConnectionFault if the peer sent more than it may.
        """
        ...

    def fail(self, error: StatusError | Unprocessed) -> None:
        """Ends the exchange, unless it has ended."""
        ...


class Carrier(Protocol):
    """The streams of the connection an exchange is on."""

    def cancel(self, exchange: Exchange) -> None:
        """Ends the exchange's stream, and tells the peer."""
        ...

    def send(
        self, exchange: Exchange, data: bytes, on_sent: Callable[[], None], *, ends: bool
    ) -> None:
        """Sends what comes next as the windows let it, and calls `on_sent` when all has left.

        Not to be called again before. `ends` says that nothing follows.
        """
        ...

    def widen(self, exchange: Exchange, increment: int) -> None:
        """Lets the peer send so many more bytes."""
        ...
