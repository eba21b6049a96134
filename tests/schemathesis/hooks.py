"""What Schemathesis is taught of the gateway: NDJSON, and the several spellings of proto3 JSON.

It runs in Schemathesis' own process. SOUK_DESCRIPTORS is the path of the descriptor set that the
gateway serves; SOUK_ANSWERS that of a file which gets, when all is done, how often each operation
answered with each status: {"GET /v1/orders": {"200": 7}}.
"""

import atexit
import json
import os
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any, Final

import schemathesis
from google.protobuf import json_format
from openapi_schema_validator import OAS31Validator
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

from gateway.openapi.paths import Paths
from gateway.transcoding import bindings, descriptors
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.descriptors import Descriptors

_ANY_VERSION: Final = "*"
_NDJSON: Final = "application/x-ndjson"

_answers: defaultdict[str, Counter[int]] = defaultdict(Counter)


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Lets `If-Match` take any version where a tag would not do.

    Schemathesis, going through the cases, has 0 for a tag; and beside an `etag` in the body it must
    be the same, which a schema cannot tell.
    """
    tag = case.headers and case.headers.get("If-Match")
    if tag == "0" or (tag and "etag" in json.dumps(case.body, default=str)):
        case.headers["If-Match"] = _ANY_VERSION


@schemathesis.hook
def after_call(_: Any, case: Any, response: Any) -> None:
    """Counts an answer."""
    _answers[case.operation.label][response.status_code] += 1


@atexit.register
def _write_answers() -> None:
    Path(os.environ["SOUK_ANSWERS"]).write_text(json.dumps(_answers))


@schemathesis.deserializer(_NDJSON)
def first_line(_: Any, response: Any) -> Any:
    """Gives the first message of a stream; the schema describes it as it does each."""
    return json.loads(response.content.partition(b"\n")[0])


@schemathesis.check
def invalid_data_is_refused(ctx: Any, response: Any, case: Any) -> None:
    """Fails where a request that breaks the schema is taken, whatever way one reads it.

    proto3 JSON takes null for an absent field, "5" for 5, a number for an enum's name. So a body
    is read by Google's own reader, written in the one way that the schema describes, and checked.
    """
    try:
        negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData:
        if not _is_refused_in_band(response) and not _is_valid_when_respelled(case):
            raise


def _is_refused_in_band(response: Any) -> bool:
    """Says whether a stream that had begun ended with a failure."""
    if response.headers.get("content-type") != [_NDJSON]:
        return False
    last = json.loads(response.content.splitlines()[-1])
    return bool(last.get("@type") == "type.googleapis.com/google.rpc.Status")


def _is_valid_when_respelled(case: Any) -> bool:
    broken = {place for place, part in case.meta.components.items() if part.mode.is_negative}
    if (case.headers or {}).get("If-Match") == _ANY_VERSION:
        broken.discard(ParameterLocation.HEADER)
    if broken == {ParameterLocation.QUERY}:
        return _is_enum_by_number(case)
    if broken != {ParameterLocation.BODY} or not isinstance(case.body, dict | list | None):
        return False
    operation = case.operation
    binding = _bindings()[operation.method.upper(), operation.path]
    schema = operation.definition.raw["requestBody"]["content"][case.media_type]["schema"]
    components = operation.schema.raw_schema["components"]
    validator = OAS31Validator({**schema, "components": components})
    try:
        return bool(validator.is_valid(_respelled(case.body, binding)))
    except (json_format.ParseError, TypeError):
        # It reads objects and lists only; of others it tries to go through the members.
        return False


def _is_enum_by_number(case: Any) -> bool:
    """Says whether the one parameter that breaks the schema is an enum's number."""
    name = getattr(case.meta.phase.data, "parameter", None)
    value = (case.query or {}).get(name)
    for parameter in case.operation.definition.raw.get("parameters", ()):
        if (parameter["name"], parameter["in"]) == (name, "query"):
            return _is_enum(parameter["schema"], case) and str(value).isdecimal()
    return False


def _is_enum(schema: Any, case: Any) -> bool:
    reference = schema.get("$ref", "")
    if reference:
        name = reference.rpartition("/")[2]
        schema = case.operation.schema.raw_schema["components"]["schemas"][name]
    return "enum" in schema


def _respelled(body: Any, binding: Binding) -> Any:
    if binding.method.client_streaming:
        # What is no array is lines, here a single one.
        return [_message_respelled(each, binding) for each in _listed(body)]
    return _message_respelled(body, binding)


def _listed(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def _message_respelled(body: Any, binding: Binding) -> Any:
    found = _descriptors()
    message = found.message_class(binding.method.input.full_name)()
    field = None
    if binding.body != WHOLE_MESSAGE:
        field = binding.method.input.fields_by_name[str(binding.body)].json_name
    given = body if field is None else {field: body}
    json_format.ParseDict(given, message, descriptor_pool=found.pool)
    written = json_format.MessageToDict(message, descriptor_pool=found.pool)
    return written if field is None else written.get(field, {})


@cache
def _descriptors() -> Descriptors:
    path = Path(os.environ["SOUK_DESCRIPTORS"])
    return descriptors.from_set(descriptors.read_files([path]))


@cache
def _bindings() -> dict[tuple[str, str], Binding]:
    paths = Paths()
    return {
        (binding.http_method, paths.name(binding)[0]): binding
        for binding in bindings.read(_descriptors())
    }
