"""Compressed bodies, both ways: gzip, br and zstd."""

import asyncio
import gzip
import importlib
import json
import sys
import zlib
from functools import partial

import aiohttp
import brotli  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway

zstd = importlib.import_module(
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
)
JSON = {"content-type": "application/json"}
BODY = b'{"text": "a"}'
# Without the time: test ids are made of it, and every worker must have the same.
_gzip = partial(gzip.compress, mtime=0)
PACK = {"gzip": _gzip, "br": brotli.compress, "zstd": zstd.compress}
UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
RESOURCE = "/v1/resources/a"


@pytest.mark.parametrize("coding", [*PACK, "x-gzip", "GZIP"])
async def test_a_body_may_be_compressed(http: Http, echo: Echo, coding):
    """A compressed body is read."""
    data = PACK.get(coding, _gzip)(BODY)
    headers = {**JSON, "content-encoding": coding}
    answer = await http("POST", "/v1/everything", data=data, headers=headers)
    assert (200, ["a"]) == (answer.status, [call.request.text for call in echo.calls])


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("damage", ["cut", "more", "other"])
async def test_a_damaged_body_is_refused(http: Http, echo: Echo, coding, damage):
    """A body that is cut off, goes on, or is not what it says is 400, and no call."""
    packed = PACK[coding](BODY)
    data = {"cut": packed[:-4], "more": packed + b"x", "other": BODY}[damage]
    headers = {**JSON, "content-encoding": coding}
    answer = await http("POST", "/v1/everything", data=data, headers=headers)
    assert (400, 3) == (answer.status, answer.json["code"])
    assert [] == echo.calls


@pytest.mark.parametrize("coding", ["deflate", "compress", "gzip, br"])
async def test_an_unknown_coding_is_refused(http: Http, echo: Echo, coding):
    """Another coding is 415, which names those that are known (RFC 9110 section 15.5.16)."""
    headers = {**JSON, "content-encoding": coding}
    answer = await http("POST", "/v1/everything", data=zlib.compress(BODY), headers=headers)
    assert (415, "zstd, br, gzip") == (answer.status, answer.headers["accept-encoding"])
    assert [] == echo.calls


@pytest.mark.parametrize("coding", PACK)
async def test_a_bomb_is_refused(http: Http, echo: Echo, coding):
    """A small body that unpacks to much is 413."""
    data = PACK[coding](b'{"text": "' + b"a" * 20_000_000 + b'"}')
    headers = {**JSON, "content-encoding": coding}
    answer = await http("POST", "/v1/everything", data=data, headers=headers)
    assert (413, 3) == (answer.status, answer.json["code"])
    assert [] == echo.calls


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1, br;q=0.5, zstd;q=0.1", "gzip"),
        ("zstd;q=0, br;q=0.000, gzip;q=0.001", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "br"),
        ("br;q=2, gzip", "gzip"),
        ("br;q=nan, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.6", "gzip"),
        ("identity, gzip;q=0.6", None),
        ("identity", None),
        ("deflate", None),
        ("", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        (None, None),
    ],
)
async def test_an_answer_is_compressed_as_the_client_likes(http: Http, accepted, coding):
    """The coding with the highest weight is taken, of equals ours (RFC 9110 section 12.5.3)."""
    headers = {} if accepted is None else {"accept-encoding": accepted}
    skipped = ["accept-encoding"] if accepted is None else []
    answer = await http("GET", RESOURCE, headers=headers, skip_auto_headers=skipped)
    assert coding == answer.headers.get("content-encoding")
    assert "accept-encoding" == answer.headers["vary"]
    body = UNPACK[coding](answer.body) if coding else answer.body
    assert "x" * 2000 == json.loads(body)["title"]


async def test_what_gains_nothing_is_not_compressed(http: Http):
    """Short answers, and bodies that are no text, stay as they are."""
    accept = {"accept-encoding": "gzip, br, zstd"}
    short = await http("GET", "/v1/everything?text=a", headers=accept)
    assert {"content-encoding", "vary"}.isdisjoint(short.headers)
    image = {**accept, "content-type": "image/png"}
    raw = await http("POST", "/v1/raw/a", data=b"a" * 5000, headers=image)
    assert b"a" * 5000 == raw.body
    text = {**accept, "content-type": "text/plain"}
    packed = await http("POST", "/v1/raw/a", data=b"a" * 5000, headers=text)
    assert "zstd" == packed.headers["content-encoding"]


@pytest.mark.parametrize("coding", PACK)
async def test_a_long_answer_is_compressed_in_pieces(http: Http, coding):
    """What takes long to compress is sent as it is done."""
    text = ", ".join(str(number) for number in range(30_000))
    headers = {"content-type": "text/plain", "accept-encoding": coding}
    answer = await http("POST", "/v1/raw/a", data=text.encode(), headers=headers)
    assert "content-length" not in answer.headers
    assert text.encode() == UNPACK[coding](answer.body)


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_a_stream_is_compressed_message_by_message(
    gateway: Gateway, session: aiohttp.ClientSession, accept
):
    """Each message of a compressed stream can be read when it comes."""
    headers = {"accept": accept, "accept-encoding": "br, gzip, zstd"}
    url = f"{gateway.url}/v1/names:watch?count=2&endless=true"
    read = zlib.decompressobj(16 + zlib.MAX_WBITS)
    got = b""
    async with session.get(url, headers=headers) as response, asyncio.timeout(30):
        assert "gzip" == response.headers["content-encoding"]
        while b'"2"' not in got:
            got += read.decompress(await response.content.readany())
        response.close()
    expected = b'"1"\n"2"\n' if accept.endswith("ndjson") else b'id: 1\ndata: "1"\n\nid: 2\n'
    assert got.startswith(expected)
