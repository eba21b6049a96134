"""Reads JSON text (RFC 8259) into Python values, strictly, and keeps what a dict would lose.

An object becomes `Members`, its (name, value) pairs in order, so that whoever reads it can refuse
a repeated name and say where it stands.
"""

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 100
"""How many messages, objects and arrays may nest, as protobuf's own parsers have it."""

Json = Any
"""None, bool, int, float, str, list or Members."""


class Members(list[tuple[str, Json]]):
    """The members of an object, in order, repeated names included."""


class BadJson(ValueError):
    """The text is not JSON. The message says where."""


def parse(text: bytes) -> Json:
    """Parses UTF-8 text of one JSON value. Raises BadJson.

    Not accepted, unlike Python's own: a byte order mark, NaN and Infinity, text after the value.
    """
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise BadJson(f"nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        # An integer of more digits than Python converts.
        raise BadJson(str(error).partition(":")[0]) from None


def to_plain(value: Json, fail: Callable[[str], Exception], depth: int) -> Json:
    """Turns Members into dicts, throughout. Raises `fail(problem)` for a repeated name.

    `depth` is how deep the value stands itself.
    """
    if not isinstance(value, list):
        return value
    if depth > MAX_DEPTH:
        raise fail(f"nested deeper than {MAX_DEPTH}")
    if not isinstance(value, Members):
        return [to_plain(item, fail, depth + 1) for item in value]
    plain = {name: to_plain(member, fail, depth + 1) for name, member in value}
    if len(plain) != len(value):
        raise fail("a name is given twice")
    return plain


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=Members, parse_constant=_refuse_constant)
