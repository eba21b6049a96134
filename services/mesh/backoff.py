"""How long to wait before the next try."""

import random
from collections.abc import Iterator
from datetime import timedelta


def delays(
    *, first: timedelta = timedelta(milliseconds=100), most: timedelta = timedelta(seconds=10)
) -> Iterator[float]:
    """Yields seconds without end: doubling from `first` up to `most`, each between half and whole.

    The randomness keeps those who failed together from coming back together.
    """
    ceiling = first
    while True:
        yield ceiling.total_seconds() * random.uniform(0.5, 1)  # noqa: S311 - no secret
        ceiling = min(ceiling * 2, most)
