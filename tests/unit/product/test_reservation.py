"""What reservations make of a product's stock."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.product.domain.product import ProductArchived, ProductState
from services.product.domain.reservation import (
    COMMITTED_KEPT,
    MOST_STOCK,
    OutOfStock,
    Reservation,
    ReservationGone,
    ReservationState,
    StockOutOfRange,
    StockRecord,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEPT = timedelta(hours=1)
ORDER = uuid4()

HELD, COMMITTED, RELEASED = ReservationState


def reservation(
    state: ReservationState = HELD, *, quantity: int = 2, ends_in: timedelta = SECOND
) -> Reservation:
    """Return a reservation made just now."""
    return Reservation(state=state, quantity=quantity, expire_time=NOW + ends_in, change_time=NOW)


def record(
    *reservations: Reservation, stock: int = 5, state: ProductState = ProductState.ACTIVE
) -> StockRecord:
    """Return the stock of a product; the first reservation is ORDER's."""
    orders = [ORDER, *(uuid4() for _ in reservations)]
    return StockRecord(
        product_id=UUID(int=1),
        state=state,
        stock=stock,
        reservations=dict(zip(orders, reservations, strict=False)),
        version=0,
    )


@pytest.mark.parametrize(
    ("state", "ends_in", "expected"),
    [
        (HELD, SECOND, False),
        (HELD, timedelta(0), True),
        (HELD, -SECOND, True),
        (COMMITTED, -SECOND, False),
        (RELEASED, -SECOND, False),
    ],
)
def test_only_what_is_held_expires(
    state: ReservationState,
    ends_in: timedelta,
    expected: bool,
):
    """A held reservation has expired from its end on; others never."""
    assert reservation(state, ends_in=ends_in).has_expired(NOW) is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [(HELD, NOW + SECOND), (COMMITTED, NOW + COMMITTED_KEPT), (RELEASED, NOW + KEPT)],
)
def test_when_a_reservation_leaves(state: ReservationState, expected: datetime):
    """A held one leaves at its end, others some time after they came into their state."""
    assert reservation(state).due_time(KEPT) == expected


def test_a_committed_reservation_leaves_no_later_than_a_released_one():
    """What is kept for a short time only is so whatever its state."""
    assert reservation(COMMITTED).due_time(SECOND) == NOW + SECOND


def test_a_released_reservation_is_refused():
    """An order whose reservation was released cannot have another."""
    with pytest.raises(ReservationGone) as raised:
        record(reservation(RELEASED)).standing(ORDER, NOW)

    assert raised.value.metadata == {"product_id": str(UUID(int=1))}


@pytest.mark.parametrize("state", [HELD, COMMITTED])
def test_what_an_order_has_stands(state: ReservationState):
    """A held or committed reservation is returned as it is."""
    assert record(reservation(state)).standing(ORDER, NOW) == reservation(state)


def test_an_expired_or_absent_reservation_does_not_stand():
    """The order may reserve."""
    expired = record(reservation(ends_in=timedelta(0)))

    assert [expired.standing(ORDER, NOW), record().standing(ORDER, NOW)] == [None, None]


def test_expired_pieces_are_available():
    """What can be bought are the free pieces and those of expired reservations."""
    stock = record(
        reservation(quantity=1),
        reservation(quantity=10, ends_in=timedelta(0)),
        reservation(COMMITTED, quantity=100, ends_in=-SECOND),
        stock=5,
    )

    assert stock.available(NOW) == 15


@given(st.integers(0, MOST_STOCK), st.integers(1, 1000))
def test_no_more_is_reserved_than_there_is(stock: int, quantity: int):
    """A reservation is refused exactly when it asks for more than is available."""
    try:
        record(stock=stock).check_reserve(quantity, NOW)
        refused = False
    except OutOfStock:
        refused = True

    assert refused is (quantity > stock)


@given(st.integers(0, MOST_STOCK), st.integers(-MOST_STOCK, MOST_STOCK))
def test_stock_is_adjusted_within_its_range(stock: int, delta: int):
    """An adjustment is refused exactly when it leaves the range from 0 to a million."""
    try:
        record(stock=stock).check_adjust(delta, NOW)
        refused = False
    except StockOutOfRange:
        refused = True

    assert refused is not (0 <= stock + delta <= MOST_STOCK)


def test_an_archived_product_is_neither_sold_nor_stocked():
    """Its own error says so, whatever the stock."""
    archived = record(state=ProductState.ARCHIVED)

    with pytest.raises(ProductArchived):
        archived.check_reserve(1, NOW)
    with pytest.raises(ProductArchived):
        archived.check_adjust(1, NOW)


def test_what_is_due():
    """Due is what expired, and what was committed or released long enough ago."""
    stock = record(reservation(), reservation(COMMITTED), reservation(RELEASED))

    assert list(stock.due(NOW, KEPT)) == []
    assert list(stock.due(NOW + SECOND, KEPT)) == [ORDER]
    assert len(stock.due(NOW + KEPT, KEPT)) == 3
