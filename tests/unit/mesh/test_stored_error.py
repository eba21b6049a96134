"""A stored error says what it said the first time."""

from datetime import timedelta

import pytest

from services.mesh.errors import Aborted, DomainError, FailedPrecondition, FieldViolation
from services.mesh.stored_error import error_from_json, json_from_error


class OutOfStock(FailedPrecondition):
    """An error of a service's own."""

    reason = "OUT_OF_STOCK"


def said(error: DomainError) -> tuple[object, ...]:
    """Returns all that a caller is told."""
    return (
        *(error.code, error.reason, error.message),
        *(dict(error.metadata), error.violations, error.retry_after),
    )


@pytest.mark.parametrize(
    "error",
    [
        OutOfStock("only 2 are left", product_id="7", order_id="8"),
        OutOfStock("no", violations=[FieldViolation("items[0].quantity", "too many", "MANY")]),
        Aborted("busy", retry_after=timedelta(milliseconds=1500)),
    ],
)
def test_round_trip(error: DomainError) -> None:
    """An error comes back with all that the caller is told."""
    assert said(error_from_json(json_from_error(error))) == said(error)


def test_kind() -> None:
    """An error comes back as one of its kind."""
    stored = error_from_json(json_from_error(OutOfStock("none are left")))
    assert isinstance(stored, FailedPrecondition)
