"""What the OpenAPI document says of messages, fields and their rules."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.unit.gateway.documents import described, general, shop


def properties(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Gives the properties of a schema by name."""
    found: dict[str, Any] = document["components"]["schemas"][name]["properties"]
    return found


def test_rules_of_the_shop_are_schemas():
    """`buf.validate` rules and field behaviour are said in JSON Schema."""
    body = shop()["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"]
    items = body["schema"]["properties"]["items"]
    assert ("array", 1, 100) == (items["type"], items["minItems"], items["maxItems"])
    assert {"items", "paymentToken"} == set(body["schema"]["required"])
    [order_id, *_] = shop()["paths"]["/v1/orders/{orderId}"]["get"]["parameters"]
    assert (True, "uuid") == (order_id["required"], order_id["schema"]["format"])
    [size, *_] = shop()["paths"]["/v1/orders"]["get"]["parameters"]
    assert ("integer", 0, 100) == tuple(
        size["schema"][keyword] for keyword in ("type", "minimum", "maximum")
    )


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("length", {"type": "string", "minLength": 3, "maxLength": 3}),
        ("prefix", {"type": "string", "pattern": r"^a\.b-c"}),
        ("contains", {"type": "string", "pattern": r"x\/y"}),
        ("suffix", {"type": "string", "pattern": "z$"}),
        ("chosen", {"type": "string", "enum": ["a", "b"]}),
        ("refused", {"type": "string", "not": {"enum": ["a"]}}),
        ("email", {"type": "string", "format": "email"}),
        (
            "code",
            {
                "type": "string",
                "pattern": "^$|^[A-Z]+$",
                "anyOf": [{"minLength": 2}, {"maxLength": 0}],
            },
        ),
        ("unruled", {"type": "string"}),
        (
            "between",
            {
                "type": "integer",
                "format": "int32",
                "exclusiveMinimum": 1,
                "maximum": 9,
                "not": {"enum": [5]},
            },
        ),
        ("ratio", {"type": "number", "format": "double", "minimum": 0, "maximum": 1}),
        ("agreed", {"type": "boolean", "enum": [True]}),
        (
            "size",
            {"$ref": "#/components/schemas/Size", "enum": ["SIZE_SMALL", "SIZE_LARGE"]},
        ),
        (
            "sizes",
            {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Size", "enum": ["SIZE_LARGE"]},
                "maxItems": 2,
                "uniqueItems": True,
            },
        ),
        (
            "counts",
            {
                "type": "object",
                "additionalProperties": {"type": "integer", "format": "int32", "minimum": 0},
                "maxProperties": 4,
                "propertyNames": {"type": "string", "maxLength": 3},
            },
        ),
    ],
)
def test_each_rule_is_told(field, expected):
    """A rule becomes the keyword that means it."""
    assert expected == properties(described(), "Rules")[field]


def test_what_has_no_keyword_is_left_out():
    """A pattern in another dialect, and a bound on what is text in JSON, are not told."""
    found = properties(described(), "UntoldRules")
    assert {"type": "string"} == found["re2"]
    assert properties(described(), "Pauses")["pause"] == found["pause"]


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("0s", True),
        ("-1.5s", True),
        ("314999999999.999999999s", True),
        ("315576000001s", False),
        ("1.0000000001s", False),
        ("1", False),
    ],
)
def test_durations_have_their_form(text, is_valid):
    """A duration is seconds, with nanoseconds at the finest, within what protobuf has of them."""
    pause = properties(described(), "Pauses")["pause"]
    assert is_valid == OAS31Validator(pause).is_valid(text)


def test_floats_may_be_no_numbers():
    """NaN and the infinities are strings, as proto3 JSON has them."""
    validator = OAS31Validator(properties(described(), "Rules")["maybe"])
    assert [True, True, True, False] == [
        validator.is_valid(value) for value in (1.5, "NaN", None, "1.5")
    ]


def test_64_bits_are_strings():
    """What does not fit a JavaScript number is told as text, with its format."""
    found = properties(general(), "Everything")
    assert ("string", "int64") == (found["int64"]["type"], found["int64"]["format"])
    assert ("string", "uint64") == (found["uint64"]["type"], found["uint64"]["format"])
    assert ("integer", "int32") == (found["int32"]["type"], found["int32"]["format"])


def test_members_of_a_oneof_exclude_each_other():
    """At most one member of a oneof is valid, in the thing itself."""
    schema = described()["components"]["schemas"]["Thing"] | {
        "components": described()["components"]
    }
    validator = OAS31Validator(schema)
    assert [True, True, False, False] == [
        validator.is_valid(value)
        for value in ({}, {"text": "a"}, {"text": "a", "number": "1"}, {"number": "1", "size": 1})
    ]


def test_only_answered_fields_are_always_there():
    """What is never asked requires the fields that are emitted by default, and no others."""
    schemas = described()["components"]["schemas"]
    assert ["name", "parts", "weight"] == schemas["OtherThing"]["required"]
    assert "required" not in schemas["Thing"]
    assert schemas["Thing"]["properties"]["thingId"]["readOnly"]
