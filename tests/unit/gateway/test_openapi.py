"""What the OpenAPI document says of bindings, fields, rules and access."""

from functools import cache
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway import access, openapi
from gateway.transcoding import bindings, descriptors
from gateway.transcoding.descriptors import Descriptors
from tests.unit.gateway.protos import CONTRACTS, everything


def described(found: Descriptors) -> dict[str, Any]:
    """Writes the document of a set."""
    return openapi.document(
        found,
        bindings.read(found),
        is_signed_in=lambda method: access.is_for_people(found, method),
    )


@cache
def shop() -> dict[str, Any]:
    """The document of the shop, whose contracts have rules and policies."""
    return described(descriptors.from_set(descriptors.read_files([CONTRACTS / "gen/souk.binpb"])))


@cache
def general() -> dict[str, Any]:
    """The document of everything.proto, which has neither."""
    return described(everything())


def parameters(document: dict[str, Any], method: str, path: str) -> dict[str, dict[str, Any]]:
    """Gives the parameters of an operation by name."""
    return {each["name"]: each for each in document["paths"][path][method]["parameters"]}


@pytest.mark.parametrize("document", [shop, general])
def test_the_document_is_valid(document):
    """Both documents keep the rules of OpenAPI 3.1, and every operation has an id of its own."""
    validate(document())
    ids = [
        operation["operationId"]
        for path in document()["paths"].values()
        for operation in path.values()
    ]
    assert len(ids) == len(set(ids))


def test_every_binding_is_an_operation():
    """What OpenAPI has a word for is described, one pattern under one path."""
    found = {(method.upper(), path) for path, each in general()["paths"].items() for method in each}
    unspeakable = {"PURGE", "*"}
    bound = [each for each in bindings.read(everything()) if each.http_method not in unspeakable]
    assert len(bound) == len(found)
    assert {"get", "post", "delete"} == general()["paths"]["/v1/texts/{text}"].keys()
    resource = general()["paths"]["/v1/resources/{name}"]
    assert {"delete", "get", "patch", "put"} == resource.keys()


def test_query_parameters_are_the_fields_left():
    """A GET has a parameter for each leaf that the path does not bind, messages entered once."""
    names = parameters(general(), "get", "/v1/texts/{text}")
    assert {"path"} == {names["text"]["in"]}
    assert {"int64", "child.text", "child.tags", "maybe", "time", "struct"} <= names.keys()
    assert not {"child", "children", "labels", "child.child.text"} & names.keys()
    assert {"type": "string", "format": "date-time"} == names["time"]["schema"]
    assert "array" == names["numbers"]["schema"]["type"]
    assert [] == [
        each
        for each in general()["paths"]["/v1/texts/{text}"]["post"]["parameters"]
        if each["in"] == "query"
    ]


def test_rules_are_schemas():
    """`buf.validate` rules and field behaviour are said in JSON Schema."""
    order = shop()["components"]["schemas"]["souk.order.v1.CreateOrderRequest"]
    key = order["properties"]["requestId"]
    assert (1, 128) == (key["minLength"], key["maxLength"])
    items = order["properties"]["items"]
    assert ("array", 1, 100) == (items["type"], items["minItems"], items["maxItems"])
    assert {"requestId", "items", "paymentToken"} == set(order["required"])
    path = parameters(shop(), "get", "/v1/orders/{orderId}")["orderId"]
    assert (True, "uuid") == (path["required"], path["schema"]["format"])
    size = parameters(shop(), "get", "/v1/orders")["pageSize"]["schema"]
    assert ("integer", 0, 100) == (size["type"], size["minimum"], size["maximum"])


def test_access_is_security():
    """What a policy keeps for people needs a token; what is public does not."""
    paths = shop()["paths"]
    assert [{"accessToken": []}] == paths["/v1/orders"]["post"]["security"]
    assert "security" not in paths["/v1/products"]["get"]
    assert {"401", "403"} <= paths["/v1/orders"]["post"]["responses"].keys()


def test_headers_that_bind_are_told():
    """`Idempotency-Key` and `If-Match` stand where they give a field; ETag where there is one."""
    assert "Idempotency-Key" in parameters(shop(), "post", "/v1/orders")
    assert "Idempotency-Key" not in parameters(shop(), "get", "/v1/orders")
    delete = parameters(general(), "delete", "/v1/resources/{name}")
    assert {"Idempotency-Key", "If-Match"} <= delete.keys()
    get = general()["paths"]["/v1/resources/{name}"]["get"]["responses"]
    assert ("ETag" in get["200"]["headers"], "304" in get) == (True, True)


def test_streams_have_their_media_types():
    """A server stream is NDJSON or events, a client stream NDJSON or an array."""
    watch = general()["paths"]["/v1/resources:watch"]["get"]["responses"]["200"]["content"]
    assert {"application/x-ndjson", "text/event-stream"} == watch.keys()
    upload = general()["paths"]["/v1/parents/{parent}:import"]["post"]["requestBody"]["content"]
    assert {"application/x-ndjson", "application/json"} == upload.keys()


def test_a_part_may_be_null_where_it_has_no_default():
    """An unset well-known type is null; an unset message is its default."""

    def part(name: str) -> Any:
        answer = general()["paths"][f"/v1/parts/{name}"]["post"]["responses"]["200"]
        return answer["content"]["application/json"]["schema"]

    assert [{"type": "string", "format": "date-time"}, {"type": "null"}] == part("time")["anyOf"]
    assert {"$ref": "#/components/schemas/test.v1.Child"} == part("child")


def test_comments_are_descriptions():
    """What the contract says in comments, the document says."""
    operation = general()["paths"]["/v1/resources:watch"]["get"]
    assert ("Streams answers", "Streams answers.") == (
        operation["summary"],
        operation["description"],
    )
    assert [{"name": "test.v1.Echo", "description": "Answers what it is asked."}] == general()[
        "tags"
    ]


@pytest.mark.parametrize("document", [shop, general])
def test_examples_keep_their_schemas(document):
    """Each example is valid by the schema it stands beside."""
    components = {"components": document()["components"]}
    operations = [each for path in document()["paths"].values() for each in path.values()]
    bodies = [each["requestBody"]["content"] for each in operations if "requestBody" in each]
    contents = [each["application/json"] for each in bodies if "application/json" in each]
    exemplified = [each for each in contents if "example" in each]
    assert len(exemplified) > 5
    for each in exemplified:
        validator = OAS31Validator({**each["schema"], **components})
        assert [] == [error.message for error in validator.iter_errors(each["example"])]
