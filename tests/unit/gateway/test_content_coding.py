"""Content codings: what is packed is unpacked in pieces, and no bomb goes off."""

import random

import pytest

from gateway.transcoding import compression, content_coding, descriptors
from gateway.transcoding.content_coding import NAMES, PIECE_BYTES, BadCoding, FlushingGzip
from gateway.transcoding.http import HttpResponse
from gateway.transcoding.secrets import methods_with_secrets
from tests.unit.gateway.protos import compiled

LIMIT = 256 * 1024
RANDOM = random.Random(1).randbytes(300_000)  # noqa: S311  # to be packed


@pytest.mark.parametrize("coding", NAMES)
@pytest.mark.parametrize("size", [0, 1, 1000, PIECE_BYTES, PIECE_BYTES + 1, LIMIT])
@pytest.mark.parametrize("source", [b"a" * LIMIT, RANDOM])
@pytest.mark.parametrize("step", [1_000, LIMIT * 2])
def test_what_is_packed_comes_back(coding, size, source, step):
    """A body comes back whole, however it is cut."""
    data = source[:size]
    packed = content_coding.packed(coding, data)
    decoder = content_coding.decoder(coding)
    assert decoder is not None
    found = b"".join(
        piece
        for at in range(0, len(packed), step)
        for piece in decoder.feed(packed[at : at + step])
    )
    decoder.finish()
    assert data == found
    assert data == content_coding.unpacked(coding, packed, LIMIT)


@pytest.mark.parametrize("coding", NAMES)
def test_a_bomb_is_unpacked_up_to_the_limit(coding):
    """What would be larger than the limit is given up, in pieces of bounded size until then."""
    bomb = content_coding.packed(coding, b"a" * 50_000_000)
    assert len(bomb) < 250_000
    decoder = content_coding.decoder(coding)
    assert decoder is not None
    first = next(piece for piece in decoder.feed(bomb) if piece)
    assert len(first) <= 2 * PIECE_BYTES
    assert content_coding.unpacked(coding, bomb, LIMIT) is None


@pytest.mark.parametrize("coding", NAMES)
@pytest.mark.parametrize("source", [b"a" * 1000, RANDOM])
def test_what_is_damaged_is_refused(coding, source):
    """What is cut off, goes on, or is something else is no body."""
    packed = content_coding.packed(coding, source)
    for damaged in (packed[:-1], packed[: len(packed) // 2], packed + b"x", b"other" * 100, b""):
        with pytest.raises(BadCoding):
            content_coding.unpacked(coding, damaged, 10**6)


def test_a_window_larger_than_http_allows_is_refused():
    """A zstd frame that wants more than 8 MiB of window is refused (RFC 9659)."""
    # A frame header: magic number, no single segment, a window of 2^30 bytes.
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes(((30 - 10) << 3,)) + b"\x01\x00\x00"
    with pytest.raises(BadCoding):
        content_coding.unpacked("zstd", frame, LIMIT)


def test_a_stream_is_readable_message_by_message():
    """Each message of a packed stream can be unpacked when it has come."""
    packer = FlushingGzip()
    decoder = content_coding.decoder("gzip")
    assert decoder is not None
    for message in (b'{"a":1}\n', b'{"a":2}\n'):
        assert message == b"".join(decoder.feed(packer.feed(message)))
    assert b"" == b"".join(decoder.feed(packer.finish()))
    decoder.finish()


@pytest.mark.parametrize(
    ("content_type", "is_packed"),
    [
        (b"application/json", True),
        (b"application/json; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"text/html", True),
        (b"image/svg+xml", True),
        (b"application/proto", True),
        (b"image/png", False),
        (b"application/octet-stream", False),
        (b"application/grpc-web+proto", False),
        (b"application/connect+json", False),
        (b"", False),
    ],
)
def test_text_is_packed(content_type, is_packed):
    """Text gains by it; pictures do not, and RPC packs its messages one by one."""
    headers = [(b"content-type", content_type)]
    response = HttpResponse(status=200, headers=headers, body=b"a" * 2000)
    compression.compress(response, [(b"accept-encoding", b"zstd")])
    assert is_packed == ((b"content-encoding", b"zstd") in response.headers)


def test_what_is_packed_already_is_left_alone():
    """An answer with a coding of its own keeps it."""
    headers = [(b"content-type", b"text/css"), (b"content-encoding", b"br")]
    response = HttpResponse(status=200, headers=headers, body=b"a" * 2000)
    compression.compress(response, [(b"accept-encoding", b"gzip")])
    assert b"a" * 2000 == response.body


SECRETS = """
syntax = "proto3";
package shop.v1;
message Empty {}
message Token { string value = 1 [debug_redact = true]; }
message Session { Loop loop = 1; }
message Loop { Session session = 1; map<string, Token> tokens = 2; }
message Number { int64 value = 1 [debug_redact = true]; Loop2 loop = 2; }
message Loop2 { Number number = 1; }
service Users {
  rpc Login(Empty) returns (Token);
  rpc Refresh(Empty) returns (Session);
  rpc List(Empty) returns (Loop);
  rpc Count(Token) returns (Number);
}
"""


def test_answers_with_secrets_are_known_by_their_contract():
    """A method answers with secrets if a redacted text can stand anywhere in its answer."""
    methods = descriptors.from_set(compiled(SECRETS)).methods
    expected = {f"shop.v1.Users.{name}" for name in ("Login", "Refresh", "List")}
    assert expected == methods_with_secrets(methods)
