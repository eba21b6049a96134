"""TCP ports on the loopback address: which are taken, and free ones."""

import contextlib
import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"


def free(count: int = 1, *, besides: Collection[int] = ()) -> list[int]:
    """Returns `count` different ports that nothing listens on at this moment, none of `besides`."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
            if port not in besides:
                found.append(port)
    return found


def is_taken(port: int) -> bool:
    """Tells whether a server could not bind `port` on the loopback address."""
    with socket.socket() as probe:
        # As servers do, so that connections in TIME_WAIT do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def address(port: int) -> str:
    """Returns the loopback address with `port`, as clients take it."""
    return f"{LOOPBACK}:{port}"
