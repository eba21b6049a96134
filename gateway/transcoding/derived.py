"""A future made of another one's outcome: what `await` is to a task, without the task.

source --done--> step --> step .. --result or exception--> Derived
source <------------------- cancel ----------------------- Derived
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

Step = Callable[[Any, BaseException | None], T]
"""Makes a result of a result or of an exception, or raises: one of both is None."""


class Derived(asyncio.Future[T]):
    """Has what the steps make of the source's outcome. Cancelled with it, without a step."""

    __slots__ = ("_source", "_steps")

    def __init__(self, source: asyncio.Future[Any], step: Step[T]) -> None:
        super().__init__(loop=source.get_loop())
        self._source = source
        self._steps = [step]
        source.add_done_callback(self._take)

    def cancel(self, msg: Any = None) -> bool:
        """Cancels the source, and with it this."""
        self._source.cancel(msg)
        return super().cancel(msg)

    def add(self, step: Step[T]) -> None:
        """Takes one more step, after the others. Not to be called when it is done."""
        self._steps.append(step)

    def _take(self, source: asyncio.Future[Any]) -> None:
        if self.done():
            return
        if source.cancelled():
            super().cancel()
            return
        error = source.exception()
        result: Any = source.result() if error is None else None
        for step in self._steps:
            try:
                result, error = step(result, error), None
            except Exception as raised:  # noqa: BLE001  # raised where the result is asked for
                result, error = None, raised
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)


def derived(source: asyncio.Future[Any], step: Step[T]) -> asyncio.Future[T]:
    """Gives a future of what a step makes of the source's outcome.

    That of a source which is derived itself is the source, so that layers cost a step each and
    not a future each: nobody else is to have the source.
    """
    if isinstance(source, Derived) and not source.done():
        source.add(step)
        return source
    return Derived(source, step)
