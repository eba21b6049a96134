"""What the OpenAPI document says of bindings, access, failures and examples."""

from functools import cache
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway.transcoding import bindings
from tests.unit.gateway.documents import DOCUMENTS, described, general, shop
from tests.unit.gateway.protos import everything


def parameters(document: dict[str, Any], method: str, path: str) -> dict[str, dict[str, Any]]:
    """Gives the parameters of an operation by name."""
    return {each["name"]: each for each in document["paths"][path][method].get("parameters", [])}


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Lists the operations."""
    return [operation for path in document["paths"].values() for operation in path.values()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_document_is_valid(document):
    """Every document keeps the rules of OpenAPI 3.1, and each operation has an id of its own."""
    validate(document())
    ids = [operation["operationId"] for operation in operations(document())]
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


def test_names_are_short_where_they_can_be():
    """Operations, tags and schemas have their own name, a longer one only if two would share it."""
    paths = shop()["paths"]
    assert "createOrder" == paths["/v1/orders"]["post"]["operationId"]
    assert "getUser" == paths["/v1/users/me"]["get"]["operationId"]
    assert "getUserByUserId" == paths["/v1/users/{userId}"]["get"]["operationId"]
    assert ["OrderService"] == paths["/v1/orders"]["post"]["tags"]
    assert {"Order", "Money", "Status"} <= shop()["components"]["schemas"].keys()
    paths = described()["paths"]
    assert [
        "thingsGet",
        "thingsGetByThingId",
        "thingsGet2",
        "otherThingsGet",
    ] == [
        paths[path]["get"]["operationId"]
        for path in (
            "/v1/things/{thingId}",
            "/v1/shelves/{thingId_2}/things/{thingId_4}",
            "/v1/current",
            "/v1/otherThings/{thingId}",
        )
    ]
    assert "OldResponse.Part" in described()["components"]["schemas"]


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


def test_query_parameters_have_their_text_form():
    """A wrapper is its value, a Struct is JSON, an array is a repeated parameter."""
    names = parameters(described(), "get", "/v1/things/{thingId}")
    assert {"type": "string"} == names["text"]["schema"]
    assert {"type": "object", "additionalProperties": True} == names["settings"]["content"][
        "application/json"
    ]["schema"]
    assert {"$ref": "#/components/schemas/Size"} == names["sizes"]["schema"]["items"]


def test_a_parameter_may_be_empty_where_that_says_nothing():
    """An empty text that no rule applies to is told to be allowed, and only that."""
    names = parameters(shop(), "get", "/v1/orders")
    assert names["userId"]["allowEmptyValue"]
    assert "allowEmptyValue" not in names["pageToken"]


def test_several_segments_are_several_parameters():
    """A variable over several segments has one for each wildcard, told where it takes slashes."""
    names = parameters(described(), "get", "/v1/shelves/{thingId_2}/things/{thingId_4}")
    assert "Identifies it." == names["thingId_2"]["description"]
    assert "several segments" in names["thingId_4"]["description"]
    assert "thingId" not in names


def test_access_is_security():
    """What a policy keeps for people needs a token and tells the roles; what is public does not."""
    paths = shop()["paths"]
    assert [{"accessToken": []}] == paths["/v1/orders"]["post"]["security"]
    assert [] == paths["/v1/products"]["get"]["security"]
    assert {"401", "403"} <= paths["/v1/orders"]["post"]["responses"].keys()
    assert not {"401", "403"} & paths["/v1/products"]["get"]["responses"].keys()
    ship = paths["/v1/orders/{orderId}:ship"]["post"]["description"]
    assert ship.endswith("Needs the role `admin` or `fulfilment`.")


def test_failures_are_those_a_call_can_have():
    """404 stands where a path names something, 409 where something changes, 413 with a body."""
    paths = described()["paths"]
    get = paths["/v1/things/{thingId}"]["get"]["responses"].keys()
    create = paths["/v1/things"]["post"]["responses"].keys()
    assert {"200", "304", "400", "404", "429", "500", "503", "504", "default"} == get
    assert {"409", "413", "415"} == create - get
    failure = described()["components"]["responses"]["TooManyRequests"]
    assert {"application/json", "application/problem+json"} == failure["content"].keys()
    assert {"Retry-After"} == failure["headers"].keys()


def test_headers_that_bind_are_told():
    """`Idempotency-Key` and `If-Match` stand for the field they give; ETag where there is one."""
    order = shop()["paths"]["/v1/orders"]["post"]
    assert parameters(shop(), "post", "/v1/orders")["Idempotency-Key"]["required"]
    body = order["requestBody"]["content"]["application/json"]["schema"]
    assert "requestId" not in body["properties"]
    assert "Idempotency-Key" not in parameters(shop(), "get", "/v1/orders")
    delete = parameters(general(), "delete", "/v1/resources/{name}")
    assert {"name", "Idempotency-Key", "If-Match"} == delete.keys()
    get = general()["paths"]["/v1/resources/{name}"]["get"]["responses"]
    assert ("ETag" in get["200"]["headers"], "304" in get) == (True, True)
    assert "If-None-Match" in parameters(general(), "get", "/v1/resources/{name}")


def test_streams_have_their_media_types():
    """A server stream is NDJSON or events, a client stream NDJSON or an array."""
    watch = general()["paths"]["/v1/resources:watch"]["get"]["responses"]["200"]["content"]
    assert {"application/x-ndjson", "text/event-stream"} == watch.keys()
    upload = general()["paths"]["/v1/parents/{parent}:import"]["post"]["requestBody"]["content"]
    assert {"application/x-ndjson", "application/json"} == upload.keys()
    assert "Last-Event-ID" in parameters(general(), "get", "/v1/resources:watch")


def test_a_raw_body_is_any_body():
    """google.api.HttpBody is whatever its content type says, both ways."""
    raw = general()["paths"]["/v1/raw/{name}"]["post"]
    assert {"*/*": {}} == raw["requestBody"]["content"]
    assert {"*/*": {}} == raw["responses"]["200"]["content"]


def test_a_part_may_be_null_where_it_has_no_default():
    """An unset well-known type is null; an unset message is its default."""

    def part(name: str) -> Any:
        answer = general()["paths"][f"/v1/parts/{name}"]["post"]["responses"]["200"]
        return answer["content"]["application/json"]["schema"]

    assert [{"type": "string", "format": "date-time"}, {"type": "null"}] == part("time")["anyOf"]
    assert {"$ref": "#/components/schemas/Child"} == part("child")


def test_a_body_is_required_where_an_empty_one_will_not_do():
    """An empty body is an empty message, which is enough where no field is required."""
    bodies = {
        path: shop()["paths"][path]["post"]["requestBody"]["required"]
        for path in ("/v1/orders", "/v1/orders/{orderId}:cancel", "/v1/users", "/v1/products")
    }
    assert [True, False, True, True] == list(bodies.values())


def test_comments_are_descriptions():
    """What the contract says in comments, the document says, and which RPC is called."""
    operation = general()["paths"]["/v1/resources:watch"]["get"]
    assert "Streams answers" == operation["summary"]
    assert "Streams answers.\n\nCalls `test.v1.Echo/Watch`." == operation["description"]
    assert [{"name": "Echo", "description": "Answers what it is asked."}] == general()["tags"]
    size = described()["components"]["schemas"]["Size"]
    assert "- `SIZE_SMALL`: Fits a hand." in size["description"].splitlines()


def test_what_is_deprecated_is_told():
    """A deprecated method or field is deprecated in the document."""
    assert described()["paths"]["/v1/old"]["get"]["deprecated"]
    assert described()["components"]["schemas"]["Thing"]["properties"]["oldName"]["deprecated"]
    assert "deprecated" not in described()["paths"]["/v1/things"]["post"]


@cache
def _examples(document: Any) -> list[tuple[Any, Any]]:
    found = []
    for operation in operations(document()):
        places = [
            *operation.get("parameters", ()),
            *operation.get("requestBody", {}).get("content", {}).values(),
            *operation["responses"]["200"]["content"].values(),
        ]
        found += [(each["schema"], each["example"]) for each in places if "example" in each]
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_keep_their_schemas(document):
    """Each example is valid by the schema it stands beside."""
    components = {"components": document()["components"]}
    assert len(_examples(document)) > 4
    for schema, sample in _examples(document):
        validator = OAS31Validator(
            {**schema, **components}, format_checker=OAS31Validator.FORMAT_CHECKER
        )
        assert [] == [error.message for error in validator.iter_errors(sample)], schema


def test_every_body_of_the_shop_has_an_example():
    """Who tries a call in the browser has something to send."""
    bodies = [each["requestBody"] for each in operations(shop()) if "requestBody" in each]
    assert [] == [
        body
        for body in bodies
        if "example" not in body["content"]["application/json"]
        and "application/x-ndjson" not in body["content"]
    ]
