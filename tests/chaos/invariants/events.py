"""Events: every one that was committed was published and told of, none twice, none left over."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.books import Books

TYPES = {
    "PENDING": "order.created",
    "CONFIRMED": "order.confirmed",
    "SHIPPED": "order.shipped",
    "DELIVERED": "order.delivered",
    "CANCELLED": "order.cancelled",
    "REJECTED": "order.rejected",
    "EXPIRED": "order.expired",
    "REFUNDED": "order.refunded",
}


def events_tell_of_steps(books: Books) -> Iterator[str]:
    """Each step that others are told of has one event in the outbox, in the steps' order."""
    steps: dict[str, list[str]] = {}
    for row in books.steps:
        if row["to_state"] in TYPES:
            steps.setdefault(str(row["order_id"]), []).append(TYPES[row["to_state"]])
    events: dict[str, list[str]] = {}
    for row in sorted(books.outbox, key=lambda row: row["sequence"]):
        events.setdefault(row["aggregate_id"], []).append(row["type"])
    for order in steps.keys() | events.keys():
        if steps.get(order) != events.get(order):
            yield f"order {order}: steps {steps.get(order)}, events {events.get(order)}"


def nothing_is_unpublished(books: Books) -> Iterator[str]:
    """Every event of the outbox counts as published."""
    for row in books.outbox:
        if row["published_at"] is None:
            yield f"event {row['event_id']} of {row['aggregate_id']} is not published"


def stream_has_what_was_published(books: Books) -> Iterator[str]:
    """The stream has each event of the outbox, and nothing else but what the harness put there.

    Entries that a Redis lost which was emptied are not asked for: consumers replayed them.
    """
    lost = {event for note in books.notes["stream lost"] for event in note["events"]}
    poison = {note["entry"] for note in books.notes["poison"]}
    published = {str(row["event_id"]) for row in books.outbox}
    streamed = {row.get("eventId") for row in books.stream if row["entry_id"] not in poison}
    for event in sorted(published - streamed - lost):
        yield f"event {event} is not in the stream"
    for other in streamed - published:
        yield f"event {other} is in the stream and was never committed"


def everybody_was_told(books: Books) -> Iterator[str]:
    """Each event was handled: it has one notification or is a dead letter, and is in the inbox."""
    told = Counter(str(row["event_id"]) for row in books.notifications)
    buried = Counter(str(row["event_id"]) for row in books.dead_letters if row["event_id"])
    handled = {str(row["event_id"]) for row in books.inbox}
    poison = {note["event"] for note in books.notes["poison"] if note["event"]}
    events = {str(row["event_id"]) for row in books.outbox}
    for event in events:
        if told[event] + buried[event] != 1 or event not in handled:
            yield f"event {event}: {told[event]} notifications, {buried[event]} dead letters"
    for event in (told.keys() | buried.keys()) - events - poison:
        yield f"event {event} was told of and never committed"


def poison_became_dead_letters(books: Books) -> Iterator[str]:
    """What could not be handled is a dead letter, once, and stops nothing."""
    raws = Counter(row["raw"] for row in books.dead_letters)
    lost = {entry for note in books.notes["stream lost"] for entry in note["entries"]}
    for note in books.notes["poison"]:
        if raws[note["raw"]] != 1 and not (note["entry"] in lost and not raws[note["raw"]]):
            yield f"poison {note['entry']}: {raws[note['raw']]} dead letters"


def nothing_is_pending(books: Books) -> Iterator[str]:
    """The consumer group has read the whole stream and acknowledged all of it."""
    if books.stream:
        if books.group.get("pending"):
            yield f"{books.group['pending']} entries are not acknowledged"
        last = books.stream[-1]["entry_id"]
        if books.group.get("last-delivered-id", b"").decode() != last:
            yield f"read up to {books.group.get('last-delivered-id')}, the last is {last}"
