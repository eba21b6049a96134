"""TCP ports on the loopback address: which are taken, and free ones."""

import os
import secrets
import socket
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager

LOOPBACK = "127.0.0.1"

# Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 and up
# elsewhere): one of those may be gone again before a server has bound it.
_FIRST, _LAST = 20_000, 32_000

# More than one mesh has; so that a process that asks again and again does not run out of files.
_MOST_GIVEN = 100
_given: deque[int] = deque()


def free(count: int = 1, *, besides: Collection[int] = ()) -> list[int]:
    """Returns `count` different ports that nothing listens on at this moment, none of `besides`.

    Nobody else who asks is given one of them, in this process or another, while this one lives:
    a server may take some time until it has bound its port, and may leave it for a while.
    """
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if port not in besides and _give(port) and not is_taken(port):
            found.append(port)
    return found


def _give(port: int) -> bool:
    """Takes the UDP port of the same number, which is nobody's, as a sign; tells whether it could.

    The system takes it back when the process ends, however it does. Of many, the latest are kept.
    """
    sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sign.bind((LOOPBACK, port))
    except OSError:
        sign.close()
        return False
    _given.append(sign.detach())
    while len(_given) > _MOST_GIVEN:
        os.close(_given.popleft())
    return True


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


@contextmanager
def held(ports: Iterable[int]) -> Iterator[None]:
    """Keeps these ports for servers: no outgoing connection is given one while the block lasts.

    The system chooses a connection's own port among the high ones, where services have theirs too
    (ip(7), ip_local_port_range). What is bound and does not listen keeps a port from that; a server
    that binds with SO_REUSEADDR, as all of ours do, may take it. Raises OSError if one is taken.
    """
    with ExitStack() as stack:
        for port in ports:
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, port))
        yield


def address(port: int) -> str:
    """Returns the loopback address with `port`, as clients take it."""
    return f"{LOOPBACK}:{port}"
