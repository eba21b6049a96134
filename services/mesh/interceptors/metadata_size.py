"""Refuses calls with more metadata than is announced, whatever the client made of that.

gRPC's library tells its limit in SETTINGS and leaves it to the client to keep it: one that does not
is read up to the size of a frame (RFC 9113 section 6.5.2 makes it advisory).
"""

from typing import Any, Final

from services.mesh.errors import ResourceExhausted
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method

# RFC 9113 section 6.5.2: an entry counts 32 bytes more than it has.
_ENTRY_BYTES: Final = 32


class MetadataTooLarge(ResourceExhausted):
    """The call has more metadata than the process takes."""

    reason = "METADATA_TOO_LARGE"


def metadata_size(limit_bytes: int) -> Interceptor:
    """Return the interceptor. Raises MetadataTooLarge."""

    def intercept(_method: Method, handler: Handler) -> Handler:
        async def handle(request: Any, context: Context) -> Any:
            size = 0
            for key, value in context.invocation_metadata() or ():
                size += len(key) + len(value) + _ENTRY_BYTES
            if size > limit_bytes:
                raise MetadataTooLarge(f"the metadata is larger than {limit_bytes} bytes")
            return await handler(request, context)

        return handle

    return intercept
