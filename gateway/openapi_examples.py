"""Makes an example of a schema: a value that keeps its rules, the same every time."""

import math
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.openapi_rules import Schema

_FORMATS: Final = {
    "date-time": "2026-01-31T12:00:00Z",
    "email": "ada@example.com",
    "int64": "1",
    "uint64": "1",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "01936f2e-5d4a-7c3b-9a1e-2b7f3c4d5e6f",
}
_DURATION: Final = "1s"
_TEXT: Final = "example"
# What is tried for a pattern; no text is invented that might not fit.
_TEXTS: Final = (_TEXT, "EUR", "DE", "1", "+4930123456")
# Messages of googleapis whose rules stand in their comments only.
_KNOWN: Final[dict[str, Any]] = {
    "google.type.Money": {"currencyCode": "EUR", "units": "12", "nanos": 500_000_000},
    "google.type.PostalAddress": {
        "regionCode": "DE",
        "postalCode": "10115",
        "locality": "Berlin",
        "addressLines": ["Invalidenstr. 1"],
        "recipients": ["Ada Example"],
    },
}
# A version that is made up is never the current one (AIP-154).
_LEFT_OUT: Final = "etag"
_MAX_DEPTH: Final = 4


def example(schema: Schema, components: dict[str, Schema], depth: int = 0) -> Any:
    """Makes a value for a schema. None stands for a schema that no example is made of."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _KNOWN.get(name) or example(components[name], components, depth)
    if "enum" in schema:
        # The zero value of an enum means that nothing is said.
        return schema["enum"][min(1, len(schema["enum"]) - 1)]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    return _MAKERS[kind](schema, components, depth) if kind in _MAKERS else None


def _object(schema: Schema, components: dict[str, Schema], depth: int) -> dict[str, Any] | None:
    if depth > _MAX_DEPTH:
        return None if schema.get("required") else {}
    values = {
        name: example(inside, components, depth + 1)
        for name, inside in schema.get("properties", {}).items()
        if not inside.get("readOnly") and name != _LEFT_OUT
    }
    known = {name: value for name, value in values.items() if value is not None}
    return known if known.keys() >= set(schema.get("required", ())) else None


def _array(schema: Schema, components: dict[str, Schema], depth: int) -> list[Any]:
    item = example(schema["items"], components, depth + 1)
    return [] if item is None else [item] * max(1, schema.get("minItems", 1))


def _string(schema: Schema) -> str | None:
    if "format" in schema:
        return _FORMATS.get(str(schema["format"]))
    if "contentEncoding" in schema:
        return "ZXhhbXBsZQ=="
    if schema.get("pattern", "").endswith("s$"):
        return _DURATION
    if "pattern" in schema:
        return next((text for text in _TEXTS if _fits(text, schema)), None)
    shortest = schema.get("minLength", 0)
    text: str = _TEXT * (shortest // len(_TEXT) + 1)
    return text[: schema.get("maxLength", len(text))]


def _fits(text: str, schema: Schema) -> bool:
    is_long_enough = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    try:
        return is_long_enough and re.search(schema["pattern"], text) is not None
    except re.error:
        # RE2 has patterns that Python has not.
        return False


def _number(schema: Schema) -> int:
    least = schema.get("minimum", math.floor(schema.get("exclusiveMinimum", 0)) + 1)
    return int(max(least, min(1, schema.get("maximum", 1))))


_MAKERS: Final[dict[object, Callable[[Schema, dict[str, Schema], int], Any]]] = {
    "array": _array,
    "boolean": lambda *_: True,
    "integer": lambda schema, *_: _number(schema),
    "number": lambda schema, *_: _number(schema),
    "object": _object,
    "string": lambda schema, *_: _string(schema),
}
