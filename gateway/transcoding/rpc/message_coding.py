"""Packs and unpacks single messages, as the envelope of each says.

The coding is agreed on for the whole stream; each message says whether it is packed.
"""

from dataclasses import dataclass
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding import content_coding
from gateway.transcoding.content_coding import NAMES, BadCoding
from gateway.transcoding.errors import refuse
from gateway.transcoding.rpc.envelope import COMPRESSED
from gateway.transcoding.rpc.failure import failed, message_too_large, unknown_compression

IDENTITY: Final = "identity"
KNOWN: Final = (*NAMES, IDENTITY)
# A message below gains nothing.
_MIN_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCoding:
    """How the messages of a call are packed: the client's, and ours."""

    incoming: str
    outgoing: str
    limit_bytes: int
    """For a message that was unpacked."""

    def unpack(self, flags: int, message: bytes) -> bytes:
        """Gives a message as it was before it was packed. Raises StatusError."""
        if not flags & COMPRESSED:
            return message
        if self.incoming == IDENTITY:
            raise failed(code_pb2.INTERNAL, "a message is compressed, but not said by what")
        if not message:
            return message
        try:
            unpacked = content_coding.unpacked(self.incoming, message, self.limit_bytes)
        except BadCoding as error:
            raise refuse("", f"a message {error}") from None
        if unpacked is None:
            raise message_too_large(self.limit_bytes)
        return unpacked

    def pack(self, message: bytes) -> tuple[int, bytes]:
        """Gives flags and message."""
        if self.outgoing == IDENTITY or len(message) < _MIN_BYTES:
            return 0, message
        return COMPRESSED, content_coding.packed(self.outgoing, message)


def agreed(
    encoding: str | None, accept_encoding: str | None, *, packs: bool, limit_bytes: int
) -> MessageCoding:
    """Agrees on the codings by what a client says: it packs by `encoding`, and takes a list.

    `packs` says whether answers may be packed. Raises StatusError for an unknown `encoding`.
    """
    incoming = (encoding or IDENTITY).strip().lower()
    if incoming not in KNOWN:
        raise unknown_compression(incoming, KNOWN)
    accepted = [name.strip().lower() for name in (accept_encoding or "").split(",")]
    outgoing = next((name for name in accepted if name in NAMES), IDENTITY)
    return MessageCoding(
        incoming=incoming, outgoing=outgoing if packs else IDENTITY, limit_bytes=limit_bytes
    )
