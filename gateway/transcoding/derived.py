"""A future made of another one's outcome: what `await` is to a task, without the task.

source --done--> derive(source) --result or exception--> Derived
       <------------------- cancel --------------------
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Derived(asyncio.Future[T]):
    """Has what `derive` makes of the source once it is done, or what `derive` raises."""

    def __init__(
        self, source: asyncio.Future[Any], derive: Callable[[asyncio.Future[Any]], T]
    ) -> None:
        """`derive` gets the source when it is done; `source.result()` raises what it failed by.

        It is not called when the source is cancelled: then so is this.
        """
        super().__init__(loop=source.get_loop())
        self._source = source
        self._derive = derive
        source.add_done_callback(self._take)

    def cancel(self, msg: Any = None) -> bool:
        """Cancels the source, and with it this."""
        self._source.cancel(msg)
        return super().cancel(msg)

    def _take(self, source: asyncio.Future[Any]) -> None:
        if self.done():
            return
        if source.cancelled():
            super().cancel()
            return
        try:
            result = self._derive(source)
        except Exception as error:  # noqa: BLE001  # raised again where the result is asked for
            self.set_exception(error)
        else:
            self.set_result(result)
