"""google.type.Money from and to whole numbers of minor units.

A Money holds whole `units` and `nanos`, billionths of a unit with the same sign. Nothing finer than
the currency's minor unit is accepted: 19.999 EUR is refused, never rounded.
"""

from google.type.money_pb2 import Money

from services.mesh.amount import Amount
from services.mesh.currencies import MINOR_UNITS
from services.mesh.errors import FieldViolation, InvalidArgument

_NANOS = 1_000_000_000


def amount_from_money(money: Money, *, field: str, negative: bool = False) -> Amount:
    """Returns the amount that a request's `field` holds; below zero only if `negative` is true.

    Raises InvalidArgument naming `field`, or the part of it at fault, when the currency is unknown,
    the value is finer than its minor unit, malformed, too large, or negative.
    """
    digits = MINOR_UNITS.get(money.currency_code)
    if digits is None:
        raise _invalid(f"{field}.currency_code", "must be a known ISO 4217 code", "CURRENCY")
    if abs(money.nanos) >= _NANOS or money.units * money.nanos < 0:
        description = "must have the sign of units and be less than one unit"
        raise _invalid(f"{field}.nanos", description, "NANOS")
    nanos_per_minor = _NANOS // 10**digits
    if money.nanos % nanos_per_minor:
        description = f"must be no finer than {digits} decimal digits in {money.currency_code}"
        raise _invalid(f"{field}.nanos", description, "MINOR_UNIT")
    minor = money.units * 10**digits + money.nanos // nanos_per_minor
    if minor < 0 and not negative:
        raise _invalid(field, "must not be negative", "NEGATIVE")
    try:
        return Amount(currency=money.currency_code, minor=minor)
    except InvalidArgument as error:
        raise _invalid(field, error.message, "TOO_LARGE") from error


def money_from_amount(amount: Amount) -> Money:
    """Returns the amount as the contract's message."""
    per_unit = 10 ** MINOR_UNITS[amount.currency]
    units, minor = divmod(abs(amount.minor), per_unit)
    sign = -1 if amount.minor < 0 else 1
    return Money(
        currency_code=amount.currency,
        units=sign * units,
        nanos=sign * minor * (_NANOS // per_unit),
    )


def _invalid(field: str, description: str, reason: str) -> InvalidArgument:
    message = f"{field} {description}"
    return InvalidArgument(message, violations=[FieldViolation(field, description, reason)])
