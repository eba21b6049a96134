"""A lock that one process at a time holds, by a file, and loses however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Busy(Exception):
    """Somebody else holds the lock; the message says what to do."""


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock for the length of the block; its folder is made if it is missing.

    `what` is being done by whoever holds it. Raises Busy if that is another.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{what} already: wait until that is done") from None
        yield
    finally:
        os.close(descriptor)
