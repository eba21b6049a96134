"""Whose messages are believed."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from services.mesh.settings import Secret
from services.payment.domain import SignatureInvalid
from services.payment.signature import ProviderEvent, verify

SECRET = Secret("shared")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event(
    *, secret: Secret = SECRET, sent: datetime = NOW, payment_id: str = "pay", signed: str = "pay"
) -> ProviderEvent:
    """Returns an event that was signed with `secret` for the payment `signed`."""
    text = f"evt.{signed}.{int(sent.timestamp())}"
    return ProviderEvent(
        event_id="evt",
        payment_id=payment_id,
        send_seconds=int(sent.timestamp()),
        signature=hmac.new(secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest(),
    )


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_a_signed_message_of_these_minutes_is_believed(minutes: int):
    """Five minutes either way are inside the window."""
    verify(event(sent=NOW + timedelta(minutes=minutes)), secret=SECRET, now=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        event(secret=Secret("guessed")),
        event(payment_id="other"),
        event(sent=NOW - timedelta(minutes=5, seconds=1)),
        event(sent=NOW + timedelta(minutes=5, seconds=1)),
    ],
    ids=["another secret", "another payment", "too old", "from the future"],
)
def test_any_other_message_is_refused(wrong: ProviderEvent):
    """A wrong signature and a time outside of the window are the same error."""
    with pytest.raises(SignatureInvalid):
        verify(wrong, secret=SECRET, now=NOW)
