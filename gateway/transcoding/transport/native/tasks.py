"""Tasks that live as long as their owner: how they end, and what is told of their failures."""

import asyncio
from typing import Final

_CANCEL_SECONDS: Final = 1.0
# ssl.SSLError and TimeoutError are OSErrors; UnicodeError: what is called by a name that is none.
_FORESEEN: Final = (OSError, UnicodeError)


async def cancel(task: "asyncio.Task[None]") -> None:
    """Cancels a task until it has ended: on Python 3.11 one cancellation may be lost."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_SECONDS)


def report_unforeseen(error: Exception, what: str) -> None:
    """Tells the loop, which logs it, unless networks fail so. The task is to try again anyhow."""
    if not isinstance(error, _FORESEEN):
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"{what} failed, and is tried again", "exception": error}
        )
