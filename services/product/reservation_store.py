"""Reservations of stock by orders, each step one conditional update of one product's document.

take     stock -= quantity, the reservation is added   if stock is enough, the order has none
commit   the reservation becomes COMMITTED             if it is HELD and has not expired
release  stock += quantity, it becomes RELEASED        if it is as it was read

A call for several products goes through them in the order of their ids, and undoes what it did when
one fails. What it can't undo any more expires.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from services.mesh import failpoints
from services.mesh.errors import DomainError
from services.product import documents
from services.product.documents import commitment_id, ms_from_time, reservation_key
from services.product.domain.product import ProductNotFound, ProductState
from services.product.domain.reservation import (
    COMMITTED_KEPT,
    Reservation,
    ReservationGone,
    ReservationState,
)
from services.product.mongodb import Database
from services.product.stock_store import TRIES, StockStore, contended


class ReservationStore:
    """What orders have of the stock.

    `kept`: how long a released reservation stays in its product's document; a committed one stays
    no longer than COMMITTED_KEPT.
    """

    def __init__(self, db: Database, stock: StockStore, *, kept: timedelta) -> None:
        self._db = db
        self._stock = stock
        self._kept = kept

    async def reserve(
        self, order_id: UUID, quantities: Mapping[UUID, int], time_to_live: timedelta
    ) -> datetime:
        """Take so many pieces of each product, all or none; return when the first of them expires.

        What the order has already stands as it is. Raises ProductNotFound, ProductArchived,
        OutOfStock, and ReservationGone if the order's reservation was released.
        """
        await failpoints.reach("product.before_reserve")
        now = await self._db.now()
        committed = await self._commitments(order_id, quantities)
        expire_times = {product_id: each.expire_time for product_id, each in committed.items()}
        taken: dict[UUID, Reservation] = {}
        try:
            for product_id in sorted(quantities.keys() - expire_times.keys()):
                wanted = Reservation(
                    state=ReservationState.HELD,
                    quantity=quantities[product_id],
                    expire_time=now + time_to_live,
                    change_time=now,
                )
                standing = await self._take(product_id, order_id, wanted)
                await failpoints.reach("product.after_take")
                if standing is wanted:
                    taken[product_id] = wanted
                expire_times[product_id] = standing.expire_time
        except DomainError:
            for product_id, reservation in taken.items():
                await self._stock.put_back(product_id, order_id, reservation)
            raise
        return min(expire_times.values())

    async def commit(self, order_id: UUID, product_ids: Iterable[UUID]) -> None:
        """Make the order's reservations final, all or none. Raises ReservationGone."""
        now = await self._db.now()
        done: list[UUID] = []
        try:
            for product_id in sorted(product_ids):
                await self._commit(product_id, order_id, now)
                done.append(product_id)
                await failpoints.reach("product.after_commit")
        except ReservationGone:
            for product_id in done:
                await self._undo_commit(product_id, order_id, now)
            raise

    async def release(self, order_id: UUID, product_ids: Iterable[UUID]) -> None:
        """Put back what the order has of the products, and refuse what it reserves later."""
        now = await self._db.now()
        for product_id in sorted(product_ids):
            # Of a product that does not exist, nobody has anything.
            with suppress(ProductNotFound):
                await self._release(product_id, order_id, now)
                await failpoints.reach("product.after_release")

    async def _take(self, product_id: UUID, order_id: UUID, wanted: Reservation) -> Reservation:
        """Reserve; return `wanted`, or what the order has already."""
        now, key = wanted.change_time, reservation_key(order_id)
        for _ in range(TRIES):
            if await self._db.products.update(
                {
                    "_id": str(product_id),
                    "state": ProductState.ACTIVE.value,
                    "stock": {"$gte": wanted.quantity},
                    **documents.unchanged(order_id, None),
                },
                {
                    "$inc": {"stock": -wanted.quantity, "reservations_version": 1},
                    "$set": {key: documents.document_from_reservation(wanted)},
                    "$min": {"due_ms": ms_from_time(wanted.expire_time)},
                },
            ):
                return wanted
            record = await self._stock.record(product_id)
            standing = record.standing(order_id, now)
            if standing is not None:
                return standing
            record.check_reserve(wanted.quantity, now)
            await self._stock.settle(record, now)
        raise contended()

    async def _commit(self, product_id: UUID, order_id: UUID, now: datetime) -> None:
        """Commit a reservation, unless it is. Raises ReservationGone."""
        key = reservation_key(order_id)
        committed = await self._db.products.update(
            {
                "_id": str(product_id),
                f"{key}.state": ReservationState.HELD.value,
                f"{key}.expire_ms": {"$gt": ms_from_time(now)},
            },
            {
                "$set": {
                    f"{key}.state": ReservationState.COMMITTED.value,
                    f"{key}.change_ms": ms_from_time(now),
                },
                "$inc": {"reservations_version": 1},
                "$min": {"due_ms": ms_from_time(now + min(self._kept, COMMITTED_KEPT))},
            },
        )
        if not committed and not await self._is_committed(product_id, order_id):
            message = "the reservation has expired, was released or never was"
            raise ReservationGone(message, product_id=str(product_id))

    async def _is_committed(self, product_id: UUID, order_id: UUID) -> bool:
        try:
            record = await self._stock.record(product_id)
        except ProductNotFound:
            return False
        reservation = record.reservations.get(order_id)
        if reservation is None:
            return bool(await self._commitments(order_id, [product_id]))
        return reservation.state is ReservationState.COMMITTED

    async def _undo_commit(self, product_id: UUID, order_id: UUID, now: datetime) -> None:
        """Make a reservation expire again, if it was committed at `now`."""
        key = reservation_key(order_id)
        await self._db.products.update(
            {
                "_id": str(product_id),
                f"{key}.state": ReservationState.COMMITTED.value,
                f"{key}.change_ms": ms_from_time(now),
            },
            {
                "$set": {f"{key}.state": ReservationState.HELD.value},
                "$inc": {"reservations_version": 1},
                # When it expires is not known here: the next sweep looks.
                "$min": {"due_ms": ms_from_time(now)},
            },
        )

    async def _release(self, product_id: UUID, order_id: UUID, now: datetime) -> None:
        """Put back what the order has, whether held, committed, or kept outside the document."""
        for _ in range(TRIES):
            record = await self._stock.record(product_id)
            inside = record.reservations.get(order_id)
            if inside and inside.state is ReservationState.RELEASED:
                return
            outside = {} if inside else await self._commitments(order_id, [product_id])
            had = inside or outside.get(product_id) or _nothing(now)
            if await self._db.products.update(
                {"_id": str(product_id), **documents.unchanged(order_id, inside)},
                {
                    "$inc": {"stock": had.quantity, "reservations_version": 1},
                    "$set": {
                        reservation_key(order_id): documents.document_from_reservation(
                            had.released(now)
                        )
                    },
                    "$min": {"due_ms": ms_from_time(now + self._kept)},
                },
            ):
                if outside:
                    await self._db.commitments.delete(commitment_id(product_id, order_id))
                return
        raise contended()

    async def _commitments(
        self, order_id: UUID, product_ids: Iterable[UUID]
    ) -> dict[UUID, Reservation]:
        """Return the committed reservations of the order that left their products' documents."""
        by_id = {commitment_id(product_id, order_id): product_id for product_id in product_ids}
        found = await self._db.commitments.find({"_id": {"$in": list(by_id)}}, limit=len(by_id))
        return {by_id[each["_id"]]: documents.reservation_from_document(each) for each in found}


def _nothing(now: datetime) -> Reservation:
    return Reservation(state=ReservationState.HELD, quantity=0, expire_time=now, change_time=now)
