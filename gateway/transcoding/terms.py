"""How a method may be called, in whatever form the call comes."""

from dataclasses import dataclass
from typing import Protocol

from gateway.transcoding.http import HttpRequest


class Admission(Protocol):
    """Decides who may call a method."""

    def admit_now(self, request: HttpRequest) -> bool:
        """Admits a caller if nothing has to be waited for to tell; says whether it did.

        Raises StatusError if the caller may not make the call.
        """
        ...

    async def admit(self, request: HttpRequest) -> None:
        """Admits a caller. Raises StatusError if the caller may not make the call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a method may be called."""

    deadline_seconds: float | None = None
    """None lets it take as long as it takes."""
    admission: Admission | None = None
    """None admits everybody."""
