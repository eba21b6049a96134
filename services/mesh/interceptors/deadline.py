"""Bounds each call by the RPC's own budget, even if the client gave none or a longer one."""

import asyncio
from typing import Any

from services.mesh import served_call
from services.mesh.errors import DeadlineExceeded
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method


def deadline(method: Method, handler: Handler) -> Handler:
    """Cancel the handler when the policy's deadline or the client's has passed.

    Raises DeadlineExceeded in its place. A stream without a deadline is bounded by the client's.
    """
    own = method.deadline

    async def handle(request: Any, context: Context) -> Any:
        budget = _least(own, context.time_remaining())
        if budget is None:
            return await handler(request, context)
        served_call.expire_in(budget)
        bound = asyncio.timeout(budget)
        try:
            async with bound:
                return await handler(request, context)
        except TimeoutError:
            if bound.expired():
                raise DeadlineExceeded("the call took longer than it may") from None
            raise

    return handle


def _least(own: float | None, given: float | None) -> float | None:
    if own is None or given is None:
        return given if own is None else own
    return min(own, given)
