"""Processes: none gives up, none is late, and what a run took from the machine it gives back."""

from collections.abc import Iterator

from tests.chaos.books import Books

# A pool's most, its listeners and the relay's connection included.
_POOL = 10
# An allocator keeps some of what a flood took, and caches fill once.
_MEMORY_FACTOR, _MEMORY_SPARE_MB = 1.5, 48
_DESCRIPTORS_SPARE = 24

_SAGAS_SECONDS, _OUTBOX_SECONDS = 10.0, 5.0


def no_process_gives_up(books: Books) -> Iterator[str]:
    """No worker of a process ends by itself, and no failure goes unseen, whatever is done to it."""
    for note in books.notes["complaint"]:
        yield f"{note['process']}: {note['line']}"


def sagas_end_in_time(books: Books) -> Iterator[str]:
    """Every order that is under way when the last fault ends is settled ten seconds later."""
    yield from _late(books, "sagas ended", _SAGAS_SECONDS)


def outbox_drains_in_time(books: Books) -> Iterator[str]:
    """Five seconds after Redis is ready again nothing waits, if nothing else was in the way."""
    yield from _late(books, "outbox drained", _OUTBOX_SECONDS)


def _late(books: Books, what: str, most_seconds: float) -> Iterator[str]:
    patience = max((note["patience"] for note in books.notes["plan"]), default=1.0)
    for note in books.notes[what]:
        if not note.get("alone", True):
            continue
        if note["seconds"] is None or note["seconds"] > most_seconds * patience:
            yield f"{what} after {note['seconds']} s, allowed are {most_seconds * patience:g}"


def memory_is_back(books: Books) -> Iterator[str]:
    """No process keeps much more memory than before the first fault."""
    for name, now in books.usage.items():
        most = books.baseline[name].resident_mb * _MEMORY_FACTOR + _MEMORY_SPARE_MB
        if now.resident_mb > most:
            yield f"{name}: {now.resident_mb:.0f} MiB, allowed are {most:.0f}"


def descriptors_are_back(books: Books) -> Iterator[str]:
    """No process keeps many more files and sockets open than before the first fault."""
    for name, now in books.usage.items():
        most = books.baseline[name].descriptors + _DESCRIPTORS_SPARE
        if now.descriptors > most:
            yield f"{name}: {now.descriptors} descriptors, allowed are {most}"


def connections_are_back(books: Books) -> Iterator[str]:
    """No service has more connections to its database than its pool, none in a transaction."""
    for name, now in books.usage.items():
        if now.connections > _POOL:
            yield f"{name}: {now.connections} connections"
        if now.in_transaction:
            yield f"{name}: {now.in_transaction} connections in a transaction"
