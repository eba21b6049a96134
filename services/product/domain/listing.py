"""Which products a list has, and in which order."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class SortField(StrEnum):
    """What a list can be sorted by, as the contract names it."""

    CREATE_TIME = "create_time"
    TITLE = "title"
    PRICE = "price"
    STOCK = "stock"


class Operator(StrEnum):
    """How a comparison compares (AIP-160)."""

    HAS = ":"
    EQUAL = "="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A condition on one field, like `price.units < 30`."""

    field: str
    operator: Operator
    value: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a list was asked for.

    Its products meet every comparison and hold every word, casefolded, in title, description or
    tags. Those equal in the field they are sorted by stand in the order of their ids.
    """

    comparisons: tuple[Comparison, ...] = ()
    words: tuple[str, ...] = ()
    sort_field: SortField = SortField.CREATE_TIME
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page ended: the last product, and the value by which it was sorted."""

    value: str | int
    product_id: UUID
