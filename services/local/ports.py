"""TCP ports on the loopback address: which are taken, and free ones."""

import socket

LOOPBACK = "127.0.0.1"


def free(count: int = 1) -> list[int]:
    """Returns `count` different ports that nothing listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


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
