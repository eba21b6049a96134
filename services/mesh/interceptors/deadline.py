"""Bounds each call by the RPC's own budget, even if the client gave none or a longer one."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from services.mesh import served_call
from services.mesh.errors import DeadlineExceeded
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method


def deadline(method: Method, handler: Handler) -> Handler:
    """Cancel the handler when the policy's deadline has passed; raises DeadlineExceeded instead.

    A client's own, shorter deadline is kept by gRPC, which cancels the handler. A stream without a
    deadline is bounded by the client's alone.
    """
    own = method.deadline
    if own is None:
        return _bounded_by_client(handler)
    budgets = _Budgets(own)

    async def handle(request: Any, context: Context) -> Any:
        # None if the client gave no deadline, other than its type says.
        given: Any = context.time_remaining()
        if given is not None and given <= own:
            _refuse_spent(given)
            served_call.current().expiry = time.monotonic() + given
            return await handler(request, context)
        budget = budgets.begin()
        served_call.current().expiry = budget.expiry
        try:
            return await handler(request, context)
        except asyncio.CancelledError:
            if budget.is_spent_alone():
                raise DeadlineExceeded("the call took longer than it may") from None
            raise
        finally:
            budget.task = None

    return handle


def _bounded_by_client(handler: Handler) -> Handler:
    async def handle(request: Any, context: Context) -> Any:
        given: Any = context.time_remaining()
        if given is not None:
            _refuse_spent(given)
            served_call.current().expiry = time.monotonic() + given
        return await handler(request, context)

    return handle


def _refuse_spent(seconds: float) -> None:
    """Raise DeadlineExceeded for a call whose time was over before it came to be served."""
    if seconds <= 0:
        raise DeadlineExceeded("the call's time was over before it began")


@dataclass(slots=True)
class _Budget:
    """The time of one call; `task` is None when the call has ended."""

    task: "asyncio.Task[Any] | None"
    expiry: float
    is_spent: bool = False

    def is_spent_alone(self) -> bool:
        """Say whether the task was cancelled for this and for nothing else."""
        return self.is_spent and self.task is not None and self.task.uncancel() == 0


class _Budgets:
    """The calls of one RPC. All have the same time, so the first to begin is the first to expire.

    One timer therefore serves them all: a timer for each, as asyncio.timeout has it, is a tenth of
    what the chain costs (docs/decisions/0012).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._queue: deque[_Budget] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> _Budget:
        """Return the budget of the call that the current task serves."""
        queue = self._queue
        while queue and queue[0].task is None:
            queue.popleft()
        budget = _Budget(asyncio.current_task(), time.monotonic() + self._seconds)
        queue.append(budget)
        if self._timer is None:
            self._wait(self._seconds)
        return budget

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        now, queue = time.monotonic(), self._queue
        while queue and (queue[0].task is None or queue[0].expiry <= now):
            budget = queue.popleft()
            if budget.task is not None:
                budget.is_spent = True
                budget.task.cancel()
        self._timer = None
        if queue:
            self._wait(queue[0].expiry - now)
