"""What the call being served hands on to the calls made for it: its time and its name."""

import asyncio
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_expiry: ContextVar[float | None] = ContextVar("expiry", default=None)


def request_id() -> str:
    """Return the id under which this call appears in every log; empty outside of a call."""
    return _request_id.get()


def remaining() -> float | None:
    """Return the seconds that are left, negative when spent; None if nothing bounds the call."""
    expiry = _expiry.get()
    return None if expiry is None else expiry - asyncio.get_running_loop().time()


def name(request_id: str) -> None:
    """Give the call that the current task serves its id."""
    _request_id.set(request_id)


def expire_in(seconds: float) -> None:
    """Bound the call that the current task serves."""
    _expiry.set(asyncio.get_running_loop().time() + seconds)
