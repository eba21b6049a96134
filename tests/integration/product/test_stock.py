"""Stock and reservations over each database: never sold twice, never put back twice."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from services.mesh.errors import DomainError
from services.mesh.ids import new_id
from services.product.documents import commitment_id
from services.product.domain.product import ProductArchived, ProductNotFound
from services.product.domain.reservation import (
    OutOfStock,
    ReservationGone,
    ReservationState,
    StockOutOfRange,
)

from .conftest import KEPT, Parts

MINUTE = timedelta(minutes=1)


async def succeeds(call: Awaitable[object], *expected: type[DomainError]) -> bool:
    """Say whether the call came through rather than failing as expected."""
    try:
        await call
    except expected:
        return False
    return True


async def test_the_last_piece_is_sold_once(parts: Parts):
    """Of a hundred orders for the last piece at the same time, exactly one has it."""
    product_id = await parts.product(stock=1)

    sold = await asyncio.gather(
        *(
            succeeds(parts.reservations.reserve(new_id(), {product_id: 1}, MINUTE), OutOfStock)
            for _ in range(100)
        )
    )

    assert sum(sold) == 1
    assert await parts.stock_of(product_id) == 0


async def test_one_order_that_asks_often_has_it_once(parts: Parts):
    """Repeating a reservation at the same time takes the stock once, with one end."""
    product_id, order_id = await parts.product(stock=50), new_id()

    ends = await asyncio.gather(
        *(parts.reservations.reserve(order_id, {product_id: 2}, MINUTE) for _ in range(20))
    )

    assert len(set(ends)) == 1
    assert await parts.stock_of(product_id) == 48


async def test_what_is_released_often_is_put_back_once(parts: Parts):
    """Releasing at the same time as expiry is swept puts each piece back once."""
    product_id, order_id = await parts.product(stock=10), new_id()
    await parts.reservations.reserve(order_id, {product_id: 4}, MINUTE)
    parts.clock.advance(2 * MINUTE)

    await asyncio.gather(
        *(parts.reservations.release(order_id, [product_id]) for _ in range(10)),
        *(parts.stock.sweep() for _ in range(10)),
    )

    assert await parts.stock_of(product_id) == 10


async def test_the_end_is_by_the_clock_of_the_database(parts: Parts):
    """A reservation ends so long after the database's now."""
    product_id = await parts.product(stock=1)
    before = await parts.db.now()

    end = await parts.reservations.reserve(new_id(), {product_id: 1}, MINUTE)

    assert before <= end - MINUTE <= await parts.db.now()


async def test_all_products_or_none(parts: Parts):
    """When one product has too few, the others are put back and the error names it."""
    plenty, scarce = await parts.product(stock=5), await parts.product(stock=1)
    order_id = new_id()

    with pytest.raises(OutOfStock) as raised:
        await parts.reservations.reserve(order_id, {plenty: 2, scarce: 2}, MINUTE)

    assert raised.value.metadata == {"product_id": str(scarce)}
    assert [await parts.stock_of(each) for each in (plenty, scarce)] == [5, 1]
    # Nothing is left of the try, so the same order may try again.
    await parts.reservations.reserve(order_id, {plenty: 2, scarce: 1}, MINUTE)
    assert [await parts.stock_of(each) for each in (plenty, scarce)] == [3, 0]


async def test_what_the_order_had_before_stands_when_it_fails_later(parts: Parts):
    """A failing repetition puts back only what it took itself."""
    first, second = await parts.product(stock=5), await parts.product(stock=0)
    order_id = new_id()
    await parts.reservations.reserve(order_id, {first: 2}, MINUTE)

    with pytest.raises(OutOfStock):
        await parts.reservations.reserve(order_id, {first: 2, second: 1}, MINUTE)

    assert await parts.stock_of(first) == 3


async def test_a_product_that_cannot_be_reserved(parts: Parts):
    """An archived product and one that does not exist are refused by their own errors."""
    archived = await parts.product(stock=5)
    await parts.products.archive(archived, expected_etag="")

    with pytest.raises(ProductArchived):
        await parts.reservations.reserve(new_id(), {archived: 1}, MINUTE)
    with pytest.raises(ProductNotFound):
        await parts.reservations.reserve(new_id(), {new_id(): 1}, MINUTE)


async def test_expired_stock_is_sold_before_it_is_swept(parts: Parts):
    """The next order gets the pieces of an expired reservation at once."""
    product_id = await parts.product(stock=3)
    await parts.reservations.reserve(new_id(), {product_id: 3}, MINUTE)
    parts.clock.advance(MINUTE)

    await parts.reservations.reserve(new_id(), {product_id: 2}, MINUTE)

    assert await parts.stock_of(product_id) == 1


async def test_an_expired_order_may_reserve_again(parts: Parts):
    """A repetition after the end takes the stock anew, with a new end."""
    product_id, order_id = await parts.product(stock=3), new_id()
    first = await parts.reservations.reserve(order_id, {product_id: 3}, MINUTE)
    parts.clock.advance(MINUTE)

    second = await parts.reservations.reserve(order_id, {product_id: 3}, MINUTE)

    assert second - first >= MINUTE
    assert await parts.stock_of(product_id) == 0


def swept() -> float:
    """Returns how many expired reservations were put back so far."""
    name = "souk_reservations_swept_total"
    return REGISTRY.get_sample_value(name, {"state": "HELD"}) or 0.0


async def test_a_sweep_puts_back_what_expired_and_nothing_else(parts: Parts):
    """After a sweep the stock has the expired pieces, and each of them is counted once."""
    product_id, before = await parts.product(stock=10), swept()
    for quantity, minutes in ((1, 1), (2, 3), (4, 5)):
        await parts.reservations.reserve(new_id(), {product_id: quantity}, minutes * MINUTE)
    seen = []
    for _ in range(3):
        parts.clock.advance(2 * MINUTE)
        seen.append((await parts.stock.sweep(), await parts.stock_of(product_id)))
        assert await parts.stock.sweep() == 0

    assert seen == [(1, 4), (1, 6), (1, 10)]
    assert swept() - before == 3


async def test_a_sweep_forgets_nothing_that_came_meanwhile(parts: Parts):
    """A reservation made between a sweep's reading and writing expires in its own time."""
    product_id = await parts.product(stock=10)
    for minutes in (1, 60):
        await parts.reservations.reserve(new_id(), {product_id: 1}, minutes * MINUTE)
    parts.clock.advance(2 * MINUTE)
    read = await parts.stock.record(product_id)
    await parts.reservations.reserve(new_id(), {product_id: 4}, MINUTE)

    await parts.stock.settle(read, await parts.clock.now())
    parts.clock.advance(2 * MINUTE)
    await parts.stock.sweep()

    assert await parts.stock_of(product_id) == 9


async def test_a_committed_reservation_does_not_expire(parts: Parts):
    """Committing is final, and repeating it changes nothing."""
    product_id, order_id = await parts.product(stock=3), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)

    await parts.reservations.commit(order_id, [product_id])
    await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(2 * MINUTE)
    await parts.stock.sweep()

    assert await parts.stock_of(product_id) == 1


async def test_an_expired_reservation_cannot_be_committed(parts: Parts):
    """From its end on, before it is swept too, committing fails and names the product."""
    product_id, order_id = await parts.product(stock=3), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)
    parts.clock.advance(MINUTE)

    with pytest.raises(ReservationGone) as raised:
        await parts.reservations.commit(order_id, [product_id])

    assert raised.value.metadata == {"product_id": str(product_id)}


async def test_commit_is_all_or_none(parts: Parts):
    """When one product is gone, the others may expire again."""
    kept, missing, order_id = await parts.product(stock=3), await parts.product(), new_id()
    await parts.reservations.reserve(order_id, {kept: 2}, MINUTE)

    with pytest.raises(ReservationGone):
        await parts.reservations.commit(order_id, [kept, missing])
    parts.clock.advance(MINUTE)
    await parts.stock.sweep()

    assert await parts.stock_of(kept) == 3


@pytest.mark.parametrize("committed", [False, True])
async def test_a_released_order_is_put_back_for_good(parts: Parts, committed: bool):
    """Held or committed, its pieces are back, and it can neither reserve nor commit any more."""
    product_id, order_id = await parts.product(stock=3), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)
    if committed:
        await parts.reservations.commit(order_id, [product_id])

    await parts.reservations.release(order_id, [product_id])
    await parts.reservations.release(order_id, [product_id])

    assert await parts.stock_of(product_id) == 3
    with pytest.raises(ReservationGone):
        await parts.reservations.reserve(order_id, {product_id: 1}, MINUTE)
    with pytest.raises(ReservationGone):
        await parts.reservations.commit(order_id, [product_id])


async def test_a_reservation_that_arrives_after_its_release_is_refused(parts: Parts):
    """Releasing what was never reserved refuses the reservation that comes late."""
    product_id, order_id = await parts.product(stock=3), new_id()
    await parts.reservations.release(order_id, [product_id, new_id()])

    with pytest.raises(ReservationGone):
        await parts.reservations.reserve(order_id, {product_id: 1}, MINUTE)

    assert await parts.stock_of(product_id) == 3


async def test_old_reservations_leave_the_document(parts: Parts):
    """After a while the product remembers neither committed nor released orders."""
    product_id = await parts.product(stock=9)
    committed, released = new_id(), new_id()
    for order_id in (committed, released):
        await parts.reservations.reserve(order_id, {product_id: 1}, MINUTE)
    await parts.reservations.commit(committed, [product_id])
    await parts.reservations.release(released, [product_id])
    parts.clock.advance(KEPT)

    await parts.stock.sweep()

    assert (await parts.stock.record(product_id)).reservations == {}
    assert await parts.stock_of(product_id) == 8


async def test_a_commitment_leaves_before_it_would_have_expired(parts: Parts):
    """Whatever the reservation was to last, the document keeps it no longer than others."""
    product_id, order_id = await parts.product(stock=9), new_id()
    await parts.reservations.reserve(order_id, {product_id: 1}, 10 * KEPT)
    await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(KEPT)

    await parts.stock.sweep()

    assert (await parts.stock.record(product_id)).reservations == {}


async def test_a_release_during_a_sweep_leaves_no_commitment(parts: Parts):
    """What was released between a sweep's reading and writing is nowhere committed."""
    product_id, order_id = await parts.product(stock=9), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)
    await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(KEPT)
    read = await parts.stock.record(product_id)
    await parts.reservations.release(order_id, [product_id])

    await parts.stock.settle(read, await parts.clock.now())

    assert await _commitment(parts, product_id, order_id) is None
    assert await parts.stock_of(product_id) == 9


async def test_an_old_commitment_is_as_good_as_a_new_one(parts: Parts):
    """Reserving and committing again find it; releasing puts it back, once."""
    product_id, order_id = await parts.product(stock=9), new_id()
    end = await parts.reservations.reserve(order_id, {product_id: 4}, MINUTE)
    await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(KEPT)
    await parts.stock.sweep()

    assert await parts.reservations.reserve(order_id, {product_id: 4}, MINUTE) == end
    await parts.reservations.commit(order_id, [product_id])
    assert await parts.stock_of(product_id) == 5
    for _ in range(2):
        await parts.reservations.release(order_id, [product_id])
    assert await parts.stock_of(product_id) == 9
    assert await _commitment(parts, product_id, order_id) is None


async def test_a_release_during_the_move_puts_back_once(parts: Parts):
    """Releasing while old commitments are moved out never puts a piece back twice."""
    product_id = await parts.product(stock=20)
    orders = [new_id() for _ in range(10)]
    for order_id in orders:
        await parts.reservations.reserve(order_id, {product_id: 1}, MINUTE)
        await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(KEPT)

    await asyncio.gather(
        parts.stock.sweep(),
        parts.stock.sweep(),
        *(parts.reservations.release(order_id, [product_id]) for order_id in orders),
    )
    parts.clock.advance(2 * KEPT)
    await parts.stock.sweep()
    for order_id in orders:
        await parts.reservations.release(order_id, [product_id])

    assert await parts.stock_of(product_id) == 20
    assert [await _commitment(parts, product_id, each) for each in orders] == [None] * 10


async def test_a_release_that_stopped_half_way_does_not_put_back_twice(parts: Parts):
    """A commitment left behind by a crash is not put back again, then or later."""
    product_id, order_id = await parts.product(stock=5), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)
    await parts.reservations.commit(order_id, [product_id])
    parts.clock.advance(KEPT)
    await parts.stock.sweep()
    left_behind = await _commitment(parts, product_id, order_id)
    assert left_behind is not None
    await parts.reservations.release(order_id, [product_id])
    await parts.db.commitments.insert(left_behind)

    await parts.reservations.release(order_id, [product_id])
    parts.clock.advance(KEPT)
    await parts.stock.sweep()
    await parts.reservations.release(order_id, [product_id])

    assert await parts.stock_of(product_id) == 5


@pytest.mark.parametrize(
    ("stock", "delta", "expected"), [(5, -5, 0), (5, 3, 8), (999_999, 1, 1_000_000)]
)
async def test_stock_is_adjusted(parts: Parts, stock: int, delta: int, expected: int):
    """Pieces are added or taken away, from nothing to a million."""
    product_id = await parts.product(stock=stock)

    await parts.stock.adjust(product_id, delta)

    assert await parts.stock_of(product_id) == expected


@pytest.mark.parametrize(("stock", "delta"), [(5, -6), (999_999, 2)])
async def test_stock_stays_in_its_range(parts: Parts, stock: int, delta: int):
    """What would leave the range is refused and changes nothing."""
    product_id = await parts.product(stock=stock)

    with pytest.raises(StockOutOfRange):
        await parts.stock.adjust(product_id, delta)

    assert await parts.stock_of(product_id) == stock


async def test_concurrent_adjustments_never_go_below_zero(parts: Parts):
    """Of thirty that take two of fifty pieces, twenty-five come through."""
    product_id = await parts.product(stock=50)

    done = await asyncio.gather(
        *(succeeds(parts.stock.adjust(product_id, -2), StockOutOfRange) for _ in range(30))
    )

    assert (sum(done), await parts.stock_of(product_id)) == (25, 0)


async def test_expired_pieces_can_be_taken_away(parts: Parts):
    """An adjustment counts expired reservations as stock."""
    product_id = await parts.product(stock=5)
    await parts.reservations.reserve(new_id(), {product_id: 5}, MINUTE)
    parts.clock.advance(MINUTE)

    await parts.stock.adjust(product_id, -5)

    assert await parts.stock_of(product_id) == 0


async def test_an_archived_product_cannot_be_adjusted(parts: Parts):
    """Its stock is nobody's any more."""
    product_id = await parts.product(stock=5)
    await parts.products.archive(product_id, expected_etag="")

    with pytest.raises(ProductArchived):
        await parts.stock.adjust(product_id, 1)


async def test_an_archived_product_can_be_committed_and_released(parts: Parts):
    """What orders had when it was archived stays theirs."""
    product_id, order_id = await parts.product(stock=5), new_id()
    await parts.reservations.reserve(order_id, {product_id: 2}, MINUTE)
    await parts.products.archive(product_id, expected_etag="")

    await parts.reservations.commit(order_id, [product_id])
    record = await parts.stock.record(product_id)

    assert record.reservations[order_id].state is ReservationState.COMMITTED
    await parts.reservations.release(order_id, [product_id])
    assert await parts.stock_of(product_id) == 5


async def _commitment(parts: Parts, product_id: UUID, order_id: UUID) -> dict[str, object] | None:
    return await parts.db.commitments.find_one({"_id": commitment_id(product_id, order_id)})
