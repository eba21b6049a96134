"""A page token leads on in its own list and nowhere else."""

import base64
import hashlib
from contextlib import nullcontext
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mesh import page_token
from services.mesh.errors import InvalidArgument
from souk.product.v1.product_service_pb2 import ListProductsRequest

cursors = st.dictionaries(st.text(), st.text(), max_size=4)


@given(cursors, st.binary())
def test_round_trip(cursor: dict[str, str], bound_to: bytes) -> None:
    """The cursor comes back as it went in."""
    token = page_token.encode(cursor, bound_to=bound_to)
    assert page_token.decode(token, bound_to=bound_to) == cursor


@given(cursors)
def test_url_safe(cursor: dict[str, str]) -> None:
    """A token needs no escaping in a URL (RFC 3986 section 2.3)."""
    token = page_token.encode(cursor, bound_to=b"list")
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_foreign_list() -> None:
    """A token of one list is refused by another."""
    token = page_token.encode({"id": "7"}, bound_to=b"one")
    with pytest.raises(InvalidArgument) as caught:
        page_token.decode(token, bound_to=b"other")
    assert [each.field for each in caught.value.violations] == ["page_token"]


@given(st.text(max_size=100))
def test_any_text(token: str) -> None:
    """Whatever a caller sends as a token is either refused properly or was a token."""
    with pytest.raises(InvalidArgument):
        page_token.decode(token, bound_to=b"list")


@given(st.data())
def test_damaged(data: st.DataObject) -> None:
    """A token with any bit flipped is refused."""
    token = page_token.encode({"id": "7"}, bound_to=b"list")
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidArgument):
        page_token.decode(base64.urlsafe_b64encode(raw).decode(), bound_to=b"list")


@pytest.mark.parametrize("cursor", [{"time": "yesterday"}, {}])
def test_forged_cursor(cursor: dict[str, str]) -> None:
    """A cursor that does not say what the store needs is a bad token, not a failure of ours."""
    token = page_token.encode(cursor, bound_to=b"list")
    with pytest.raises(InvalidArgument):
        page_token.parse(
            token, bound_to=b"list", into=lambda each: datetime.fromisoformat(each["time"])
        )


@pytest.mark.parametrize("body", [b"null", b"[]", b"7", b'{"id":7}', b'{"id":null}', b"\xff", b"{"])
def test_no_cursor(body: bytes) -> None:
    """What is sealed but is no object of texts is a bad token too."""
    seal = hashlib.sha256(b"list" + body).digest()[:12]
    token = base64.urlsafe_b64encode(seal + body).rstrip(b"=").decode()
    with pytest.raises(InvalidArgument):
        page_token.decode(token, bound_to=b"list")


@pytest.mark.parametrize(("number", "fits"), [(2**31 - 1, True), (2**31, False), (-(2**40), False)])
def test_whole_number(number: int, *, fits: bool) -> None:
    """A number in a cursor is one that the store can hold."""
    with nullcontext() if fits else pytest.raises(ValueError, match="large"):
        assert number == page_token.whole_number(str(number), bits=32)


def test_binding() -> None:
    """A token is bound to every field but the page itself."""
    first = page_token.binding(ListProductsRequest(filter="a", page_size=10))
    assert first == page_token.binding(ListProductsRequest(filter="a", page_token="t"))
    assert first != page_token.binding(ListProductsRequest(filter="b", page_size=10))
