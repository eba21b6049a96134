"""From the entries of a stream to events, which are believed as far as their publisher confirms.

Whoever can write to Redis can put anything into a stream. So a consumer may ask the publisher for
the events by their ids, and goes on with what it is given: an entry is then no more than a hint.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from uuid import UUID

from google.protobuf import json_format

from services.mesh.event_handling import Delivered
from souk.mesh.v1.event_pb2 import Event

Confirm = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, Event]]]
"""Returns those of the events that their publisher has committed, as it has them, by their ids."""

_UNREADABLE = "not a readable event"
_UNCONFIRMED = "the publisher has no such event"


async def read(
    entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]], confirm: Confirm | None
) -> list[Delivered]:
    """Returns what the entries hold. Raises what `confirm` raises; None believes the entries."""
    delivered = [
        _delivered(entry_id.decode(), _text(fields.get(b"event", b"")))
        for entry_id, fields in entries
    ]
    claimed = {UUID(each.event.event_id) for each in delivered if each.event}
    if confirm is None or not claimed:
        return delivered
    confirmed = await confirm(claimed)
    return [_confirmed(each, confirmed) for each in delivered]


def _delivered(entry_id: str, raw: str) -> Delivered:
    event = _event_from_json(raw)
    fault = "" if event else _UNREADABLE
    return Delivered(entry_id=entry_id, raw=raw, event=event, fault=fault)


def _confirmed(delivered: Delivered, confirmed: Mapping[UUID, Event]) -> Delivered:
    if delivered.event is None:
        return delivered
    event = confirmed.get(UUID(delivered.event.event_id))
    if event is None:
        return Delivered(entry_id=delivered.entry_id, raw=delivered.raw, fault=_UNCONFIRMED)
    return Delivered(entry_id=delivered.entry_id, raw=delivered.raw, event=event)


def _event_from_json(raw: str) -> Event | None:
    """Returns the event, or None when it cannot be read or names an unknown payload."""
    try:
        event = json_format.Parse(raw, Event(), ignore_unknown_fields=True)
        UUID(event.event_id)
    except (json_format.ParseError, ValueError):
        return None
    return event


def _text(data: bytes) -> str:
    """Returns what an entry holds as a text that can be stored, whatever it is."""
    # PostgreSQL's texts hold no U+0000, and JSON has none that is not escaped.
    return data.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
