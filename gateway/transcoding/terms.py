"""How a method may be called, in whatever form the call comes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.transcoding.errors import Headers

Admit = Callable[[Headers], Awaitable[None]]
"""Raises StatusError if the caller may not make the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a method may be called."""

    deadline_seconds: float | None = None
    """None lets it take as long as it takes."""
    admit: Admit | None = None
    """None admits everybody."""
