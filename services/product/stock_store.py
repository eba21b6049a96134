"""The stock of products, and how it gets back what reservations no longer need.

Every step is one conditional update of one product's document, so that a piece is never sold twice
and never put back twice, whatever runs at the same time and wherever a call stops.

A reservation that is due leaves the document, lest that grow: an expired one is put back; a
committed one is first written to `commitments`; a released one is first removed from there.
Whoever looks for a reservation looks in the document first, then in `commitments`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter

from services.mesh.errors import Aborted
from services.product import documents
from services.product.documents import commitment_id, ms_from_time, reservation_key
from services.product.domain.product import ProductNotFound, ProductState
from services.product.domain.reservation import (
    MOST_STOCK,
    Reservation,
    ReservationState,
    StockRecord,
)
from services.product.mongodb import Database

_SWEPT = Counter(
    "souk_reservations_swept_total",
    "Reservations that left their product: expired ones (HELD) were put back, others kept apart.",
    ["state"],
)

TRIES = 5
_RETRY_AFTER = timedelta(milliseconds=50)
_BATCH = 100

_RECORD = {"state": 1, "stock": 1, "reservations": 1, "reservations_version": 1}


class StockStore:
    """The stock of products.

    `kept`: how long a committed or released reservation stays in its product's document.
    """

    def __init__(self, db: Database, *, kept: timedelta) -> None:
        self._db = db
        self._kept = kept

    async def levels(self, product_ids: Collection[UUID]) -> tuple[dict[UUID, int], datetime]:
        """Return how many pieces of each product there are to buy, and when that was read."""
        now = await self._db.now()
        found = await self._db.products.find(
            {"_id": {"$in": [str(each) for each in product_ids]}},
            {"stock": 1},
            limit=len(product_ids),
        )
        return {UUID(each["_id"]): each["stock"] for each in found}, now

    async def record(self, product_id: UUID) -> StockRecord:
        """Return the stock of a product with its reservations. Raises ProductNotFound."""
        document = await self._db.products.find_one({"_id": str(product_id)}, _RECORD)
        if document is None:
            raise ProductNotFound("there is no such product", product_id=str(product_id))
        return documents.stock_record_from_document(document)

    async def adjust(self, product_id: UUID, delta: int) -> None:
        """Add pieces or take some away.

        Raises ProductNotFound, ProductArchived, StockOutOfRange.
        """
        bound = {"$gte": -delta} if delta < 0 else {"$lte": MOST_STOCK - delta}
        for _ in range(TRIES):
            if await self._db.products.update(
                {"_id": str(product_id), "state": ProductState.ACTIVE.value, "stock": bound},
                {"$inc": {"stock": delta}},
            ):
                return
            now = await self._db.now()
            record = await self.record(product_id)
            record.check_adjust(delta, now)
            await self.settle(record, now)
        raise contended()

    async def sweep(self) -> int:
        """Settle the products that have something due; return how many, at most 100."""
        now = await self._db.now()
        due = await self._db.products.find(
            {"due_ms": {"$lte": ms_from_time(now)}}, {"_id": 1}, limit=_BATCH
        )
        for document in due:
            await self.settle(await self.record(UUID(document["_id"])), now)
        return len(due)

    async def settle(self, record: StockRecord, now: datetime) -> None:
        """Take out of a product the reservations that are due."""
        removed = 0
        for order_id, reservation in record.due(now, self._kept).items():
            is_out = await self._take_out(record.product_id, order_id, reservation)
            removed += is_out
            _SWEPT.labels(reservation.state).inc(is_out)
        await self._set_due(record, removed, now)

    async def _take_out(self, product_id: UUID, order_id: UUID, reservation: Reservation) -> bool:
        match reservation.state:
            case ReservationState.HELD:
                return await self.put_back(product_id, order_id, reservation)
            case ReservationState.COMMITTED:
                return await self._move_out(product_id, order_id, reservation)
            case ReservationState.RELEASED:
                return await self._forget(product_id, order_id, reservation)

    async def put_back(self, product_id: UUID, order_id: UUID, reservation: Reservation) -> bool:
        """Return the pieces of a reservation to the stock, if it is still as it was read."""
        return await self._remove(product_id, order_id, reservation, back=reservation.quantity)

    async def _move_out(self, product_id: UUID, order_id: UUID, reservation: Reservation) -> bool:
        """Keep a committed reservation outside the product's document from now on."""
        await self._db.commitments.insert(
            documents.document_from_commitment(product_id, order_id, reservation)
        )
        if await self._remove(product_id, order_id, reservation, back=0):
            return True
        present = (await self.record(product_id)).reservations.get(order_id)
        if present and present.state is ReservationState.RELEASED:
            # It was released meanwhile: its pieces are back, so nothing may speak of them.
            await self._db.commitments.delete(commitment_id(product_id, order_id))
        return False

    async def _forget(self, product_id: UUID, order_id: UUID, reservation: Reservation) -> bool:
        """Forget that a reservation was released, after all else that speaks of it."""
        await self._db.commitments.delete(commitment_id(product_id, order_id))
        return await self._remove(product_id, order_id, reservation, back=0)

    async def _remove(
        self, product_id: UUID, order_id: UUID, reservation: Reservation, *, back: int
    ) -> bool:
        return await self._db.products.update(
            {"_id": str(product_id), **documents.unchanged(order_id, reservation)},
            {
                "$inc": {"stock": back, "reservations_version": 1},
                "$unset": {reservation_key(order_id): ""},
            },
        )

    async def _set_due(self, record: StockRecord, removed: int, now: datetime) -> None:
        """Say when the product must be looked at again, unless its reservations have changed.

        If they have, `due_ms` is earlier than need be, and the next sweep says it.
        """
        later = [
            due
            for due in (each.due_time(self._kept) for each in record.reservations.values())
            if due > now
        ]
        await self._db.products.update(
            {"_id": str(record.product_id), "reservations_version": record.version + removed},
            {"$set": {"due_ms": ms_from_time(min(later))}} if later else {"$unset": {"due_ms": ""}},
        )


def contended() -> Aborted:
    """Return the error that others were faster each time."""
    return Aborted("the stock is being changed by others", retry_after=_RETRY_AFTER)
