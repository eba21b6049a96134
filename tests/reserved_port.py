"""A port on which nobody listens, and that nobody else gets meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held() -> Iterator[int]:
    """Holds a port of 127.0.0.1 until the block is left.

    It is bound and does not listen: who connects to it is refused, and a server that binds with
    SO_REUSEADDR, as all of ours do, may take it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
