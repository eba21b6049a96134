"""Whether a message is from the provider.

    signature := hex( HMAC-SHA256( secret, event_id "." payment_id "." seconds since 1970 ) )

It is compared in constant time. A message that was caught and is sent again later does not pass:
its time must be within five minutes of the database's.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.mesh.settings import Secret
from services.payment.domain import SignatureInvalid

WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """A message of the provider.

    `payment_id` as it was sent, since that is what was signed. `send_seconds`: since 1970.
    """

    event_id: str
    payment_id: str
    send_seconds: int
    signature: str


def verify(event: ProviderEvent, *, secret: Secret, now: datetime) -> None:
    """Passes when the provider has signed the event, and lately. Raises SignatureInvalid."""
    signed = f"{event.event_id}.{event.payment_id}.{event.send_seconds}"
    expected = hmac.new(secret.reveal().encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, event.signature):
        raise SignatureInvalid("the signature is wrong")
    if abs(now.timestamp() - event.send_seconds) > WINDOW.total_seconds():
        raise SignatureInvalid("the message was not sent within the last five minutes")
