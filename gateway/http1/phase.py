"""What a connection waits for.

    IDLE --bytes--> HEADER --a whole head--> BUSY --answered--> IDLE
                                               |  --with a body unread--> DISCARDING --> IDLE
                                               |  --for the last time--> LINGERING
    any --refused--> LINGERING --the client closes--> the end

A WebSocket has left them all.
"""

import enum


class Phase(enum.Enum):
    """A phase: what the next bytes are, and which limit of time holds."""

    IDLE = enum.auto()
    """A request; none of it has come."""
    HEADER = enum.auto()
    """The rest of a head."""
    BUSY = enum.auto()
    """An answer. Bytes that come are the request's body, or sent ahead."""
    DISCARDING = enum.auto()
    """The rest of a body that nobody wants, after the answer."""
    LINGERING = enum.auto()
    """The client's leave. Closed before it, a connection with bytes unread would be reset, and the
    client might not get to read the answer (RFC 9112 section 9.6).
    """
