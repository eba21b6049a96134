"""Clients of stores whose credentials change: another one is opened, and the former one drained.

    secret changes ─▶ open with the new text ─▶ it answers ─▶ new work goes there ─▶ old one closed
                         ▲       │ no                                when its work is done, or
                         └───────┘ after a pause                     `DRAIN_SECONDS` later

So both credentials must be good for a while, as those of Vault's database engine are: the former
user is to be dropped no sooner than `DRAIN_SECONDS` and the period of looking (`reload_period`)
after the file was written.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Never

import structlog

from services.mesh import background, backoff
from services.mesh.settings import Secret

DRAIN_SECONDS: Final = 10.0
"""How long what was begun with former credentials may take; longer than any statement may."""

Exchange = Callable[[str], Awaitable[None]]
"""Opens with a secret's text, and lets new work go there. What it raises leaves all as it was."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def following(secret: Secret | str, exchange: Exchange, *, name: str) -> AsyncIterator[None]:
    """Exchange whenever the secret changes, until the block is left; `name` is told in logs."""
    if isinstance(secret, str) or not secret.is_followed:
        yield
        return
    changed = asyncio.Event()
    secret.on_change(changed.set)
    follow = _follow(secret, changed, exchange, name)
    async with background.running(follow, name=f"{name} credentials"):
        yield


async def _follow(secret: Secret, changed: asyncio.Event, exchange: Exchange, name: str) -> Never:
    while True:
        await changed.wait()
        changed.clear()
        for pause in backoff.delays():
            if await _succeeds(exchange, secret.reveal(), name):
                break
            await asyncio.sleep(pause)
        _log.info("credentials exchanged", store=name)


async def _succeeds(exchange: Exchange, text: str, name: str) -> bool:
    try:
        await exchange(text)
    except Exception as error:  # noqa: BLE001  # any driver's; its text may show what was tried
        _log.warning("new credentials not usable yet", store=name, error=type(error).__name__)
        return False
    return True
