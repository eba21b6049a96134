"""How a method may be called, in whatever form the call comes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.transcoding.errors import Headers

Admit = Callable[[Headers], Awaitable[None]]
"""Raises StatusError if the caller may not make the call."""

AdmitNow = Callable[[Headers], bool]
"""Does the same without waiting, if it can; says whether it could."""


def _must_ask(_: Headers) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a method may be called."""

    deadline_seconds: float | None = None
    """None lets it take as long as it takes."""
    admit: Admit | None = None
    """None admits everybody."""
    admit_now: AdmitNow = _must_ask
    """For `admit`, where all that it takes is known already."""
