"""What the gateway itself refuses, told as every service of the mesh tells its errors."""

from collections.abc import Sequence
from typing import Final

from gateway.transcoding.errors import StatusError
from services.mesh.errors import DomainError
from services.mesh.status import status_from_error

_DOMAIN: Final = "gateway.souk"


def refusal(error: DomainError, headers: Sequence[tuple[bytes, bytes]] = ()) -> StatusError:
    """Gives what ends a request with `error`; `headers` are added to the answer."""
    return StatusError(status_from_error(error, _DOMAIN), headers=headers)
