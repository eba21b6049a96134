"""Amounts of money as whole numbers of a currency's minor unit.

Amount(currency="EUR", minor=1999)      19.99 EUR
Amount(currency="JPY", minor=1999)      1999 JPY
"""

from dataclasses import dataclass

from services.mesh.currencies import MINOR_UNITS
from services.mesh.errors import FailedPrecondition, InvalidArgument

_LIMIT = 2**63


class MixedCurrencies(FailedPrecondition):
    """Two amounts of different currencies were to be combined."""

    reason = "MIXED_CURRENCIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """An amount of one currency (ISO 4217 code); `minor` may be negative and fits in 64 bits.

    Raises InvalidArgument when the currency is unknown or a sum or product does not fit, and
    MixedCurrencies when two currencies meet.
    """

    currency: str
    minor: int

    def __post_init__(self) -> None:
        if self.currency not in MINOR_UNITS:
            raise InvalidArgument("the currency is not known")
        if not -_LIMIT <= self.minor < _LIMIT:
            raise InvalidArgument("the amount is too large")

    def __add__(self, other: "Amount") -> "Amount":
        self._must_match(other)
        return Amount(currency=self.currency, minor=self.minor + other.minor)

    def __sub__(self, other: "Amount") -> "Amount":
        self._must_match(other)
        return Amount(currency=self.currency, minor=self.minor - other.minor)

    def __mul__(self, quantity: int) -> "Amount":
        return Amount(currency=self.currency, minor=self.minor * quantity)

    def __lt__(self, other: "Amount") -> bool:
        self._must_match(other)
        return self.minor < other.minor

    def __le__(self, other: "Amount") -> bool:
        self._must_match(other)
        return self.minor <= other.minor

    def _must_match(self, other: "Amount") -> None:
        if self.currency != other.currency:
            raise MixedCurrencies("amounts of different currencies cannot be combined")
