"""Turns path templates of `google.api.http` into Kong's regular expressions.

    /v1/orders/{order_id}:cancel    /v1/orders/[^/]+:cancel$

Kong takes the route of the highest priority; the gateway's router takes a verb before none, and at
each segment a literal before `*` before `**`. The rank of a pattern says the same as a number.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ONE: Final = "*"
_REST: Final = "**"
# RFC 3986 section 2.3. Any other character could also come encoded, which the expression would
# not match.
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]+")
# {name=shelves/*} is shelves/*, {name} is *.
_VARIABLE: Final = re.compile(r"\{[^{}=]+(?:=([^{}]+))?\}")

Key = tuple[bool, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A path template as Kong matches it: to its end, from the start."""

    expression: str
    literal: str | None
    """The path, where it matches one alone."""
    key: Key
    """The larger one is the more specific."""


def pattern(template: str) -> Pattern:
    """Returns the pattern of a template.

    Raises ValueError for a literal with characters that have more than one form in a URL.
    """
    path = _VARIABLE.sub(lambda found: found.group(1) or _ONE, template)
    head, _, last = path.rpartition("/")
    last, colon, verb = last.partition(":")
    segments = f"{head}/{last}".removeprefix("/").split("/")
    for literal in (*segments, verb):
        if literal not in ("", _ONE, _REST) and not _UNRESERVED.fullmatch(literal):
            raise ValueError(f"{template}: {literal!r} can be written in several ways in a URL")
    expression = "".join(map(_segment, segments)) + (f":{re.escape(verb)}" if colon else "")
    return Pattern(
        expression=f"{expression}$",
        literal=None if {_ONE, _REST} & set(segments) else path,
        # An end comes before `**`, which may match nothing.
        key=(bool(colon), (*map(_specificity, segments), _specificity("end"))),
    )


def ranks(patterns: Iterable[Pattern]) -> dict[Key, int]:
    """Returns a rank for each key, higher for the more specific.

    Patterns of one rank have literals in the same places, so no path matches two of them.
    """
    return {key: rank for rank, key in enumerate(sorted({each.key for each in patterns}), 1)}


def _segment(segment: str) -> str:
    if segment == _REST:
        return "(?:/.*)?"
    return f"/{'[^/]+' if segment == _ONE else re.escape(segment)}"


def _specificity(segment: str) -> int:
    return {_REST: 0, _ONE: 1}.get(segment, 2)
