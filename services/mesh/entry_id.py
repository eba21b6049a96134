"""The ids of a Redis stream's entries: "milliseconds-number", growing from one to the next."""

from typing import NamedTuple, Self


class EntryId(NamedTuple):
    """An entry's id; `milliseconds` since 1970 by the clock of Redis. `FIRST` is before any."""

    milliseconds: int
    number: int

    @classmethod
    def parse(cls, text: bytes | str) -> Self:
        """Returns the id that Redis writes like this. Raises ValueError."""
        decoded = text.decode() if isinstance(text, bytes) else text
        milliseconds, _, number = decoded.partition("-")
        return cls(int(milliseconds), int(number))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}"


FIRST = EntryId(0, 0)
