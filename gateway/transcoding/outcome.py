"""What is to come of a request: told at once to those who wait, when it has come.

    Outcome --settle--> step --> step .. --> result or exception
       ^------------------- cancel

An asyncio.Future tells in the next turn of the loop, and once more for each future that is made of
it. A turn is a question to the kernel, and others' work comes in between. Here layers are steps
upon one object, and what the last of them makes is what `await` gives.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
MadeT = TypeVar("MadeT")

Step = Callable[[Any, BaseException | None], T]
"""Makes a result of a result or of an exception, or raises: one of both is None.

The exception is CancelledError where nobody wants the result any more.
"""

_NOTHING_YET: Final = object()


class Outcome(Generic[T]):
    """A result, or what prevents it. For who owns it, in one event loop's thread."""

    __slots__ = ("_error", "_result", "_steps")

    def __init__(self) -> None:
        self._steps: list[Step[Any]] = []
        self._result: Any = _NOTHING_YET
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Says whether it has come."""
        return self._result is not _NOTHING_YET

    def then(self, step: "Step[MadeT]") -> "Outcome[MadeT]":
        """Has `step` make something else of it, after the steps before.

        Gives itself: nobody else is to have it as what it was.
        """
        if self._result is _NOTHING_YET:
            self._steps.append(step)
        else:
            self._take(step)
        return self  # type: ignore[return-value]  # `cast` is a call, and this is made for every step

    def tell(self, listener: Step[None]) -> None:
        """Has `listener` told of it, after the steps; for who is the last to have it."""
        _ = self.then(listener)

    def settle(self, result: Any, error: BaseException | None = None) -> None:
        """Takes what has come, unless something has come before."""
        if self._result is not _NOTHING_YET:
            return
        self._result, self._error = result, error
        steps, self._steps = self._steps, []
        for step in steps:
            try:
                result, error = step(result, error), None
            except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  # for who asks
                result, error = None, raised
        self._result, self._error = result, error

    def cancel(self) -> None:
        """Ends it, since nobody wants it any more."""
        self.settle(None, asyncio.CancelledError())

    def _take(self, step: Step[Any]) -> None:
        try:
            self._result, self._error = step(self._result, self._error), None
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  # raised where the result is asked for
            self._result, self._error = None, raised

    def __await__(self) -> Generator[Any, None, T]:
        """Waits for it. Cancels it if the waiting is cancelled."""
        waiting = asyncio.get_running_loop().create_future()

        def wake(result: T, error: BaseException | None) -> T:
            if not waiting.done():
                waiting.set_result(None)
            if error is not None:
                raise error
            return result

        _ = self.then(wake)
        try:
            yield from waiting
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[no-any-return]  # of the last step


class _Followed(Outcome[T]):
    """The outcome of a future, or of a task."""

    __slots__ = ("_future",)

    def __init__(self, future: "asyncio.Future[T]") -> None:
        super().__init__()
        self._future = future
        future.add_done_callback(self._follow)

    def cancel(self) -> None:
        self._future.cancel()
        super().cancel()

    def _follow(self, future: "asyncio.Future[T]") -> None:
        if future.cancelled():
            super().cancel()
        elif (error := future.exception()) is not None:
            self.settle(None, error)
        else:
            self.settle(future.result())


def outcome(source: "Outcome[T] | asyncio.Future[T]") -> Outcome[T]:
    """Gives the outcome of a future, which is cancelled with it; an outcome is its own."""
    return source if isinstance(source, Outcome) else _Followed(source)
