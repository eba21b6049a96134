"""TCP ports on the loopback address: which are taken, and free ones."""

import secrets
import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"

# Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 and up
# elsewhere): one of those may be gone again before a server has bound it.
_FIRST, _LAST = 20_000, 32_000


def free(count: int = 1, *, besides: Collection[int] = ()) -> list[int]:
    """Returns `count` different ports that nothing listens on at this moment, none of `besides`."""
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if port not in found and port not in besides and not is_taken(port):
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
