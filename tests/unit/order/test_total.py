"""What an order comes to."""

import pytest

from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.order.domain import Line, MixedCurrencies, TotalTooLarge, total


def line(currency: str, minor: int, quantity: int = 1) -> Line:
    """Return a line of pieces at this price."""
    return Line(
        product_id=new_id(),
        sku="coffee",
        title="Coffee",
        quantity=quantity,
        unit_price=Amount(currency=currency, minor=minor),
    )


def test_the_lines_add_up():
    """The total is the price of all pieces of all lines."""
    lines = [line("EUR", 1250, quantity=2), line("EUR", 99)]

    assert Amount(currency="EUR", minor=2599) == total(lines)


def test_currencies_do_not_mix():
    """One order is in one currency."""
    with pytest.raises(MixedCurrencies):
        total([line("EUR", 1250), line("USD", 1250)])


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("EUR", 2), ("KWD", 3)])
def test_a_total_is_less_than_a_million_million_units(currency: str, digits: int):
    """The limit counts whole units, whatever the currency's minor unit."""
    limit = 10 ** (12 + digits)

    assert limit - 1 == total([line(currency, limit - 2), line(currency, 1)]).minor
    with pytest.raises(TotalTooLarge):
        total([line(currency, limit - 1), line(currency, 1)])
