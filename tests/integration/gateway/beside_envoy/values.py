"""Messages of any type, and the texts that stand for a single value in a path or a query.

A text comes with its traits: what of it Envoy is known to read otherwise (`deviations.py`).
"""

import base64
import math
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.integration.gateway.beside_envoy.contracts import Contract

Text = tuple[str, frozenset[str]]

_INTEGERS: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}
_FLOAT_WIDTHS: Final = {FieldDescriptor.TYPE_FLOAT: 32, FieldDescriptor.TYPE_DOUBLE: 64}
_STRINGS: Final = st.text(
    st.sampled_from("abzAZ019 -._~!$&'()*+,;=:@/?#[]%\"\\<>{}|^`\n\té漢😀"), max_size=8
)
_ENUM_NUMBERS: Final = (0, 1, -1, 77)
_SECONDS: Final = st.integers(-62_135_596_800, 253_402_300_799)
_NANOS: Final = st.sampled_from([0, 1, 999_999_999, 500_000_000, 1_000, 123_456_000])
_MASKS: Final = st.lists(st.sampled_from(["a", "b_c", "a.b", "b_c.d_e"]), max_size=3)
_WRAPPED: Final = {
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "StringValue",
    "UInt32Value",
    "UInt64Value",
}
_SAME: Final[frozenset[str]] = frozenset()


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Draws a value of a scalar or an enum."""
    if field.type in _INTEGERS:
        low, high = _INTEGERS[field.type]
        return st.sampled_from([0, 1, low, high]) | st.integers(low, high)
    if field.type in _FLOAT_WIDTHS:
        width: Any = _FLOAT_WIDTHS[field.type]
        return st.sampled_from([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan]) | st.floats(
            width=width, allow_nan=False
        )
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from(_ENUM_NUMBERS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=6)
    return _STRINGS


@st.composite
def messages(draw: st.DrawFn, contract: Contract, descriptor: Descriptor, depth: int = 3) -> Any:
    """Draws a message."""
    message = contract.new(descriptor)
    if descriptor.full_name.startswith("google.protobuf."):
        _fill_known(draw, message, depth)
        return message
    for field in descriptor.fields:
        if draw(st.booleans()):
            _fill(draw, contract, message, field, depth)
    return message


def _fill(draw: st.DrawFn, contract: Contract, message: Any, field: Any, depth: int) -> None:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = inner.fields_by_name["key"], inner.fields_by_name["value"]
        for _ in range(draw(st.integers(0, 2))):
            at, entries = draw(scalars(key)), getattr(message, field.name)
            if value.message_type is None:
                entries[at] = draw(scalars(value))
            elif depth > 1:
                entries[at].CopyFrom(draw(messages(contract, value.message_type, depth - 1)))
    elif inner is None:
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=3)))
        else:
            setattr(message, field.name, draw(scalars(field)))
    elif depth > 1:
        drawn = messages(contract, inner, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(drawn, max_size=2)))
        else:
            getattr(message, field.name).CopyFrom(draw(drawn))


def _fill_known(draw: st.DrawFn, message: Any, depth: int) -> None:
    name = message.DESCRIPTOR.name
    if name in _WRAPPED:
        message.value = draw(scalars(message.DESCRIPTOR.fields_by_name["value"]))
    elif name == "Timestamp":
        message.seconds, message.nanos = draw(_SECONDS), draw(_NANOS)
    elif name == "Duration":
        sign = draw(st.sampled_from([1, -1]))
        message.seconds, message.nanos = sign * draw(st.integers(0, 10**9)), sign * draw(_NANOS)
    elif name == "FieldMask":
        message.paths.extend(draw(_MASKS))
    elif name == "Struct":
        message.update(draw(_objects(depth)))
    elif name == "ListValue":
        message.extend(draw(st.lists(_json(depth), max_size=2)))
    elif name == "Value":
        _fill_value(message, draw(_json(depth)))


def _fill_value(message: Any, value: Any) -> None:
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, list):
        message.list_value.extend(value)
        message.list_value.SetInParent()
    else:
        message.struct_value.update(value)
        message.struct_value.SetInParent()


@st.composite
def _json(draw: st.DrawFn, depth: int) -> Any:
    kinds = ["text", "text", "number", "constant", *(["list", "object"] if depth > 1 else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "number":
        return draw(st.floats(-1e6, 1e6))
    if kind == "constant":
        return draw(st.sampled_from([None, True, False]))
    if kind == "list":
        return draw(st.lists(_json(depth - 1), max_size=2))
    return draw(_objects(depth) if kind == "object" else _STRINGS)


@st.composite
def _objects(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    return draw(st.dictionaries(_STRINGS, _json(depth - 1), max_size=2))


@st.composite
def texts(draw: st.DrawFn, field: FieldDescriptor, value: Any) -> Text:
    """Draws one of the texts of a scalar or an enum."""
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        if named is None:
            return str(value), frozenset({"unknown enum number"})
        return draw(st.sampled_from([named.name, str(value)])), _SAME
    if field.type in _FLOAT_WIDTHS:
        return _float_text(value), _SAME
    if isinstance(value, bytes):
        encode = draw(st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
        text = encode(value).decode()
        return draw(st.sampled_from([text, text.rstrip("=")])), _SAME
    return str(value).lower() if isinstance(value, bool) else str(value), _SAME


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


@st.composite
def known_texts(draw: st.DrawFn, message: Any) -> Text | None:
    """Draws a text of a well-known type; None where it has none that all can read."""
    name = message.DESCRIPTOR.name
    if name in _WRAPPED:
        return draw(texts(message.DESCRIPTOR.fields_by_name["value"], message.value))
    if name in ("Duration", "FieldMask", "Timestamp"):
        return message.ToJsonString(), _SAME
    return None
