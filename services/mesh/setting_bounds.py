"""What a number or a duration among the settings may be.

    poll: timedelta = timedelta(seconds=1)                       1 ms or more
    max_concurrency: int = 1000                                  1 or more
    rate_factor: float = 1                                       above 0
    drain_wait: ZeroOrMore[timedelta] = timedelta(seconds=1)     nothing, too
    trace_ratio: Share = 0.1                                     0 to 1

Unless a field says otherwise, zero is refused: a pause of nothing is a busy loop, a limit of
nothing serves nobody, a life of nothing has ended before it began.
"""

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, TypeVar

_T = TypeVar("_T")

_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`allows_zero`: whether there may be nothing of it. `most`: what it is at most."""

    allows_zero: bool = False
    most: float = math.inf

    def check(self, value: object) -> None:
        """Raise ValueError if a number or a duration lies outside; nothing else has bounds."""
        if isinstance(value, timedelta):
            self._check_span(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._check_number(value)

    def _check_span(self, value: timedelta) -> None:
        if value < _MOMENT and not (self.allows_zero and not value):
            raise ValueError(
                "must be 0s or at least 1ms" if self.allows_zero else "must be at least 1ms"
            )

    def _check_number(self, value: float) -> None:
        is_enough = value >= 0 if self.allows_zero else value > 0
        if not (is_enough and value <= self.most and math.isfinite(value)):
            least = "0 or more" if self.allows_zero else "above 0"
            most = "" if math.isinf(self.most) else f", and at most {self.most:g}"
            raise ValueError(f"must be {least}{most}")


ZeroOrMore = Annotated[_T, Bounds(allows_zero=True)]
"""A number or a duration, or nothing of it."""

Share = Annotated[float, Bounds(allows_zero=True, most=1)]
"""A part of a whole."""


def of(cls: type) -> Mapping[str, Bounds]:
    """Return the bounds of each field of a dataclass."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: _stated(hint) for name, hint in hints.items()}


def _stated(hint: object) -> Bounds:
    stated = getattr(hint, "__metadata__", ())
    return next((each for each in stated if isinstance(each, Bounds)), Bounds())
