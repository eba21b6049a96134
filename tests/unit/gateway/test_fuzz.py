"""Whatever a client sends, the answer is a message or a refusal: never another exception."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcoding import metadata
from gateway.transcoding.errors import StatusError
from tests.unit.gateway.protos import bound

FIELDS = st.sampled_from(
    ["text", "int32", "int64", "float", "flag", "data", "kind", "child", "child.text", "tags",
     "children", "labels", "byNumber", "choiceText", "choice_number", "time", "span", "mask",
     "struct", "value", "list", "any", "empty", "wrappedInt64", "values", "maybe", "nope", ""]
)  # fmt: skip
TEXT = st.text(max_size=12) | st.sampled_from(
    ["1", "-1", "1e9", "NaN", "2026-01-01T00:00:00Z", "1s", "a,b", "{}", "[]", "null", "%", "%ff"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(FIELDS | TEXT, inside, max_size=3)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda value: json.dumps(value).encode())
LINES = st.sampled_from(
    ["POST /v1/everything", "POST /v1/texts/a", "POST /v1/choices/a", "POST /v1/texts/a:child",
     "PUT /v1/tags", "PUT /v1/labels", "PUT /v1/time", "PUT /v1/children/a"]
)  # fmt: skip


@contextmanager
def refusals_only() -> Iterator[None]:
    """Takes a refusal that is the client's fault for an answer; lets all else through."""
    try:
        yield
    except StatusError as error:
        error.status.SerializeToString()
        if error.http_status not in (400, 415):
            raise


def bound_or_refused(line: str, body: bytes = b"", **options: Any) -> None:
    """Binds, and takes a refusal that is a client's fault for an answer."""
    with refusals_only():
        bound(line, body, **options)


@settings(max_examples=300)
@given(LINES, BODIES)
def test_any_json_is_bound_or_refused(line, body):
    """JSON of any shape ends in a message or a 400."""
    bound_or_refused(line, body)


@settings(max_examples=200)
@given(LINES, st.binary(max_size=60) | TEXT.map(lambda text: text.encode(errors="replace")))
def test_any_bytes_are_bound_or_refused(line, body):
    """A body of any bytes ends in a message or a 400."""
    bound_or_refused(line, body)


@settings(max_examples=300)
@given(st.lists(st.tuples(FIELDS, TEXT), max_size=4), st.sampled_from(["&", "&&", ";", "%26"]))
def test_any_query_is_bound_or_refused(pairs, separator):
    """A query of any names and values ends in a message or a 400."""
    query = separator.join(f"{name}={text}" for name, text in pairs)
    bound_or_refused(f"GET /v1/everything?{query}", ignore_unknown_fields=len(pairs) % 2 == 0)


@settings(max_examples=200)
@given(st.text(alphabet="ab1%2F+:é?&=", min_size=1, max_size=10))
def test_any_path_value_is_bound_or_refused(text):
    """A path of any text ends in a message or a 400."""
    value = text.replace("?", "%3F")
    bound_or_refused(f"GET /v1/rooms/{value}/beds/{value}")
    bound_or_refused(f"GET /v1/texts/{value}")


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=30)), max_size=4))
def test_any_header_is_metadata_or_refused(headers):
    """Header fields of any bytes end in metadata that gRPC takes, or in a 400."""
    prefixed = [(b"grpc-metadata-" + name.lower(), value) for name, value in headers]
    with refusals_only():
        for key, value in metadata.from_headers(prefixed):
            assert isinstance(value, bytes) == key.endswith("-bin")
            assert key.isascii()
