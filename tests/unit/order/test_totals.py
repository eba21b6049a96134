"""Totals: whole minor units, one currency, never more than can be charged."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.order.domain import Line, MixedCurrencies, TotalTooLarge, total

_PRICES = st.integers(1, 10**7)
_QUANTITIES = st.integers(1, 1000)
_CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


def line(price: int, quantity: int, currency: str = "EUR") -> Line:
    """Returns a line at `price` minor units a piece."""
    return Line(
        product_id=new_id(),
        sku="A-1",
        title="A thing",
        quantity=quantity,
        unit_price=Amount(currency=currency, minor=price),
    )


@given(st.lists(st.tuples(_PRICES, _QUANTITIES), min_size=1, max_size=20), _CURRENCIES)
def test_the_total_is_the_sum_of_price_times_quantity(
    items: list[tuple[int, int]], currency: str
) -> None:
    """The sum is exact, whatever the currency's minor unit."""
    expected = sum(price * quantity for price, quantity in items)
    actual = total([line(price, quantity, currency) for price, quantity in items])
    assert actual == Amount(currency=currency, minor=expected)


@given(
    st.lists(st.tuples(_PRICES, _QUANTITIES), min_size=1, max_size=10),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_lines_does_not_matter(
    items: list[tuple[int, int]], random: Random
) -> None:
    """The same lines in another order cost the same."""
    lines = [line(price, quantity) for price, quantity in items]
    shuffled = random.sample(lines, len(lines))
    assert total(shuffled) == total(lines)


@given(_PRICES, _QUANTITIES)
def test_two_currencies_have_no_total(price: int, quantity: int) -> None:
    """Lines in different currencies are refused."""
    with pytest.raises(MixedCurrencies):
        total([line(price, quantity, "EUR"), line(price, quantity, "USD")])


@pytest.mark.parametrize(("currency", "most"), [("JPY", 10**12), ("EUR", 10**14), ("KWD", 10**15)])
def test_a_total_that_no_provider_can_hold_is_refused(currency: str, most: int) -> None:
    """A sum of 10**12 units or more is refused, one just below it is not."""
    below = [line(most // 2, 1, currency), line(most // 2 - 1, 1, currency)]
    assert total(below) == Amount(currency=currency, minor=most - 1)
    with pytest.raises(TotalTooLarge):
        total([*below, line(1, 1, currency)])


def test_a_total_beyond_64_bits_is_refused() -> None:
    """A sum that no integer of the database can hold is refused likewise."""
    with pytest.raises(TotalTooLarge):
        total([line(2**62, 1000)])
