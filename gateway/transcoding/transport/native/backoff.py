"""How long to wait before trying again: longer each time, and never all at once.

Connections wait by github.com/grpc/grpc/blob/master/doc/connection-backoff.md, calls by gRFC A6.
"""

import random
from dataclasses import dataclass
from typing import Final

_JITTER: Final = 0.2


@dataclass(slots=True, kw_only=True)
class Backoff:
    """A growing wait."""

    initial_seconds: float
    max_seconds: float
    multiplier: float
    _tries: int = 0

    def next_seconds(self) -> float:
        """Gives the next wait, a fifth more or less by chance."""
        seconds = min(self.initial_seconds * self.multiplier**self._tries, self.max_seconds)
        if seconds < self.max_seconds:
            self._tries += 1
        # Not a secret: it only spreads clients out.
        return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311

    def reset(self) -> None:
        """Begins anew after a success."""
        self._tries = 0
