"""The calls that begin a saga, and run it as far as their deadline allows."""

import asyncio
import contextlib
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from uuid import UUID

from services.mesh import failpoints, room, served_call
from services.mesh.database import Database
from services.mesh.errors import DomainError
from services.mesh.idempotency import Fresh, IdempotencyKeyInUse, IdempotencyKeys, Replay
from services.mesh.ids import new_id
from services.mesh.taking import take
from services.order import convert
from services.order.clients import Catalogue
from services.order.domain import IN_FLIGHT, Actor, Order
from services.order.store import Lease, LeaseStore, NewOrder, OrderChanges, OrderStore
from services.order.workflow import _answers
from services.order.workflow._saga import Saga
from souk.order.v1.order_service_pb2 import CreateOrderRequest, CreateOrderResponse


class Checkout:
    """Places orders and cancels them.

    `answer_margin`: how long before the end of its time a call answers with what it has.
    """

    def __init__(
        self,
        *,
        db: Database,
        keys: IdempotencyKeys,
        orders: OrderStore,
        leases: LeaseStore,
        changes: OrderChanges,
        catalogue: Catalogue,
        saga: Saga,
        answer_margin: timedelta,
    ) -> None:
        self._db = db
        self._keys = keys
        self._orders = orders
        self._leases = leases
        self._changes = changes
        self._catalogue = catalogue
        self._saga = saga
        self._margin_seconds = answer_margin.total_seconds()

    async def place(self, request: CreateOrderRequest, *, user_id: UUID) -> CreateOrderResponse:
        """Places an order and answers with it as far as it came in the time of the call.

        A repeated call gets the first one's answer. The claim of the key fixes the order's id
        before anything else is done, so a key never leads to two orders.

        Raises ProductUnavailable, MixedCurrencies and TotalTooLarge, and no order is written down;
        OutOfStock, PaymentDeclined and ReservationExpired, and the order is kept as rejected;
        IdempotencyKeyReused and IdempotencyKeyInUse.
        """
        scope = _answers.scope(user_id, request.request_id)
        work = partial(self._first_answer, request=request, user_id=user_id)
        answer = await self._keys.attempt(scope, request, work, resource=str(new_id()))
        return answer.response(CreateOrderResponse)

    async def cancel(self, order_id: UUID, *, visible_to: UUID | None, actor: Actor) -> Order:
        """Begins to undo an order and returns it as far as it is undone in the time of the call.

        Raises OrderNotFound and StateConflict.
        """
        order = await self._orders.change(
            order_id, Order.cancel, visible_to=visible_to, actor=actor
        )
        if order.state not in IN_FLIGHT:
            return order
        return await self._see_through(order_id, await self._acquire(order_id))

    async def _acquire(self, order_id: UUID) -> Lease | None:
        return await take(self._leases.acquire(order_id), give_back=self._release)

    async def _release(self, lease: Lease | None) -> None:
        if lease is not None:
            await self._leases.release(lease)

    async def _first_answer(
        self, claim: Fresh, *, request: CreateOrderRequest, user_id: UUID
    ) -> Replay:
        """Does what the claim is for, and stores the answer and returns it."""
        lease = await self._begin(claim, request, user_id)
        await failpoints.reach("order.after_place")
        order = await self._see_through(UUID(claim.resource), lease)
        await failpoints.reach("order.before_answer")
        answer = await self._answer(claim, order)
        await failpoints.reach("order.after_answer")
        return answer

    async def _begin(
        self, claim: Fresh, request: CreateOrderRequest, user_id: UUID
    ) -> Lease | None:
        """Writes the order down unless an earlier attempt did; None if others work on it."""
        order_id = UUID(claim.resource)
        if claim.resumed and await self._orders.exists(order_id):
            return await self._acquire(order_id)
        new = NewOrder(
            order_id=order_id,
            user_id=user_id,
            lines=await self._catalogue.lines(convert.quantities_from_proto(request.items)),
            shipping_address=convert.address_from_proto(request.shipping_address)
            if request.HasField("shipping_address")
            else None,
            payment_token=request.payment_token,
            request_id=request.request_id,
        )
        await failpoints.reach("order.before_place")
        placing = self._orders.place(new, lease=self._leases.duration)
        return await take(placing, give_back=self._release) or await self._acquire(order_id)

    async def _see_through(self, order_id: UUID, lease: Lease | None) -> Order:
        """Returns the order, settled if that can be before the call must be answered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_left()):
                if lease is not None:
                    order = await self._saga.run(lease)
                    if order.state not in IN_FLIGHT:
                        return order
                follow = aclosing(self._changes.follow(order_id, visible_to=None))
                # Somebody else sees to the order, or nobody can for now.
                with room.waiting():
                    async with follow as changes:
                        async for order in changes:
                            if order.state not in IN_FLIGHT:
                                return order
        return await self._orders.get(order_id, visible_to=None)

    def _seconds_left(self) -> float | None:
        remaining = served_call.remaining()
        return None if remaining is None else max(0, remaining - self._margin_seconds)

    async def _answer(self, claim: Fresh, order: Order) -> Replay:
        """Returns the answer that stands: that of the order's last step, or else this one."""
        answered = await self._keys.answered(claim.scope)
        if answered is not None:
            return answered
        try:
            return await self._store_answer(claim, _answers.answer(order))
        except IdempotencyKeyInUse:
            # The last step was taken meanwhile, or another attempt has begun.
            return await self._keys.join(claim.scope)

    async def _store_answer(
        self, claim: Fresh, answer: CreateOrderResponse | DomainError
    ) -> Replay:
        async with self._db.transaction() as conn:
            return await self._keys.record(conn, claim, answer)
