"""What each side tells of itself by SETTINGS (RFC 9113 section 6.5)."""

import struct
from dataclasses import dataclass, replace
from typing import Final

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.flow_control import DEFAULT_WINDOW, MAX_WINDOW
from gateway.transcoding.transport.native.frames import ConnectionFault

_HEADER_TABLE_SIZE: Final = 1
_ENABLE_PUSH: Final = 2
_MAX_CONCURRENT_STREAMS: Final = 3
_INITIAL_WINDOW_SIZE: Final = 4
_MAX_FRAME_SIZE: Final = 5
_MAX_HEADER_LIST_SIZE: Final = 6

# What else a peer may say is of no interest to a client, or unknown and to be ignored.
_FIELDS: Final = {
    _HEADER_TABLE_SIZE: "header_table_size",
    _MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
    _INITIAL_WINDOW_SIZE: "initial_window_size",
    _MAX_FRAME_SIZE: "max_frame_size",
    _MAX_HEADER_LIST_SIZE: "max_header_list_size",
}

_ITEM: Final = struct.Struct(">HI")
_LARGEST_FRAME: Final = 2**24 - 1

MAX_HEADER_LIST_BYTES: Final = 16_384
"""What one answer's metadata may measure (RFC 9113 section 6.5.2), as grpc has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """What the peer said. The defaults hold until it speaks; None means no limit."""

    header_table_size: int = 4_096
    max_concurrent_streams: int | None = None
    initial_window_size: int = DEFAULT_WINDOW
    max_frame_size: int = frames.MAX_FRAME_BYTES
    max_header_list_size: int | None = None

    def changed(self, payload: bytes) -> "PeerSettings":
        """Gives the settings after a SETTINGS frame. Raises ConnectionFault for a bad one."""
        if len(payload) % _ITEM.size:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "settings are cut off")
        changes: dict[str, int] = {}
        for key, value in _ITEM.iter_unpack(payload):
            if key == _INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window is too large")
            if key == _MAX_FRAME_SIZE and not frames.MAX_FRAME_BYTES <= value <= _LARGEST_FRAME:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "no such frame size")
            if key in _FIELDS:
                changes[_FIELDS[key]] = value
        return replace(self, **changes) if changes else self


def own(window: int) -> bytes:
    """Gives the payload of our SETTINGS: no push, no dynamic table, a window a stream.

    Without a dynamic table a header block means the same wherever it stands, so that its meaning
    can be remembered.
    """
    return b"".join(
        _ITEM.pack(key, value)
        for key, value in (
            (_HEADER_TABLE_SIZE, 0),
            (_ENABLE_PUSH, 0),
            (_INITIAL_WINDOW_SIZE, window),
            (_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES),
        )
    )
