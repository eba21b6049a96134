"""What the order service asks of product and payment.

Every effect is asked for under a key that derives from the order and the step, so it may be asked
for again. There are three kinds of answers:

    done        the call returns
    no          Refused, or RefundRefused: nothing was done, and nothing will be
    unknown     Unanswered: it may have been done; ask again under the same key
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.mesh.errors import RemoteError, Unavailable
from services.mesh.money import amount_from_money, money_from_amount
from services.mesh.status import error_from_call
from services.order.domain import Line, Order, ProductUnavailable, Reason
from souk.payment.v1 import payment_pb2, payment_service_pb2, payment_service_pb2_grpc
from souk.product.v1 import (
    product_pb2,
    product_service_pb2,
    product_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)

_Q = TypeVar("_Q", bound=Message)
_R = TypeVar("_R", bound=Message)

_STOCK_REFUSALS = MappingProxyType(
    {
        "OUT_OF_STOCK": Reason.OUT_OF_STOCK,
        "PRODUCT_NOT_FOUND": Reason.PRODUCT_UNAVAILABLE,
        "PRODUCT_ARCHIVED": Reason.PRODUCT_UNAVAILABLE,
        "RESERVATION_GONE": Reason.RESERVATION_EXPIRED,
    }
)

_TAKEN = frozenset({payment_pb2.PAYMENT_STATE_CAPTURED, payment_pb2.PAYMENT_STATE_REFUNDED})

# STATE_CONFLICT: the payment was given up, so there is no money to be had.
_PAYMENT_REFUSALS = MappingProxyType(
    {
        "PAYMENT_DECLINED": Reason.PAYMENT_DECLINED,
        "STATE_CONFLICT": Reason.PAYMENT_DECLINED,
    }
)

# The provider said no, the payment is in a state from which nothing can be given back, or payment
# does not know it. Asking again would not change it.
_REFUND_REFUSALS = frozenset({"PAYMENT_DECLINED", "STATE_CONFLICT", "PAYMENT_NOT_FOUND"})


class Refused(Exception):
    """A definite no; `product_id` names the product that was the cause, if one was."""

    def __init__(self, reason: Reason, product_id: UUID | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.product_id = product_id


class RefundRefused(Exception):
    """A definite no: what was set aside or taken for the order stays as it is."""


class Unanswered(Exception):
    """It is not known whether it was done; to be repeated under the same key."""


class Catalogue:
    """What products cost."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)

    async def lines(self, quantities: Mapping[UUID, int]) -> tuple[Line, ...]:
        """Return a line for each product at today's price.

        Raises ProductUnavailable, and Unavailable when the catalogue can't be asked.
        """
        request = product_service_pb2.BatchGetProductsRequest(
            product_ids=[str(product_id) for product_id in quantities]
        )
        try:
            response = await self._products.BatchGetProducts(request)
        except grpc.aio.AioRpcError as error:
            remote = error_from_call(error)
            if remote.reason == "PRODUCT_NOT_FOUND":
                raise _unavailable(remote.metadata.get("product_id", "")) from error
            raise Unavailable("the catalogue can't be asked now") from error
        return tuple(_line(product, quantities) for product in response.products)


class Stock:
    """Stock, held for an order. `hold`: for how long at most."""

    def __init__(self, channel: grpc.aio.Channel, *, hold: timedelta) -> None:
        self._stock = stock_service_pb2_grpc.StockServiceStub(channel)
        self._hold = Duration()
        self._hold.FromTimedelta(hold)

    async def reserve(self, order: Order) -> None:
        """Hold the order's stock for a time. Raises Refused or Unanswered."""
        request = stock_service_pb2.ReserveStockRequest(
            order_id=str(order.order_id),
            items=[
                stock_service_pb2.StockItem(product_id=str(line.product_id), quantity=line.quantity)
                for line in order.lines
            ],
            time_to_live=self._hold,
        )
        await _effect(self._stock.ReserveStock, request, _STOCK_REFUSALS)

    async def commit(self, order: Order) -> None:
        """Make the order's stock its own. Raises Refused or Unanswered."""
        request = stock_service_pb2.CommitReservationRequest(
            order_id=str(order.order_id), product_ids=map(str, order.product_ids)
        )
        await _effect(self._stock.CommitReservation, request, _STOCK_REFUSALS)

    async def release(self, order: Order) -> None:
        """Put the order's stock back, and refuse to hold any for it later. Raises Unanswered."""
        request = stock_service_pb2.ReleaseReservationRequest(
            order_id=str(order.order_id), product_ids=map(str, order.product_ids)
        )
        await _effect(self._stock.ReleaseReservation, request, {})


class Payments:
    """The money for an order."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._payments = payment_service_pb2_grpc.PaymentServiceStub(channel)

    async def authorize(self, order: Order) -> UUID:
        """Set the money aside and return the payment. Raises Refused or Unanswered."""
        request = payment_service_pb2.AuthorizeRequest(
            request_id=f"{order.order_id}:authorize",
            order_id=str(order.order_id),
            user_id=str(order.user_id),
            amount=money_from_amount(order.total),
            payment_token=order.payment_token or "",
        )
        response = await _effect(self._payments.Authorize, request, _PAYMENT_REFUSALS)
        return UUID(response.payment.payment_id)

    async def capture(self, order: Order) -> None:
        """Take the money. Raises Refused or Unanswered."""
        request = payment_service_pb2.CaptureRequest(
            request_id=f"{order.order_id}:capture", payment_id=str(order.payment_id)
        )
        await _effect(self._payments.Capture, request, _PAYMENT_REFUSALS)

    async def void(self, order: Order) -> UUID | None:
        """Set no money aside any more, nor later; return the payment if its money was taken.

        Raises RefundRefused or Unanswered.
        """
        request = payment_service_pb2.VoidRequest(
            request_id=f"{order.order_id}:void", order_id=str(order.order_id)
        )
        try:
            response = await _effect(self._payments.Void, request, {})
        except Unanswered as unanswered:
            if _state_in_the_way(unanswered) in _TAKEN:
                return _payment_in_the_way(unanswered) or order.payment_id
            raise _refused(unanswered) from unanswered
        payment = response.payment
        return UUID(payment.payment_id) if payment.state in _TAKEN else None

    async def refund(self, order: Order, payment_id: UUID) -> None:
        """Give the money back that was taken. Raises RefundRefused or Unanswered."""
        request = payment_service_pb2.RefundRequest(
            request_id=f"{order.order_id}:refund", payment_id=str(payment_id)
        )
        try:
            await _effect(self._payments.Refund, request, {})
        except Unanswered as unanswered:
            # The staff gave all of it back before.
            if _state_in_the_way(unanswered) != payment_pb2.PAYMENT_STATE_REFUNDED:
                raise _refused(unanswered) from unanswered


async def _effect(
    rpc: Callable[[_Q], Awaitable[_R]], request: _Q, refusals: Mapping[str, Reason]
) -> _R:
    """Return the answer. Raises Refused if its reason is in `refusals`, otherwise Unanswered."""
    try:
        return await rpc(request)
    except grpc.aio.AioRpcError as error:
        remote = error_from_call(error)
        if remote.reason in refusals:
            product_id = remote.metadata.get("product_id")
            raise Refused(
                refusals[remote.reason], UUID(product_id) if product_id else None
            ) from remote
        raise Unanswered(f"{type(request).__name__}: {remote}") from remote


def _state_in_the_way(unanswered: Unanswered) -> payment_pb2.PaymentState.ValueType | None:
    """Return the state of the payment that did not allow it, None if it was something else."""
    remote = unanswered.__cause__
    if not isinstance(remote, RemoteError) or remote.reason != "STATE_CONFLICT":
        return None
    return payment_pb2.PaymentState.Value(remote.metadata["state"])


def _payment_in_the_way(unanswered: Unanswered) -> UUID | None:
    """Return the payment whose state did not allow it, None if that is not told."""
    remote = unanswered.__cause__
    payment_id = remote.metadata.get("payment_id") if isinstance(remote, RemoteError) else None
    return UUID(payment_id) if payment_id else None


def _refused(unanswered: Unanswered) -> RefundRefused | Unanswered:
    """Return what a failure to give money back means: a definite no, or still no answer."""
    remote = unanswered.__cause__
    definite = isinstance(remote, RemoteError) and remote.reason in _REFUND_REFUSALS
    return RefundRefused(str(unanswered)) if definite else unanswered


def _line(product: product_pb2.Product, quantities: Mapping[UUID, int]) -> Line:
    if product.state != product_pb2.PRODUCT_STATE_ACTIVE:
        raise _unavailable(product.product_id)
    product_id = UUID(product.product_id)
    return Line(
        product_id=product_id,
        sku=product.sku,
        title=product.title,
        quantity=quantities[product_id],
        unit_price=amount_from_money(product.price, field="price"),
    )


def _unavailable(product_id: str) -> ProductUnavailable:
    return ProductUnavailable("a product can't be bought", product_id=product_id)
