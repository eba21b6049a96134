"""Money on the wire and amounts in the domain say the same, or the message is refused."""

import pytest
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from services.mesh.amount import Amount, MixedCurrencies
from services.mesh.currencies import MINOR_UNITS
from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.money import amount_from_money, money_from_amount

currencies = st.sampled_from(sorted(MINOR_UNITS))
minors = st.integers(min_value=-(2**63), max_value=2**63 - 1)
amounts = st.builds(Amount, currency=currencies, minor=minors)
euros = st.builds(
    Amount, currency=st.just("EUR"), minor=st.integers(min_value=-(2**60), max_value=2**60)
)


def violation(money: Money) -> FieldViolation:
    """Returns the one violation that reading `money` ends in."""
    with pytest.raises(InvalidArgument) as caught:
        amount_from_money(money, field="price")
    (only,) = caught.value.violations
    return only


@given(amounts)
def test_round_trip(amount: Amount) -> None:
    """An amount comes back from the wire as it went."""
    money = Money.FromString(money_from_amount(amount).SerializeToString())
    assert amount_from_money(money, field="price", negative=True) == amount


@given(amounts)
def test_money_is_well_formed(amount: Amount) -> None:
    """Units and nanos have one sign, and nanos are less than a unit."""
    money = money_from_amount(amount)
    assert money.units * money.nanos >= 0
    assert abs(money.nanos) < 1_000_000_000


@given(euros, euros, euros)
def test_addition_is_associative(a: Amount, b: Amount, c: Amount) -> None:
    """The order in which amounts are added does not matter."""
    assert (a + b) + c == a + (b + c)


@given(euros, euros)
def test_subtraction_undoes_addition(a: Amount, b: Amount) -> None:
    """What was added can be taken away again."""
    assert a + b - b == a


@pytest.mark.parametrize(
    ("money", "minor"),
    [
        (Money(currency_code="EUR", units=19, nanos=990_000_000), 1999),
        (Money(currency_code="JPY", units=1999), 1999),
        (Money(currency_code="KWD", units=1, nanos=5_000_000), 1005),
        (Money(currency_code="USD"), 0),
    ],
)
def test_minor_units(money: Money, minor: int) -> None:
    """Each currency counts in its own minor unit."""
    assert amount_from_money(money, field="price").minor == minor


@given(currencies, st.integers(min_value=1, max_value=999_999_999))
def test_nothing_finer_than_the_minor_unit(currency: str, nanos: int) -> None:
    """A value between two minor units is refused, never rounded."""
    step = 10 ** (9 - MINOR_UNITS[currency])
    money = Money(currency_code=currency, units=1, nanos=nanos)
    if nanos % step:
        assert violation(money).reason == "MINOR_UNIT"
    else:
        minor = 10 ** MINOR_UNITS[currency] + nanos // step
        assert amount_from_money(money, field="price").minor == minor


@pytest.mark.parametrize(
    ("money", "field", "reason"),
    [
        (Money(units=1), "price.currency_code", "CURRENCY"),
        (Money(currency_code="XXX", units=1), "price.currency_code", "CURRENCY"),
        (Money(currency_code="eur", units=1), "price.currency_code", "CURRENCY"),
        (Money(currency_code="EUR", units=1, nanos=-10_000_000), "price.nanos", "NANOS"),
        (Money(currency_code="EUR", nanos=1_000_000_000), "price.nanos", "NANOS"),
        (Money(currency_code="EUR", units=-1), "price", "NEGATIVE"),
        (Money(currency_code="EUR", units=2**63 - 1), "price", "TOO_LARGE"),
    ],
)
def test_refused_money(money: Money, field: str, reason: str) -> None:
    """A message that is no amount is refused by the name of the field at fault."""
    found = violation(money)
    assert (found.field, found.reason) == (field, reason)


def test_overflow_of_a_sum() -> None:
    """A sum that does not fit in 64 bits is refused, not wrapped."""
    largest = Amount(currency="EUR", minor=2**63 - 1)
    with pytest.raises(InvalidArgument):
        largest + Amount(currency="EUR", minor=1)
    with pytest.raises(InvalidArgument):
        largest * 2


def test_mixed_currencies() -> None:
    """Amounts of two currencies neither add nor compare."""
    euro, yen = Amount(currency="EUR", minor=1), Amount(currency="JPY", minor=1)
    with pytest.raises(MixedCurrencies):
        euro + yen
    with pytest.raises(MixedCurrencies):
        assert euro < yen


def test_unknown_currency() -> None:
    """There is no amount of a currency that is not known."""
    with pytest.raises(InvalidArgument):
        Amount(currency="ABC", minor=1)
