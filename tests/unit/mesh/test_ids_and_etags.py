"""Identifiers and etags: what a caller sends back is checked before it is used."""

import pytest

from services.mesh import etag
from services.mesh.errors import InvalidArgument
from services.mesh.ids import new_id, parse_id


def test_ids_sort_by_time() -> None:
    """A later identifier is greater, and of version 7."""
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {each.version for each in ids} == {7}


def test_id_round_trip() -> None:
    """An identifier is read from its text, in either case."""
    made = new_id()
    assert parse_id(str(made), field="order_id") == made
    assert parse_id(str(made).upper(), field="order_id") == made


@pytest.mark.parametrize("text", ["", "7", "{01a20912-6f3e-7c11-9d0a-5b4f1c2e8a77}", "0" * 32])
def test_no_id(text: str) -> None:
    """Any other text is refused by the name of its field."""
    with pytest.raises(InvalidArgument) as caught:
        parse_id(text, field="order_id")
    assert [each.field for each in caught.value.violations] == ["order_id"]


def test_etag_matches() -> None:
    """No etag and the current one pass."""
    current = etag.of("7", 3)
    etag.check("", current=current)
    etag.check(current, current=current)


@pytest.mark.parametrize(
    "given", [etag.of("7", 2), etag.of("8", 3), "*", etag.of("7", 3).strip('"')]
)
def test_etag_mismatch(given: str) -> None:
    """The etag of another version or another resource is refused."""
    with pytest.raises(etag.EtagMismatch):
        etag.check(given, current=etag.of("7", 3))
