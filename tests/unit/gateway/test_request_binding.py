"""Binding is a partition: each leaf field comes from the path, the query or the body, once."""

import json

import pytest
from google.rpc import error_details_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.percent import Decoding
from tests.unit.gateway.protos import bound


def refused(error: StatusError) -> tuple[int, str, str]:
    """Gives the HTTP status, the field and the description of a refusal."""
    [detail] = error.status.details
    [violation] = error_details_pb2.BadRequest.FromString(detail.value).field_violations
    return error.http_status, violation.field, violation.description


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("GET /v1/texts/a", {"text": "a"}),
        ("GET /v1/texts/a%2Fb+c%20d", {"text": "a/b+c d"}),
        ("GET /v1/texts/%C3%A9", {"text": "é"}),
        ("GET /v1/numbers/-7", {"int32": -7}),
        ("GET /v1/children/x/7", {"child": {"text": "x", "child": {"number": 7}}}),
        ("GET /v1/rooms/1/beds/2/3", {"text": "rooms/1/beds/2/3"}),
        ("GET /v1/rooms/1/beds/", {"text": "rooms/1/beds/"}),
        ("GET /v1/rooms/a%2Fb/beds/c%3F", {"text": "rooms/a%2Fb/beds/c?"}),
        ("GET /v1/enums/KIND_TWO/true", {"kind": "KIND_TWO", "flag": True}),
        ("GET /v1/enums/2/true", {"kind": "KIND_TWO", "flag": True}),
        ("GET /v1/enums/7/true", {"kind": 7, "flag": True}),
        ("DELETE /v1/texts/a?int32=1", {"text": "a", "int32": 1}),
        ("PURGE /v1/texts/a", {"text": "a"}),
        ("BREW /v1/any-method", {}),
    ],
)
def test_the_path_binds_fields(line, message):
    """A path variable is its field's value, decoded."""
    assert message == bound(line)


@pytest.mark.parametrize(
    ("decoding", "text"),
    [
        (Decoding.EXCEPT_SLASH, "rooms/a%2Fb/beds/c? é"),
        (Decoding.EXCEPT_RESERVED, "rooms/a%2Fb/beds/c%3F é"),
        (Decoding.ALL, "rooms/a/b/beds/c? é"),
    ],
)
def test_several_segments_decode_as_told(decoding, text):
    """`--multi-segment-decoding` chooses among the three readings of http.proto."""
    line = "GET /v1/rooms/a%2Fb/beds/c%3F%20%C3%A9"
    assert {"text": text} == bound(line, decoding=decoding)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("GET /v1/numbers/x", "int32"),
        ("GET /v1/numbers/1.5", "int32"),
        ("GET /v1/numbers/2147483648", "int32"),
        ("GET /v1/numbers/01", "int32"),
        ("GET /v1/children/x/y", "child.child.number"),
        ("GET /v1/enums/NOPE/true", "kind"),
        ("GET /v1/enums/1/yes", "flag"),
        ("GET /v1/enums/1/1", "flag"),
        ("GET /v1/texts/%zz", "text"),
        ("GET /v1/texts/%ff", "text"),
    ],
)
def test_a_bad_path_value_is_refused(line, field):
    """A path value that is none of its field's is a 400 that names the field."""
    with pytest.raises(StatusError) as error:
        bound(line)
    status, named, _ = refused(error.value)
    assert (400, field) == (status, named)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", {}),
        ("text=a", {"text": "a"}),
        ("&&text=a&", {"text": "a"}),
        ("text=a+b%20c%2B", {"text": "a b c+"}),
        ("text=a=b", {"text": "a=b"}),
        ("text", {}),
        ("maybe", {"maybe": ""}),
        ("maybe=", {"maybe": ""}),
        ("choiceText=a", {"choice_text": "a"}),
        ("choice_text=a", {"choice_text": "a"}),
        ("tags=a&tags=b,c&tags=", {"tags": ["a", "b,c", ""]}),
        ("numbers=1&text=x&numbers=2", {"numbers": [1, 2], "text": "x"}),
        ("kinds=KIND_ONE&kinds=2", {"kinds": ["KIND_ONE", "KIND_TWO"]}),
        ("child.child.text=a&child.number=1", {"child": {"number": 1, "child": {"text": "a"}}}),
        ("child.number=1&text=x&child.child.text=a",
         {"child": {"number": 1, "child": {"text": "a"}}, "text": "x"}),
        ("child.tags=a&child.tags=b", {"child": {"tags": ["a", "b"]}}),
        ("int64=-9223372036854775808", {"int64": "-9223372036854775808"}),
        ("uint64=18446744073709551615", {"uint64": "18446744073709551615"}),
        ("double=-1.5e3", {"double": -1500.0}),
        ("double=NaN", {"double": "NaN"}),
        ("float=-Infinity", {"float": "-Infinity"}),
        ("flag=false", {}),
        ("data=-_8", {"data": "+/8="}),
        ("data=%2B/8%3D", {"data": "+/8="}),
        ("kind=9", {"kind": 9}),
        ("time=2026-01-02T03:04:05Z", {"time": "2026-01-02T03:04:05Z"}),
        ("time=2026-01-02T03:04:05+01:00", {"time": "2026-01-02T02:04:05Z"}),
        ("time=2026-01-02T03:04:05%2B01:00", {"time": "2026-01-02T02:04:05Z"}),
        ("span=1.5s", {"span": "1.500s"}),
        ("mask=aB,c.dE", {"mask": "aB,c.dE"}),
        ("wrappedInt64=5", {"wrapped_int64": "5"}),
        ("wrappedText=a+b", {"wrapped_text": "a b"}),
        ("wrappedText=", {"wrapped_text": ""}),
        ("wrappedFlag=true", {"wrapped_flag": True}),
        ("wrappedData=_w", {"wrapped_data": "/w=="}),
        ("struct=%7B%22a%22:[1,null]%7D", {"struct": {"a": [1.0, None]}}),
        ("value=%22x%22", {"value": "x"}),
        ("list=[1]", {"list": [1.0]}),
        ("empty={}", {"empty": {}}),
    ],
)  # fmt: skip
def test_the_query_binds_fields(query, message):
    """A query parameter is a field by either name, nested ones dotted, repeated ones repeated."""
    assert message == bound(f"GET /v1/everything?{query}")


@pytest.mark.parametrize(
    ("query", "field", "description"),
    [
        ("nope=1", "nope", "unknown field"),
        ("text.nope=1", "text.nope", "unknown field"),
        ("child.nope=1", "child.nope", "unknown field"),
        ("=1", "", "unknown field"),
        ("text=a&text=b", "text", "is given twice"),
        ("child.text=a&child.text=b", "child.text", "is given twice"),
        ("time=2026-01-01T00:00:00Z&time=2026-01-01T00:00:00Z", "time", "is given twice"),
        ("choiceText=a&choiceNumber=1", "choice_number",
         "excludes choice_text, as both are of the oneof choice"),
        ("choiceText=a&choiceChild.text=1", "choice_child.text",
         "excludes choice_text, as both are of the oneof choice"),
        ("child=x", "child", "is a message: give its fields"),
        ("time.seconds=1", "time.seconds", "unknown field"),
        ("children=x", "children", "a repeated message or a map cannot be given in the query"),
        ("children.text=x", "children.text", "unknown field"),
        ("labels=x", "labels", "a repeated message or a map cannot be given in the query"),
        ("labels.a=x", "labels.a", "unknown field"),
        ("values=1", "values", "a repeated message or a map cannot be given in the query"),
        ("int32=", "int32", "expected an integer"),
        ("int32=1_0", "int32", "expected an integer"),
        ("int32=+1", "int32", "expected an integer"),
        ("int32=0x1", "int32", "expected an integer"),
        ("int32=1e99999999999", "int32", "expected an integer"),
        ("uint32=-1", "uint32", "out of range: expected 0 to 4294967295"),
        ("int64=9223372036854775808", "int64",
         "out of range: expected -9223372036854775808 to 9223372036854775807"),
        ("double=1e400", "double", "out of range of a double"),
        ("double=nan", "double", "expected a number"),
        ("float=3.5e38", "float", "out of range of a float"),
        ("flag=True", "flag", "expected true or false"),
        ("flag=1", "flag", "expected true or false"),
        ("flag", "flag", "expected true or false"),
        ("data=a", "data", "expected base64"),
        ("data=YQ=", "data", "expected base64"),
        ("kind=kind_one", "kind", "expected a value of test.v1.Kind"),
        ("kind=2147483648", "kind", "out of range: expected -2147483648 to 2147483647"),
        ("text=%", "text", "'%' is not a percent-escape"),
        ("text=%ff", "text", "the escapes are not UTF-8"),
    ],
)  # fmt: skip
def test_a_bad_query_is_refused(query, field, description):
    """What cannot be bound from the query is a 400 that names the field."""
    with pytest.raises(StatusError) as error:
        bound(f"GET /v1/everything?{query}")
    assert (400, field, description) == refused(error.value)


@pytest.mark.parametrize(
    "query",
    ["time=2026-1-02T03:04:05Z", "time=2026-01-02T03:04:05+24:00", "time=x", "span=1", "mask=a_b",
     "struct=[]", "struct={", "value=x", "any={}x", "time="],
)  # fmt: skip
def test_a_malformed_well_known_type_in_the_query_is_refused(query):
    """A well-known type has one form, which is not stretched."""
    with pytest.raises(StatusError) as error:
        bound(f"GET /v1/everything?{query}")
    assert (400, query.partition("=")[0]) == refused(error.value)[:2]


def test_unknown_parameters_can_be_ignored():
    """`--unknown-fields ignore` drops unknown query parameters and JSON members."""
    assert {"text": "a"} == bound("GET /v1/texts/a?nope=1&x.y=2", ignore_unknown_fields=True)
    body = b'{"nope": {"x": [1]}, "child": {"nope": 1, "number": 2}}'
    assert {"child": {"number": 2}} == bound(
        "POST /v1/everything", body, ignore_unknown_fields=True
    )


def test_unknown_names_of_an_enum_are_ignored_like_unknown_fields():
    """What a newer client's enum names is dropped: the field, the list's element, the entry."""
    body = b'{"kind": "KIND_NEW", "kinds": ["KIND_ONE", "KIND_NEW"], "text": "a"}'
    assert {"kinds": ["KIND_ONE"], "text": "a"} == bound(
        "POST /v1/everything", body, ignore_unknown_fields=True
    )


@pytest.mark.parametrize(
    ("line", "body", "message"),
    [
        ("POST /v1/everything", "", {}),
        ("POST /v1/everything", "{}", {}),
        ("POST /v1/texts/a", '{"int32": 1}', {"text": "a", "int32": 1}),
        ("POST /v1/texts/a", '{"text": "a"}', {"text": "a"}),
        ("POST /v1/texts/a", '{"text": null}', {"text": "a"}),
        ("POST /v1/children/a", '{"child": {"text": "a", "number": 1}}',
         {"child": {"text": "a", "number": 1}}),
        ("POST /v1/children/a", '{"child": {"number": 1}}', {"child": {"text": "a", "number": 1}}),
        ("POST /v1/children/a", '{"child": null}', {"child": {"text": "a"}}),
        ("POST /v1/texts/a:child?int32=1", '{"number": 2}',
         {"text": "a", "int32": 1, "child": {"number": 2}}),
        ("POST /v1/texts/a:child", "", {"text": "a"}),
        ("POST /v1/texts/a:child", "{}", {"text": "a", "child": {}}),
        ("POST /v1/texts/a:child", "null", {"text": "a"}),
        ("PUT /v1/children/a", '{"text": "a", "number": 2}', {"child": {"text": "a", "number": 2}}),
        ("PUT /v1/tags?text=x", '["a", "b"]', {"tags": ["a", "b"], "text": "x"}),
        ("PUT /v1/tags", "[]", {}),
        ("PUT /v1/labels", '{"a": "b"}', {"labels": {"a": "b"}}),
        ("PUT /v1/int64", '"5"', {"int64": "5"}),
        ("PUT /v1/int64", "null", {}),
        ("PUT /v1/value", "null", {"value": None}),
        ("PUT /v1/value", "[1]", {"value": [1.0]}),
        ("POST /v1/everything?&", '{"int32": 1}', {"int32": 1}),
        ("PUT /v1/time", '"2026-01-01T00:00:00Z"', {"time": "2026-01-01T00:00:00Z"}),
    ],
)  # fmt: skip
def test_the_body_binds_what_is_left(line, body, message):
    """The body is the message without its path fields, or the field the binding names."""
    assert message == bound(line, body.encode())


@pytest.mark.parametrize(
    ("line", "body", "field", "description"),
    [
        ("GET /v1/texts/a?text=a", "", "text", "is given twice"),
        ("GET /v1/choices/a?choiceText=a", "", "choice_text", "is given twice"),
        ("GET /v1/choices/a?choice_number=1", "", "choice_number",
         "excludes choice_text, as both are of the oneof choice"),
        ("GET /v1/everything", "{}", "", "no body is taken"),
        ("GET /v1/everything", " ", "", "no body is taken"),
        ("POST /v1/everything?text=a", "{}", "text",
         "the body has every field: no query is taken"),
        ("POST /v1/texts/a", '{"text": "b"}', "text",
         "differs from the value bound by the path or a header"),
        ("POST /v1/choices/a", '{"choiceNumber": 1}', "choice_number",
         "excludes choice_text, as both are of the oneof choice"),
        ("POST /v1/children/a", '{"child": {"text": "b"}}', "child.text",
         "differs from the value bound by the path or a header"),
        ("PUT /v1/children/a", '{"text": "b"}', "child.text",
         "differs from the value bound by the path or a header"),
        ("POST /v1/texts/a:child?child.number=1", "", "child.number", "is bound to the body"),
        ("POST /v1/texts/a:child?text=a", "", "text", "is given twice"),
        ("POST /v1/texts/a:child", "[]", "child", "expected an object"),
        ("POST /v1/texts/a", "null", "", "expected an object"),
        ("PUT /v1/tags", '"a"', "tags", "expected an array"),
        ("PUT /v1/tags", "{}", "tags", "expected an array"),
    ],
)  # fmt: skip
def test_no_field_comes_from_two_places(line, body, field, description):
    """A field given where it does not belong, or twice with two values, is a 400."""
    with pytest.raises(StatusError) as error:
        bound(line, body.encode())
    assert (400, field, description) == refused(error.value)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", None),
        ("Application/JSON; charset=UTF-8", None),
        ("application/merge-patch+json", None),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=latin-1", 415),
        ("application/grpc", 415),
    ],
)
def test_a_body_is_json(content_type, status):
    """A body of another content type than JSON in UTF-8 is a 415."""
    headers = {"content-type": content_type}
    if status is None:
        assert {"int32": 1} == bound("POST /v1/everything", b'{"int32": 1}', headers=headers)
    else:
        with pytest.raises(StatusError) as error:
            bound("POST /v1/everything", b'{"int32": 1}', headers=headers)
        assert (status, "content-type") == refused(error.value)[:2]


def test_a_raw_body_is_not_read():
    """A body bound to google.api.HttpBody arrives as it is, with its content type."""
    message = bound("POST /v1/raw/a", b"\x00\xff", headers={"content-type": "image/png"})
    expected = {"name": "a", "content": {"content_type": "image/png", "data": "AP8="}}
    assert expected == message


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"title": "x"}, "title"),
        ({"title": None}, "title"),
        ({"name": "a", "title": "x"}, "title"),
        ({"child": {"number": 1, "child": {"text": "y"}}}, "child.number,child.child.text"),
        ({"child": {}}, "child"),
        ({"child": None}, "child"),
        ({"tags": ["a"], "labels": {"a": "b"}}, "tags,labels"),
        ({"updateTime": "2026-01-01T00:00:00Z"}, "updateTime"),
        ({"update_time": "2026-01-01T00:00:00Z"}, "updateTime"),
        ({"name": "a"}, None),
        ({}, None),
    ],
)
def test_a_patch_without_a_mask_updates_what_it_gives(body, paths):
    """PATCH fills an unset mask from the JSON keys, down to lists, maps and well-known types."""
    message = bound("PATCH /v1/resources/a", json.dumps(body).encode())
    assert paths == message.get("update_mask")


def test_a_given_mask_is_kept():
    """PATCH leaves a mask of the query as it is; PUT has no need of one."""
    body = b'{"title": "x"}'
    line = "/v1/resources/a?updateMask=tags"
    assert "tags" == bound(f"PATCH {line}", body)["update_mask"]
    assert "update_mask" not in bound("PUT /v1/resources/a", body)
