"""Every broken rule of a request is told by its field, and no secret with it."""

from typing import Any

import pytest

from services.mesh.interceptors.validation import InvalidRequest, validate
from tests.echo import EchoRequest


def told(**fields: Any) -> list[tuple[str, str]]:
    """Return the fields and rules that a request breaks."""
    with pytest.raises(InvalidRequest) as caught:
        validate(EchoRequest(**fields))
    return [(each.field, each.reason) for each in caught.value.violations]


def test_a_good_request_passes() -> None:
    """A request that keeps its rules is let through."""
    validate(EchoRequest(text="hello", items=[{"quantity": 1}], password="long enough"))


def test_all_violations_are_told_at_once() -> None:
    """Each broken rule is told with the path of its field, through lists and maps."""
    expected = [
        ("text", "string.max_len"),
        ("items[0].quantity", "int32.gte"),
        ("items[2].quantity", "int32.gte"),
        ('labels["a"]', "string.max_len"),
    ]
    assert expected == told(
        text="x" * 101,
        items=[{"quantity": 0}, {"quantity": 1}, {"quantity": -1}],
        labels={"a": "too long"},
    )


def test_the_value_of_a_redacted_field_is_not_told() -> None:
    """Even a rule that weaves the value into its text tells nothing of a redacted field."""
    with pytest.raises(InvalidRequest) as caught:
        validate(EchoRequest(password="hush"))
    error = caught.value
    assert [("password", "password.weak")] == [(v.field, v.reason) for v in error.violations]
    assert "hush" not in f"{error.message}{error.violations}"
