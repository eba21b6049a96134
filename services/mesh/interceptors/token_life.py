"""Ends a stream when the access token that it began with ends.

Other calls are over long before. Without this, who has signed out or lost a role, or whose account
was closed, would go on being told for as long as the connection lives.
"""

import asyncio
import math
import time
from typing import Any

from services.mesh import identity
from services.mesh.access_token import TokenExpired
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method
from souk.mesh.v1.policy_pb2 import Access


def token_life(method: Method, handler: Handler) -> Handler:
    """Cancel a stream to a person when their token has ended; raises TokenExpired instead."""
    if not method.server_streaming or method.access == Access.ACCESS_PUBLIC:
        return handler

    async def handle(request: Any, context: Context) -> Any:
        left = identity.caller().expires_at - time.time()
        life = asyncio.timeout(None if math.isinf(left) else max(left, 0))
        try:
            async with life:
                return await handler(request, context)
        except TimeoutError:
            if life.expired():
                raise TokenExpired("the access token has expired") from None
            raise

    return handle
