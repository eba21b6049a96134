"""A port on which nobody listens, and that nobody else gets meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.local import ports


@contextmanager
def held() -> Iterator[int]:
    """Holds a port of 127.0.0.1 until the block is left.

    Who connects to it is refused; a server may take it.
    """
    (port,) = ports.free()
    with ports.held([port]):
        yield port
