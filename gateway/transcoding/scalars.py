"""Reads scalars and enums from JSON values and from text, as the proto3 JSON mapping says.

Stricter than many readers where the mapping is: a boolean is no number, `01` and `+1` are no
numbers, and no value is cut to fit. Text (a path segment, a query value, a map key) reads like
the quoted form, except that booleans come unquoted too.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

Scalar = str | bytes | bool | int | float

NULL_VALUE: Final = "google.protobuf.NullValue"
"""The enum whose one value is JSON's null."""


class BadValue(ValueError):
    """The value is none of the field's type. The message says what was expected."""


class UnknownName(BadValue):
    """The enum has no value of this name; a reader may ignore it like an unknown field."""


def from_json(field: FieldDescriptor, value: object) -> Scalar:
    """Reads a parsed JSON value. Null is one of NullValue only. Raises BadValue."""
    return _JSON[field.type](field, value)


def from_text(field: FieldDescriptor, text: str) -> Scalar:
    """Reads text. Raises BadValue."""
    return _TEXT[field.type](field, text)


def check_text(text: str) -> str:
    """Refuses a string that has no UTF-8 form, being half a surrogate pair. Raises BadValue."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue("a lone surrogate is no character") from None
    return text


# RFC 8259 section 6, in parts: an integer, and any number. Digits are bounded, since Python takes
# quadratic time to read them and no field has more.
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]{0,1000})(?:\.[0-9]{1,1000})?(?:[eE][+-]?[0-9]{1,6})?"
)
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_DIGITS: Final = 20
# Above this a float literal has lost digits before it is seen here.
_EXACT_FLOAT: Final = 2**53


def _read_string(_: FieldDescriptor, value: object) -> str:
    if not isinstance(value, str):
        raise BadValue("expected a string")
    return check_text(value)


def _read_bytes(_: FieldDescriptor, value: object) -> bytes:
    if not isinstance(value, str):
        raise BadValue("expected a base64 string")
    # Both alphabets of RFC 4648, padded or not.
    text = value.replace("-", "+").replace("_", "/")
    if not text.endswith("="):
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadValue("expected base64") from None


def _read_bool(_: FieldDescriptor, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValue("expected true or false")
    return value


def _read_enum(field: FieldDescriptor, value: object) -> int:
    enum: Any = field.enum_type
    if isinstance(value, str):
        named = enum.values_by_name.get(value)
        if named is None:
            raise UnknownName(f"expected a value of {enum.full_name}")
        return int(named.number)
    if value is None and enum.full_name == NULL_VALUE:
        return 0
    return _integer(-(2**31), 2**31, _whole(value))


def _reader_of_integers(low: int, high: int) -> "Callable[[FieldDescriptor, object], int]":
    def read(_: FieldDescriptor, value: object) -> int:
        return _integer(low, high, _whole(value))

    return read


def _whole(value: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if isinstance(value, str):
        if _INTEGER.fullmatch(value):
            return int(value)
        if _NUMBER.fullmatch(value):
            number = Decimal(value)
            # The order of magnitude first: 1e999999 would be written out in full.
            if number.adjusted() < _MAX_DIGITS and number == number.to_integral_value():
                return int(number)
    raise BadValue("expected an integer")


def _integer(low: int, high: int, value: int) -> int:
    if not low <= value < high:
        raise BadValue(f"out of range: expected {low} to {high - 1}")
    return value


def _read_double(_: FieldDescriptor, value: object) -> float:
    if isinstance(value, str):
        if value in _NON_FINITE:
            return _NON_FINITE[value]
        if not _NUMBER.fullmatch(value):
            raise BadValue("expected a number")
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValue("out of range of a double")
    return number


def _read_float(field: FieldDescriptor, value: object) -> float:
    number = _read_double(field, value)
    try:
        # Rounds as IEEE 754 does, so that the shortest text of the largest float is in range.
        rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        raise BadValue("out of range of a float") from None
    return rounded


_INT32 = _reader_of_integers(-(2**31), 2**31)
_INT64 = _reader_of_integers(-(2**63), 2**63)
_UINT32 = _reader_of_integers(0, 2**32)
_UINT64 = _reader_of_integers(0, 2**64)

_JSON: Final[dict[int, Callable[[FieldDescriptor, Any], Scalar]]] = {
    FieldDescriptor.TYPE_BOOL: _read_bool,
    FieldDescriptor.TYPE_BYTES: _read_bytes,
    FieldDescriptor.TYPE_DOUBLE: _read_double,
    FieldDescriptor.TYPE_ENUM: _read_enum,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
    FieldDescriptor.TYPE_FLOAT: _read_float,
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_STRING: _read_string,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_UINT64: _UINT64,
}


def _bool_of_text(_: FieldDescriptor, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadValue("expected true or false")
    return text == "true"


def _enum_of_text(field: FieldDescriptor, text: str) -> int:
    if _INTEGER.fullmatch(text):
        return _integer(-(2**31), 2**31, int(text))
    return _read_enum(field, text)


_TEXT: Final[dict[int, Callable[[FieldDescriptor, Any], Scalar]]] = {
    **_JSON,
    # Text that comes by HTTP was decoded as UTF-8 or Latin-1, and has no half surrogate pairs.
    FieldDescriptor.TYPE_STRING: lambda _, text: text,
    FieldDescriptor.TYPE_BOOL: _bool_of_text,
    FieldDescriptor.TYPE_ENUM: _enum_of_text,
}
