"""Watches whether a client reads what it is sent."""

from gateway.http1.limits import Limits


class WriteWatch:
    """Watches one connection.

    A client that has bytes to read must take some of them in every `write_seconds`, at the least
    rate of the limits; one that has none is not in debt. What counts is what left the process.
    """

    __slots__ = ("_since", "_taken_bytes")

    def __init__(self) -> None:
        self._since = 0.0
        self._taken_bytes = 0

    def is_stalled(
        self, *, written_bytes: int, unsent_bytes: int, limits: Limits, now: float
    ) -> bool:
        """Says whether the client has taken too little, for too long; asked at every sweep.

        `written_bytes` counts what was ever written, `unsent_bytes` what of it is still here.
        """
        taken = written_bytes - unsent_bytes
        if unsent_bytes == 0 or self._since == 0.0:
            # The clock starts with the first sweep that finds something unsent.
            self._since, self._taken_bytes = (now if unsent_bytes else 0.0), taken
            return False
        seconds = now - self._since
        if seconds <= limits.write_seconds:
            return False
        is_stalled = taken - self._taken_bytes < limits.write_bytes_per_second * seconds
        self._since, self._taken_bytes = now, taken
        return is_stalled
