"""Says which fields a caller must give.

A field is required by `buf.validate`, by `google.api.field_behavior`, or because unset it is its
zero value, which its rules refuse: no presence, and for example `min_len: 1`.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway.openapi import rules

# An empty text is none of these; it is a relative reference, though.
_NEVER_EMPTY: Final = frozenset(
    {"address", "email", "hostname", "ip", "ipv4", "ipv6", "uri", "uuid"}
)


def is_required(field: FieldDescriptor) -> bool:
    """Says whether a request without the field is refused."""
    told = rules.rules_of(field)
    if told.required or rules.is_said_required(field):
        return True
    if field.has_presence or told.ignore != validate_pb2.IGNORE_UNSPECIFIED:
        return False
    kind = told.WhichOneof("type")
    if kind is None:
        return False
    own = getattr(told, kind)
    return _REFUSALS.get(kind, _number_refuses_zero)(own)


def _string_refuses_empty(own: Any) -> bool:
    if own.len or own.min_len or own.min_bytes or own.prefix or own.suffix or own.contains:
        return True
    known = own.WhichOneof("well_known")
    if known in _NEVER_EMPTY and getattr(own, known):
        return True
    return _is_excluded(own, "") or (own.pattern != "" and not _matches_empty(own.pattern))


def _matches_empty(pattern: str) -> bool:
    try:
        return re.search(pattern, "") is not None
    except re.error:
        # RE2 has patterns that Python has not.
        return True


def _number_refuses_zero(own: Any) -> bool:
    if _is_excluded(own, 0):
        return True
    above = (own.HasField("gt") and own.gt >= 0) or (own.HasField("gte") and own.gte > 0)
    below = (own.HasField("lt") and own.lt <= 0) or (own.HasField("lte") and own.lte < 0)
    # Bounds the wrong way round mean outside of them (buf/validate/validate.proto).
    return bool((above and below) if rules.is_inverted(own) else (above or below))


def _is_excluded(own: Any, zero: str | int) -> bool:
    allowed = [own.const] if own.HasField("const") else list(getattr(own, "in"))
    return (bool(allowed) and zero not in allowed) or zero in own.not_in


_REFUSALS: Final[dict[str, Callable[[Any], bool]]] = {
    "any": lambda _: False,
    "bool": lambda own: bool(own.const),
    "bytes": lambda own: bool(own.len or own.min_len or own.prefix or own.suffix or own.contains),
    "duration": lambda _: False,
    "enum": lambda own: _is_excluded(own, 0),
    "field_mask": lambda _: False,
    "map": lambda own: bool(own.min_pairs),
    "repeated": lambda own: bool(own.min_items),
    "string": _string_refuses_empty,
    "timestamp": lambda _: False,
}
