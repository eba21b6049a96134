"""What the call being served came with, and what it hands on to the calls made for it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from services.mesh.room import Room

Metadata = Sequence[tuple[str, str]]


class ServedCall:
    """What is known of one call.

    `rpc` is its path on the wire, empty outside of an RPC. `metadata` is what it came with.
    `request_id` is the id under which it appears in every log. `traceparent` is its place in its
    trace (W3C Trace Context), empty if it has none. `expiry` is when its time is over, by
    `time.monotonic()`, None if nothing bounds it. `room` is what it takes of the process's limit,
    None if it takes none.
    """

    __slots__ = ("expiry", "metadata", "request_id", "room", "rpc", "traceparent")

    def __init__(
        self,
        request_id: str = "",
        metadata: Mapping[str, str] | None = None,
        traceparent: str = "",
        rpc: str = "",
    ) -> None:
        self.rpc = rpc
        self.request_id = request_id
        self.metadata = metadata or {}
        self.traceparent = traceparent
        self.expiry: float | None = None
        self.room: Room | None = None


# One variable for all of it, since setting one is paid by every call.
_current: ContextVar[ServedCall] = ContextVar("served_call", default=ServedCall())  # noqa: B039  # outside of a call it is never changed


# That of calls of which no more is known. Its methods are called as they are, without a function.
_name: ContextVar[str] = ContextVar("name", default="")


_arrived: ContextVar[Metadata] = ContextVar("arrived", default=())


def arrive(metadata: Any) -> None:
    """Keep the metadata of a call that the current task is about to serve, as gRPC has them."""
    _arrived.set(metadata or ())


def arrived() -> dict[str, str]:
    """Return the metadata that were kept; values of one key are joined by ", " (RFC 9110, 5.3)."""
    pairs = _arrived.get()
    metadata = dict(pairs)
    if len(metadata) < len(pairs):
        for key in metadata:
            metadata[key] = ", ".join(str(value) for name, value in pairs if name == key)
    return metadata


def current() -> ServedCall:
    """Return the call that the current task serves, or for; an empty one outside of a call."""
    return _current.get()


def begin(call: ServedCall) -> None:
    """State which call the current task serves."""
    _current.set(call)


def request_id() -> str:
    """Return the id under which this call appears in every log; empty outside of a call."""
    return _current.get().request_id or _name.get()


def remaining() -> float | None:
    """Return the seconds that are left, negative when spent; None if nothing bounds the call."""
    expiry = _current.get().expiry
    return None if expiry is None else expiry - time.monotonic()


name: Final[Callable[[str], Token[str]]] = _name.set
"""Begins a call of which no more than its id is known; returns what ends it."""

forget: Final[Callable[[Token[str]], None]] = _name.reset
"""Ends what `name` began, where it is not the task that ends."""


@contextmanager
def named(request_id: str) -> Iterator[None]:
    """Speak for a call of which no more than its id is known, and then for who spoke before."""
    token = name(request_id)
    try:
        yield
    finally:
        forget(token)
