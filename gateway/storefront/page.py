"""One page being gathered: an essential part, others that may be missing, and one deadline.

    async with Page(context) as page:
        order = page.essential(orders.GetOrder(...))
        payments = page.part(PART_PAYMENTS, payments.ListPayments(...))
    GetOrderPageResponse(order=order.result().order, ..., missing=page.missing)

The calls run at the same time. When the block ends, all of them have. An essential call that fails
ends the page with the very status that it was answered with; any other leaves its part out.
"""

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import structlog

from services.mesh import client_address
from services.mesh.errors import DeadlineExceeded
from services.mesh.status import DETAILS_KEY
from souk.storefront.v1 import storefront_service_pb2 as pb

T = TypeVar("T")

_log = structlog.get_logger(__name__)

# What is left of the page's own time for putting the answer together and sending it.
_RESERVE_SECONDS = 0.1
# For who bounds a call by nothing.
_SECONDS = 2.0


class Page:
    """Gathers the parts of one page. An async context manager."""

    def __init__(self, context: Any) -> None:
        remaining: float | None = context.time_remaining()
        self._context = context
        seconds = _SECONDS if remaining is None else remaining
        self._seconds = max(0.0, seconds - _RESERVE_SECONDS)
        self._tasks = asyncio.TaskGroup()
        self._failed: set[pb.Part.ValueType] = set()
        self.metadata = _caller_metadata(context)

    @property
    def missing(self) -> list[pb.Part.ValueType]:
        """The parts that could not be had, in the order of the contract."""
        return sorted(self._failed)

    def essential(self, call: Awaitable[T]) -> asyncio.Task[T]:
        """Begin the call without which there is no page."""
        return self._tasks.create_task(self._bounded(call))

    def part(self, part: pb.Part.ValueType, call: Awaitable[T], *, empty: T) -> asyncio.Task[T]:
        """Begin a call whose part may be missing; its result is then `empty`."""
        return self._tasks.create_task(self._or_empty(part, call, empty))

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._tasks.__aexit__(kind, error, traceback)
        except* grpc.aio.AioRpcError as group:
            await self._relay(group)
        except* TimeoutError as group:
            raise DeadlineExceeded("the page could not be gathered in time") from group

    async def _bounded(self, call: Awaitable[T]) -> T:
        async with asyncio.timeout(self._seconds):
            return await call

    async def _or_empty(self, part: pb.Part.ValueType, call: Awaitable[T], empty: T) -> T:
        try:
            return await self._bounded(call)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else "timeout"
            _log.warning("page without a part", part=pb.Part.Name(part), code=code)
            self._failed.add(part)
            return empty

    async def _relay(self, group: BaseExceptionGroup[grpc.aio.AioRpcError]) -> None:
        """End the call with the status of the first error in `group`."""
        error = _first(group)
        details = [(key, value) for key, value in error.trailing_metadata() if key == DETAILS_KEY]
        await self._context.abort(error.code(), error.details() or "", tuple(details))


def _first(group: BaseExceptionGroup[grpc.aio.AioRpcError]) -> grpc.aio.AioRpcError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _caller_metadata(context: Any) -> tuple[tuple[str, str], ...]:
    """Return whose call it is, as the services behind the page want to see it.

    The caller's access token, and the client's address if the gateway told it.
    """
    metadata = context.invocation_metadata()
    token = tuple((key, value) for key, value in metadata if key == "authorization")
    address = client_address.client_address()
    return (*token, (client_address.KEY, address)) if address else token
