"""Each row of `bad_input.frames` ends as it says; the service goes on, and its limits are told."""

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import hpack
import pytest

from tests.contract import scene as scenes
from tests.contract.bad_input import frames
from tests.contract.bad_input.calls import GOOD
from tests.contract.bad_input.frames import FRAMES, Frames
from tests.contract.conftest import ChannelAs
from tests.contract.scene import Scene
from tests.contract.shop import Shop
from tests.contract.tables import Desk
from tests.contract.test_bad_calls import check_ends

_SECONDS = 30.0
_SILENCE_SECONDS = 0.3
_HEAD = 9
_MAX_CONCURRENT_STREAMS, _MAX_HEADER_LIST_SIZE = 3, 6


@pytest.fixture(scope="module")
def process() -> str:
    """Sends the frames to the product service."""
    return "product"


@pytest.fixture(scope="module")
def scene(shop: Shop, channel_as: ChannelAs) -> Scene:
    """Sets the scene."""
    return scenes.begin(Desk(shop=shop, stub=None, channel_as=channel_as))


@contextmanager
def connected(shop: Shop) -> Iterator[ssl.SSLSocket]:
    """Open a connection as the developer, who may call the service, and speak bytes."""
    folder = shop.certs_folder
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "developer.pem", folder / "developer-key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = shop.addresses["product"].rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="product") as connection,
    ):
        yield connection


def received(connection: ssl.SSLSocket) -> Iterator[tuple[int, bytes]]:
    """Tell the kind and the payload of each frame until the connection ends."""
    data = b""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            piece = connection.recv(65_536)
        except (ConnectionError, ssl.SSLError):
            return
        if not piece:
            return
        data += piece
        while len(data) >= _HEAD and len(data) >= (size := _HEAD + int.from_bytes(data[:3])):
            yield data[3], data[_HEAD:size]
            data = data[size:]
    raise TimeoutError


def end(connection: ssl.SSLSocket, silence_seconds: float = _SECONDS) -> str:
    """Tell how the connection or its stream ends: "goaway", "closed", "reset", or gRPC's code.

    It is "silent" if nothing comes in so many seconds after the answer to a ping.
    """
    decoder = hpack.Decoder()
    for kind, payload in received(connection):
        if kind == frames.PING:
            connection.settimeout(silence_seconds)
        if kind == frames.GOAWAY:
            return "goaway"
        if kind == frames.RST_STREAM:
            return "reset"
        if kind == frames.HEADERS:
            fields = {_text(name): _text(value) for name, value in decoder.decode(payload)}
            if "grpc-status" in fields:
                return fields["grpc-status"]
            if fields.get(":status", "200") != "200":
                return "reset"
    return "closed"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def outcome(connection: ssl.SSLSocket, row: Frames) -> str:
    """Send the frames, and a ping after them that tells when they have been read."""
    patience = _SILENCE_SECONDS if "silent" in row.ends else _SECONDS
    try:
        connection.sendall(row.sent + frames.frame(frames.PING, b"\0" * 8, stream=0))
        return end(connection, patience)
    except TimeoutError:
        return "silent"
    except (ConnectionError, ssl.SSLError):
        return "closed"


@pytest.mark.parametrize("row", FRAMES.values(), ids=FRAMES)
def test_bad_frames_end_what_they_are_part_of(
    row: Frames, shop: Shop, scene: Scene, channel_as: ChannelAs
):
    """The connection, the stream or the call ends; the shop is as before and serves the next."""
    before = scene.look()
    with connected(shop) as connection:
        found = outcome(connection, row)
    assert found in row.ends
    assert before == scene.look()
    check_ends(GOOD, channel_as)


def test_the_service_tells_its_limits(shop: Shop):
    """A client knows from the first frame how many streams and how much metadata are taken."""
    with connected(shop) as connection:
        connection.sendall(frames.OPENING)
        kind, payload = next(received(connection))
    settings = dict(struct.iter_unpack(">HI", payload))
    assert frames.SETTINGS == kind
    assert (1000, 8 * 1024) == (
        settings[_MAX_CONCURRENT_STREAMS],
        settings[_MAX_HEADER_LIST_SIZE],
    )


def test_what_the_rows_are_made_from_is_right(shop: Shop):
    """The same frames with nothing wrong in them are a call, answered by the service itself."""
    with connected(shop) as connection:
        connection.sendall(frames.OPENING + frames.headers() + frames.message(b""))
        assert "3" == end(connection)
