"""Frames, header blocks and messages of the native transport, without any socket."""

import contextlib

import hpack
import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native import answer, frames, message, request_head
from gateway.transcoding.transport.native.answer import AnswerHeads
from gateway.transcoding.transport.native.frames import ConnectionFault, FrameReader
from gateway.transcoding.transport.native.message import MessageReader, MessagesReader
from gateway.transcoding.transport.native.peer_settings import PeerSettings
from gateway.transcoding.transport.native.request_head import RequestHeads

_CONSTANTS = ((":authority", "shop:443"), ("te", "trailers"), ("user-agent", "x"))


def _decoded(decoder: hpack.Decoder, block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


def test_request_heads() -> None:
    """What a peer reads is the same, whatever of it stands in its table by then."""
    heads, decoder = RequestHeads("http", _CONSTANTS), hpack.Decoder()
    sizes = []
    for path in ["/a.B/C", "/a.B/C", "/d.E/F", "/a.B/C", "/d.E/F", "/a.B/C"]:
        block = heads.begin(path)
        sizes.append(len(block))
        expected = [(":method", "POST"), (":scheme", "http"), (":path", path), *_CONSTANTS]
        assert expected == _decoded(decoder, block)
    assert [6] * 3 == sizes[-3:]


@pytest.mark.parametrize("table_size", [0, 100, 4095, 4096, 65_536])
def test_request_heads_by_table(table_size: int) -> None:
    """A peer with a smaller table reads the same."""
    heads, decoder = RequestHeads("https", _CONSTANTS), hpack.Decoder()
    _decoded(decoder, heads.begin("/before/it"))
    heads.limit(table_size)
    decoder.max_allowed_table_size = min(table_size, 4096)
    for path in ["/a.B/C", "/a.B/C", "/d.E/F", "/a.B/C"]:
        expected = [(":method", "POST"), (":scheme", "https"), (":path", path), *_CONSTANTS]
        assert expected == _decoded(decoder, heads.begin(path))


def test_request_heads_of_many_methods() -> None:
    """More paths than the table holds are sent all the same."""
    heads, decoder = RequestHeads("http", _CONSTANTS), hpack.Decoder()
    for number in [*range(300), *range(300)]:
        path = f"/package.Service/Method{number}"
        assert path == dict(_decoded(decoder, heads.begin(path)))[":path"]


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300),
        )
    )
)
def test_metadata(items: list[tuple[str, str]]) -> None:
    """Metadata is read as it was given."""
    assert items == _decoded(hpack.Decoder(), request_head.fields(tuple(items)))


def test_credentials() -> None:
    """Nobody on the way may put a credential into a table (RFC 7541 section 7.1.3)."""
    [field] = hpack.Decoder().decode(request_head.fields((("authorization", "Bearer x"),)))
    assert not field.indexable


@pytest.mark.parametrize(
    "item", [("Upper", "x"), ("a b", "x"), (":path", "/"), ("a", "\n"), ("a", "é")]
)
def test_malformed_metadata(item: tuple[str, str]) -> None:
    """What is no metadata is not sent."""
    with pytest.raises(StatusError) as caught:
        request_head.fields((item,))
    assert code_pb2.INTERNAL == caught.value.status.code


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1u"),
        (-1, "1u"),
        (0.25, "250000u"),
        (5, "5000000u"),
        (200, "200000m"),
        (1e6, "1000000S"),
    ],
)
def test_timeout(seconds: float, text: str) -> None:
    """A timeout has at most eight digits and is never more than what is left."""
    assert [("grpc-timeout", text)] == _decoded(hpack.Decoder(), request_head.timeout(seconds))


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.booleans(), st.integers(1, 99), st.integers(1, 40)),
        max_size=8,
    ),
    st.data(),
)
def test_frames(shapes: list[tuple[int, bool, int, int]], pieces: st.DataObject) -> None:
    """Frames are read the same, however the bytes are cut; header blocks come whole."""
    wire, expected = b"", []
    for size, is_block, stream_id, max_bytes in shapes:
        payload = bytes(size)
        if is_block:
            wire += frames.headers(stream_id, payload, max_bytes)
            expected.append((frames.HEADERS, stream_id, payload))
        else:
            wire += frames.frame(frames.DATA, 0, stream_id, payload)
            expected.append((frames.DATA, stream_id, payload))
    reader, got = FrameReader(), []
    while wire:
        cut = pieces.draw(st.integers(1, len(wire)))
        got += [(kind, stream, payload) for kind, _, stream, payload in reader.feed(wire[:cut])]
        wire = wire[cut:]
    assert expected == got


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Whatever comes is frames or a fault of the connection."""
    reader, heads = FrameReader(), AnswerHeads()
    with contextlib.suppress(ConnectionFault):
        for kind, _, _, payload in reader.feed(data):
            if kind == frames.HEADERS:
                heads[payload]
            else:
                frames.unpadded(payload)
                PeerSettings().changed(payload)


@given(st.binary(max_size=100))
def test_any_block(block: bytes) -> None:
    """Whatever a header block holds, it is read or is a fault of the connection."""
    with contextlib.suppress(ConnectionFault):
        AnswerHeads()[block]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b":status", b"grpc-status", b"grpc-message", b"content-type", b"x-bin"]
            )
            | st.sampled_from([b"grpc-status-details-bin", b"grpc-retry-pushback-ms", b"x-bin"]),
            st.binary(max_size=20) | st.just(b"9" * 5_000),
        )
    )
)
def test_any_fields(pairs: list[tuple[bytes, bytes]]) -> None:
    """Whatever the fields of an answer hold, they say something."""
    head = answer.read(pairs)
    assert isinstance(answer.failure_of_trailers(head, head), StatusError)


def test_answer_heads_with_a_table() -> None:
    """A peer that uses a dynamic table against our wish is understood."""
    encoder, heads = hpack.Encoder(), AnswerHeads()
    for number in [1, 2, 1, 3, 1, 2]:
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("x-n", str(number))]
        assert (("x-n", str(number)),) == heads[encoder.encode(fields)].metadata


def test_answer_head() -> None:
    """An answer's head is read: codes, percent-encoding, bytes in either form of base64."""
    head = answer.read(
        [
            (b":status", b"200"),
            (b"content-type", b"application/grpc+proto"),
            (b"grpc-status", b"5"),
            (b"grpc-message", b"caf%C3%A9 %zz%"),
            (b"x-bin", b"AQ,Ag=="),
            (b"grpc-retry-pushback-ms", b"10"),
        ]
    )
    assert (200, True, 5, "café %zz%", 10) == (
        head.http_status,
        head.is_grpc,
        head.status,
        head.message,
        head.pushback_ms,
    )
    assert {("x-bin", b"\1"), ("x-bin", b"\2")} <= set(head.metadata)


@pytest.mark.parametrize(
    ("content_type", "is_grpc"),
    [("application/grpc", True), ("application/grpc;x", True), ("application/grpc-web", False)],
)
def test_content_type(content_type: str, *, is_grpc: bool) -> None:
    """Only gRPC's own content types are gRPC."""
    assert is_grpc == answer.read([(b"content-type", content_type.encode())]).is_grpc


@given(st.binary(max_size=200), st.data())
def test_message(body: bytes, pieces: st.DataObject) -> None:
    """A message is read the same, however it is cut."""
    wire, reader = message.framed(body), MessageReader("identity")
    while wire:
        cut = pieces.draw(st.integers(1, len(wire)))
        reader.feed(wire[:cut])
        wire = wire[cut:]
    assert body == reader.message


@given(st.lists(st.binary(max_size=200), max_size=6), st.data())
def test_messages(bodies: list[bytes], pieces: st.DataObject) -> None:
    """The messages of a stream are read the same, however they are cut."""
    wire, reader = b"".join(message.framed(body) for body in bodies), MessagesReader()
    got: list[bytes] = []
    total = len(wire)
    while wire:
        cut = pieces.draw(st.integers(1, len(wire)))
        got += [body for body, _ in reader.feed(wire[:cut])]
        wire = wire[cut:]
        taken = sum(message.PREFIX_BYTES + len(body) for body in got)
        assert total - len(wire) == taken + reader.partial
        assert (reader.partial == 0) == (reader.missing == 0)
    assert bodies == got


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=20))
def test_any_messages(pieces: list[bytes]) -> None:
    """Whatever comes is messages or a failure of the call."""
    reader = MessagesReader(1_000)
    with contextlib.suppress(StatusError):
        for piece in pieces:
            assert all(len(body) <= 1_000 for body, _ in reader.feed(piece))
