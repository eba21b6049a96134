"""Makes an example of a schema: a value that keeps its rules, the same every time."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.openapi.rules import Schema

Components = Mapping[str, Schema]

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
_TEXT: Final = "example"
# What is tried for a pattern; no text is invented that might not fit.
_TEXTS: Final = (_TEXT, "EUR", "DE", "1", "1s", "+4930123456", "0123456789abcdef" * 4)
# Messages of googleapis whose rules stand in their comments only.
_KNOWN: Final[dict[str, Any]] = {
    "google.rpc.Status": {
        "code": 3,
        "message": "title: value length must be at least 1 characters",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [
                    {"field": "title", "description": "value length must be at least 1 characters"}
                ],
            }
        ],
    },
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


def example(schema: Schema, components: Components, *, is_answer: bool = False) -> Any:
    """Makes a value for a schema. None stands for a schema that no example is made of.

    `is_answer` gives also what only services set.
    """
    return _Maker(components, is_answer).make(schema, 0)


class _Maker:
    """Makes values of schemas that refer to one set of components."""

    def __init__(self, components: Components, is_answer: bool) -> None:  # noqa: FBT001  # private
        self._components = components
        self._is_answer = is_answer

    def make(self, schema: Schema, depth: int) -> Any:
        if "enum" in schema:
            # The zero value of an enum means that nothing is said.
            return schema["enum"][min(1, len(schema["enum"]) - 1)]
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return _KNOWN.get(name) or self.make(self._components[name], depth)
        if "anyOf" in schema:
            first, *_ = schema["anyOf"]
            rest = {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}
            return self.make(rest | first, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0]
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        return _SCALARS[kind](schema) if kind in _SCALARS else None

    def _object(self, schema: Schema, depth: int) -> dict[str, Any] | None:
        if depth > _MAX_DEPTH:
            return None if schema.get("required") else {}
        excluded = {pair[1] for pair in _exclusive_pairs(schema)}
        values = {
            name: self.make(inside, depth + 1)
            for name, inside in schema.get("properties", {}).items()
            if name not in excluded and (self._is_answer or self._is_asked(name, inside))
        }
        known = {name: value for name, value in values.items() if value is not None}
        return known if known.keys() >= set(schema.get("required", ())) else None

    def _is_asked(self, name: str, schema: Schema) -> bool:
        return not (schema.get("readOnly") or schema.get("deprecated") or name == _LEFT_OUT)

    def _array(self, schema: Schema, depth: int) -> list[Any] | None:
        item = self.make(schema["items"], depth + 1)
        least = schema.get("minItems", 0)
        if item is None or (least > 1 and schema.get("uniqueItems")):
            return None if least else []
        return [item] * max(1, least)


def _exclusive_pairs(schema: Schema) -> list[list[str]]:
    return [each["required"] for each in schema.get("not", {}).get("anyOf", ())]


def _string(schema: Schema) -> str | None:
    if "format" in schema:
        return _FORMATS.get(str(schema["format"]))
    if "contentEncoding" in schema:
        return "ZXhhbXBsZQ=="
    if "pattern" in schema:
        return next((text for text in _TEXTS if _fits(text, schema)), None)
    shortest = schema.get("minLength", 0)
    text: str = _TEXT * (shortest // len(_TEXT) + 1)
    return text[: schema.get("maxLength", len(text))]


def _fits(text: str, schema: Schema) -> bool:
    is_long_enough = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return is_long_enough and re.search(schema["pattern"], text) is not None


def _number(schema: Schema) -> int:
    least = schema.get("minimum", math.floor(schema.get("exclusiveMinimum", 0)) + 1)
    return int(max(least, min(1, schema.get("maximum", 1))))


_SCALARS: Final[dict[object, Callable[[Schema], Any]]] = {
    "boolean": lambda _: True,
    "integer": _number,
    "number": _number,
    "string": _string,
}
