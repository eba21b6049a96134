"""Bodies that arrive slowly, or not at all."""

import asyncio
import gzip
from collections.abc import AsyncGenerator

import pytest

from gateway.transcoding import body
from gateway.transcoding.body import Limits
from gateway.transcoding.errors import StatusError
from gateway.transcoding.http import HttpRequest

SOON = Limits(body_bytes=100, read_seconds=0.05, idle_seconds=0.05)


def request(*chunks: bytes, is_cut: bool = False, coding: str = "identity") -> HttpRequest:
    """Makes a request whose body comes in chunks, the last of which never comes if it is cut."""

    async def given() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield chunk
        if is_cut:
            await asyncio.Event().wait()

    return HttpRequest(
        method="POST",
        path="/",
        query="",
        headers=[(b"content-encoding", coding.encode())],
        names=[b"content-encoding"],
        chunks=given,
        body=None,
    )


async def test_a_body_is_read_whole():
    """Chunks are put together."""
    assert b"abcd" == await body.read(request(b"ab", b"cd"), SOON)


async def test_a_body_that_does_not_come_is_408():
    """A body has to be there in time, and its pieces where it streams."""
    with pytest.raises(StatusError) as error:
        await body.read(request(b"ab", is_cut=True), SOON)
    assert 408 == error.value.http_status
    pieces = body.stream(request(b"ab", is_cut=True), SOON)
    assert b"ab" == await anext(pieces)
    with pytest.raises(StatusError) as error:
        await anext(pieces)
    assert 408 == error.value.http_status


@pytest.mark.parametrize("size", [101, 10_000_000])
async def test_a_bomb_is_not_unpacked(size):
    """What unpacks to more than the limit is 413, whatever it would have become."""
    with pytest.raises(StatusError) as error:
        await body.read(request(gzip.compress(b"\0" * size), coding="gzip"), SOON)
    assert 413 == error.value.http_status
