"""The proto3 JSON mapping, strictly: what is read, what is refused, what is written."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import json_text
from gateway.transcoding.errors import StatusError
from gateway.transcoding.json_message import JsonReader
from tests.unit.gateway.protos import bound, codec, everything
from tests.unit.gateway.test_request_binding import refused


def read(body: str | bytes) -> dict[str, Any]:
    """Binds a whole message."""
    return bound("POST /v1/everything", body.encode() if isinstance(body, str) else body)


def written(message: dict[str, Any]) -> Any:
    """Reads a message and writes it again, as the gateway does."""
    made = everything().message_class("test.v1.Everything")(**message)
    return json.loads(codec().to_json("test.v1.Everything", made.SerializeToString()))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"int32": 1}', {"int32": 1}),
        ('{"int32": "1"}', {"int32": 1}),
        ('{"int32": 1.0}', {"int32": 1}),
        ('{"int32": 1e2}', {"int32": 100}),
        ('{"int32": "1e2"}', {"int32": 100}),
        ('{"int32": -2147483648}', {"int32": -2147483648}),
        ('{"int32": null}', {}),
        ('{"int64": 9223372036854775807}', {"int64": "9223372036854775807"}),
        ('{"int64": "-9223372036854775808"}', {"int64": "-9223372036854775808"}),
        ('{"uint64": 18446744073709551615}', {"uint64": "18446744073709551615"}),
        ('{"uint64": "1.8446744073709551615e19"}', {"uint64": "18446744073709551615"}),
        ('{"double": 1}', {"double": 1.0}),
        ('{"double": "1.5"}', {"double": 1.5}),
        ('{"double": "-Infinity"}', {"double": "-Infinity"}),
        ('{"double": 1.7976931348623157e308}', {"double": 1.7976931348623157e308}),
        ('{"float": 3.4028235e38}', {"float": 3.4028235e38}),
        ('{"float": -3.4028234663852886e+38}', {"float": -3.4028235e38}),
        ('{"float": "NaN"}', {"float": "NaN"}),
        ('{"float": 1e-50}', {}),
        ('{"flag": true}', {"flag": True}),
        ('{"text": "\\ud83d\\ude00\\u0000"}', {"text": "😀\0"}),
        ('{"data": "-_8="}', {"data": "+/8="}),
        ('{"data": "+/8"}', {"data": "+/8="}),
        ('{"kind": "KIND_ONE"}', {"kind": "KIND_ONE"}),
        ('{"kind": 2}', {"kind": "KIND_TWO"}),
        ('{"kind": 77}', {"kind": 77}),
        ('{"maybe": ""}', {"maybe": ""}),
        ('{"maybe": null}', {}),
        ('{"tags": null}', {}),
        ('{"child": {}}', {"child": {}}),
        ('{"child": {"child": {"text": "a"}}}', {"child": {"child": {"text": "a"}}}),
        ('{"labels": {"": "a", "b": ""}}', {"labels": {"": "a", "b": ""}}),
        ('{"by_number": {"-1": {"text": "a"}}}', {"by_number": {"-1": {"text": "a"}}}),
        ('{"flags": {"a": true}}', {"flags": {"a": True}}),
        ('{"choiceText": null, "choiceNumber": 0}', {"choice_number": 0}),
        ('{"time": "2026-01-02T03:04:05.123456789-23:59"}',
         {"time": "2026-01-03T03:03:05.123456789Z"}),
        ('{"span": "-0.5s"}', {"span": "-0.500s"}),
        ('{"mask": "a,bC.dE"}', {"mask": "a,bC.dE"}),
        ('{"mask": ""}', {"mask": ""}),
        ('{"struct": {"a": [null, true, 1, "x", {}]}}',
         {"struct": {"a": [None, True, 1.0, "x", {}]}}),
        ('{"value": null}', {"value": None}),
        ('{"values": [null, 1]}', {"values": [None, 1.0]}),
        ('{"list": []}', {"list": []}),
        ('{"empty": {}}', {"empty": {}}),
        ('{"wrappedInt64": "5"}', {"wrapped_int64": "5"}),
        ('{"wrappedText": null}', {}),
        ('{"any": {"@type": "type.googleapis.com/test.v1.Child", "number": 1}}',
         {"any": {"@type": "type.googleapis.com/test.v1.Child", "number": 1}}),
        ('{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}',
         {"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}),
        (' {"text" :\t"a"}\r\n', {"text": "a"}),
    ],
)  # fmt: skip
def test_json_is_read(body, message):
    """Every form the mapping allows is read."""
    assert message == read(body)


@pytest.mark.parametrize(
    ("body", "field", "description"),
    [
        ('{"nope": 1}', "nope", "unknown field"),
        ('{"child": {"nope": 1}}', "child.nope", "unknown field"),
        ('{"children": [{}, {"nope": 1}]}', "children[1].nope", "unknown field"),
        ('{"byNumber": {"1": {"nope": 1}}}', 'by_number["1"].nope', "unknown field"),
        ('{"text": "a", "text": "a"}', "text", "is given twice"),
        ('{"choiceText": "a", "choice_text": "a"}', "choice_text", "is given twice"),
        ('{"tags": null, "tags": []}', "tags", "is given twice"),
        ('{"labels": {"a": "1", "a": "2"}}', 'labels["a"]', "is given twice"),
        ('{"struct": {"a": 1, "a": 2}}', "struct", "a name is given twice"),
        ('{"choiceText": "a", "choiceNumber": 1}', "choice_number",
         "excludes choice_text, as both are of the oneof choice"),
        ('{"text": 1}', "text", "expected a string"),
        ('{"text": true}', "text", "expected a string"),
        ('{"text": "\\ud800"}', "text", "a lone surrogate is no character"),
        ('{"\\ud800": 1}', "?", "unknown field"),
        ('{"tags": ["a", null]}', "tags[1]", "null is no element"),
        ('{"tags": "a"}', "tags", "expected an array"),
        ('{"tags": {}}', "tags", "expected an array"),
        ('{"child": []}', "child", "expected an object"),
        ('{"child": "a"}', "child", "expected an object"),
        ('{"labels": {"a": null}}', 'labels["a"]', "null is no value"),
        ('{"labels": []}', "labels", "expected an object"),
        ('{"byNumber": {"x": {}}}', 'by_number["x"]', "bad key: expected an integer"),
        ('{"byNumber": {"1": {}, "1.0": {}}}', 'by_number["1.0"]', "is given twice"),
        ('{"int32": 1.5}', "int32", "expected an integer"),
        ('{"int32": true}', "int32", "expected an integer"),
        ('{"int32": "01"}', "int32", "expected an integer"),
        ('{"int32": "+1"}', "int32", "expected an integer"),
        ('{"int32": " 1"}', "int32", "expected an integer"),
        ('{"int32": ""}', "int32", "expected an integer"),
        ('{"int32": 2147483648}', "int32",
         "out of range: expected -2147483648 to 2147483647"),
        ('{"int64": 9007199254740993.0}', "int64", "expected an integer"),
        ('{"uint32": -1}', "uint32", "out of range: expected 0 to 4294967295"),
        ('{"double": true}', "double", "expected a number"),
        ('{"double": "1_0"}', "double", "expected a number"),
        ('{"double": "nan"}', "double", "expected a number"),
        ('{"double": 1e999}', "double", "out of range of a double"),
        ('{"float": 3.4028236e38}', "float", "out of range of a float"),
        ('{"flag": 1}', "flag", "expected true or false"),
        ('{"flag": "true"}', "flag", "expected true or false"),
        ('{"kind": true}', "kind", "expected an integer"),
        ('{"kind": "NOPE"}', "kind", "expected a value of test.v1.Kind"),
        ('{"kind": 1.5}', "kind", "expected an integer"),
        ('{"data": "!"}', "data", "expected base64"),
        ('{"data": "YQ==="}', "data", "expected base64"),
        ("", "", None),
        ("[]", "", "expected an object"),
        ("null", "", "expected an object"),
        ("1", "", "expected an object"),
        ('{"double": NaN}', "", "NaN is not JSON"),
        ('{"double": -Infinity}', "", "-Infinity is not JSON"),
        ("\ufeff{}", "", "Expecting value at line 1 column 1"),
        ("{} {}", "", "Extra data at line 1 column 4"),
        ("{'text': 1}", "",
         "Expecting property name enclosed in double quotes at line 1 column 2"),
        ('{"text": "a",}', "", None),
        ('{"text": "\n"}', "", "Invalid control character at at line 1 column 11"),
        ('{"int32": 01}', "", "Expecting ',' delimiter at line 1 column 12"),
        ('{"int32": 1.}', "", "Expecting ',' delimiter at line 1 column 12"),
        ("[" * 100_000, "", "nested deeper than 100"),
        ('{"int32": ' + "9" * 5000 + "}", "",
         "Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)  # fmt: skip
def test_what_is_not_the_mapping_is_refused(body, field, description):
    """Each refusal is a 400 that names the field by its proto path."""
    if body == "":
        assert {} == read(body)
        return
    with pytest.raises(StatusError) as error:
        read(body)
    status, named, told = refused(error.value)
    assert (400, field) == (status, named)
    assert description is None or description == told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", '"2026-1-02T03:04:05Z"'), ("time", '"2026-01-02T03:04:05+24:00"'),
        ("time", '"2026-01-02 03:04:05Z"'), ("time", '"2026-01-02T03:04:05"'),
        ("time", '"0000-01-01T00:00:00Z"'), ("time", '"2026-13-01T00:00:00Z"'), ("time", "1"),
        ("span", '"1"'), ("span", '"1.0000000001s"'), ("span", '"315576000001s"'), ("span", "1"),
        ("mask", '"a_b"'), ("mask", "[]"), ("mask", '"a..b"'), ("mask", '"a b"'), ("mask", '"é"'),
        ("mask", '"1"'), ("struct", "[]"), ("struct", "null_"), ("list", "{}"),
        ("empty", "1"), ("any", '{"@type": "type.googleapis.com/nobody.Knows"}'), ("any", "{"),
        ("any", '{"@type": "type.googleapis.com/test.v1.Child", "nope": 1}'), ("any", '{"a": 1}'),
        ("wrapped_int64", '"x"'), ("wrapped_flag", "1"), ("wrapped_text", "1"),
        ("wrapped_data", '"!"'), ("value", '{"a": 1, "a": 2}'),
    ],
)  # fmt: skip
def test_a_malformed_well_known_type_is_refused(field, value):
    """A well-known type in no form of its own is a 400."""
    with pytest.raises(StatusError) as error:
        read(f'{{"{field}": {value}}}')
    status, named, _ = refused(error.value)
    assert 400 == status
    assert named in (field, "")


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{\x00}\x00", b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}']
)
def test_text_that_is_not_utf8_is_refused(body):
    """JSON is UTF-8 and nothing else."""
    with pytest.raises(StatusError, match="not UTF-8"):
        read(body)


@pytest.mark.parametrize("nested", ["any", "byNumber", "child", "struct", "value"])
def test_a_hundred_levels_are_the_limit(nested):
    """What nests deeper than services read is a 400; a level of JSON may be three of theirs."""

    def body(depth: int) -> str:
        if nested == "child":
            return '{"child": ' * depth + "{}" + "}" * depth
        if nested == "byNumber":
            inside = '{"child": ' * depth + "{}" + "}" * depth
            return f'{{"byNumber": {{"1": {inside}}}}}'
        if nested == "any":
            inside = '{"child": ' * depth + "{}" + "}" * depth
            kind = '"@type": "type.googleapis.com/test.v1.Child"'
            return f'{{"any": {{{kind}, "child": {inside}}}}}'
        if nested == "struct":
            return '{"struct": ' + '{"a": ' * depth + "1" + "}" * depth + "}"
        return '{"value": ' + "[" * depth + "]" * depth + "}"

    assert {} != read(body(30))
    for depth in (100, 102, 150):
        with pytest.raises(StatusError):
            read(body(depth))


def test_a_level_of_json_may_be_two_of_the_wire():
    """A map of messages nests an entry besides each message; services read a hundred in all."""

    def body(depth: int) -> str:
        return '{"child": ' + '{"named": {"a": ' * depth + "{}" + "}}" * depth + "}"

    assert {} != read(body(45))
    with pytest.raises(StatusError, match="nested deeper than 100"):
        read(body(60))


def test_defaults_are_written_and_presence_is_kept():
    """Fields without presence are always there, those with presence when they are set."""
    empty = written({})
    assert ("", "0", [], {}, "KIND_UNSPECIFIED", False, 0.0) == tuple(
        empty[name] for name in ("text", "int64", "tags", "labels", "kind", "flag", "double")
    )
    assert not {"maybe", "child", "choiceText", "time"} & empty.keys()
    given = written({"maybe": "", "child": {}})
    assert ("", {"text": "", "number": 0, "tags": [], "named": {}}) == (
        given["maybe"],
        given["child"],
    )


@pytest.mark.parametrize(
    ("message", "name", "value"),
    [
        ({"int64": 2**62}, "int64", str(2**62)),
        ({"kind": 1}, "kind", "KIND_ONE"),
        ({"kind": 77}, "kind", 77),
        ({"data": b"\xff\xfe"}, "data", "//4="),
        ({"double": math.nan}, "double", "NaN"),
        ({"double": -math.inf}, "double", "-Infinity"),
        (
            {"by_number": {-1: {"number": 1}}},
            "byNumber",
            {"-1": {"text": "", "number": 1, "tags": [], "named": {}}},
        ),
    ],
)
def test_json_is_written(message, name, value):
    """Each kind of value is written as the mapping has it."""
    assert value == written(message)[name]


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_every_float_survives(bits):
    """A float written and read again is the same float, the largest included."""
    [number] = struct.unpack("<f", struct.pack("<I", bits))
    if not math.isfinite(number):
        return
    text = json.dumps({"float": written({"float": number})["float"]})
    again: Any = everything().message_class("test.v1.Everything")()
    assert number == pytest.approx(read(text).get("float", 0.0), rel=1e-6)
    again.float = json.loads(text)["float"]
    assert struct.pack("<f", number) == struct.pack("<f", again.float)


def test_a_bound_nan_may_stand_in_the_body_again():
    """What the path binds may be said again, NaN too, though it is not equal to itself."""
    reader = JsonReader(codec=codec())
    message = everything().message_class("test.v1.Everything")()
    reader.read_message(message, json_text.parse(b'{"float": "NaN"}'), "", {"float": math.nan})
    with pytest.raises(StatusError):
        reader.read_message(message, json_text.parse(b'{"float": 1}'), "", {"float": math.nan})
