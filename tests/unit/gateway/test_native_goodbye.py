"""The order in which a connection of the native transport tells of its end, without any network."""

import socket
from collections.abc import Iterator

import pytest

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Reply
from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.attempt import Attempt
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.exchange import Unprocessed


class _Network:
    """A transport that takes what is written."""

    def __init__(self, own: socket.socket) -> None:
        self._own = own

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self._own if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        del data

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


class _Caller:
    """Keeps what it is told, beside what others are."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def answered(self, reply: Reply) -> None:
        del reply
        self._told.append("answered")

    def failed(self, error: StatusError | Unprocessed) -> None:
        del error
        self._told.append("failed")


@pytest.fixture
def own() -> Iterator[socket.socket]:
    """Makes a socket that is connected to nobody."""
    with socket.socket() as made:
        yield made


async def test_nobody_calls_again_on_a_connection_that_says_goodbye(own: socket.socket) -> None:
    """A connection is retired before its calls hear of it, who may make the next at once."""
    told: list[str] = []
    connection = Connection("a:1", is_secure=False, on_retired=lambda: told.append("retired"))
    connection.connection_made(_Network(own))  # type: ignore[arg-type]  # as much as is asked of it
    connection.data_received(frames.frame(frames.SETTINGS, 0, 0))
    connection.start(Attempt("/a.B/C", b"", 0, b"", _Caller(told), 100))
    connection.data_received(frames.goaway(frames.NO_ERROR))
    assert ["retired", "failed"] == told
