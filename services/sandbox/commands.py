"""Requests of the HTTP API from JSON.

POST /v1/authorizations  {"payment": "...", "token": "...", "amount": AMOUNT}
POST /v1/captures        {"authorization": KEY, "amount": AMOUNT}
POST /v1/voids           {"authorization": KEY}
POST /v1/refunds         {"capture": KEY, "amount": AMOUNT}

AMOUNT := {"currency": "EUR", "minor": 1999}
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.sandbox.ledger import Command


class Malformed(ValueError):
    """The request cannot be read; the message says why."""


def authorization(key: str, body: Mapping[str, Any]) -> Command:
    """Returns what is asked for; raises Malformed."""
    return Command(
        key=key,
        type="authorization",
        payment=_text(body, "payment"),
        token=_text(body, "token"),
        **_amount(body),
    )


def capture(key: str, body: Mapping[str, Any]) -> Command:
    """Returns what is asked for; raises Malformed."""
    return Command(key=key, type="capture", follows=_text(body, "authorization"), **_amount(body))


def void(key: str, body: Mapping[str, Any]) -> Command:
    """Returns what is asked for; raises Malformed."""
    return Command(key=key, type="void", follows=_text(body, "authorization"))


def refund(key: str, body: Mapping[str, Any]) -> Command:
    """Returns what is asked for; raises Malformed."""
    return Command(key=key, type="refund", follows=_text(body, "capture"), **_amount(body))


def page(query: Mapping[str, str]) -> tuple[str, int]:
    """Returns the time, as the ledger writes it, and the position that a page begins after.

    Raises Malformed.
    """
    try:
        since = datetime.fromisoformat(query.get("since", "") or "1970-01-01T00:00:00+00:00")
        after = int(query.get("page", "") or 0)
    except ValueError as error:
        raise Malformed("since must be a time, and page what the page before tells") from error
    return since.astimezone(UTC).isoformat(), after


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{field} must be a text that is not empty")
    return value


def _amount(body: Mapping[str, Any]) -> dict[str, Any]:
    match body.get("amount"):
        case {"currency": str(currency), "minor": int(minor)} if currency and minor > 0:
            return {"currency": currency, "minor": minor}
        case _:
            raise Malformed("amount must have a currency, and a minor of more than 0")
