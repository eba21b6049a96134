"""One kind of derived file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

HEADER = "Derived from the contracts by `souk gen`; do not edit."
"""What stands in the first comment of each derived file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deriver:
    """One kind of derived file: the globs below the root that are its own, and what they hold."""

    owns: tuple[str, ...]
    files: Callable[[], Mapping[str, str]]
