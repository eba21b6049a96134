"""RPCs that may be repeated: the mesh's idempotency around work that reaches outside.

The work can't share a transaction with the key's answer, since the provider is asked in between.
Instead it is repeatable by nature: done again after a crash, it finds what the first has done.

| the work …              | a repeated call …             |
|-------------------------|-------------------------------|
| returns                 | gets the same response        |
| raises PaymentDeclined  | gets the same error           |
| raises anything else    | does the work again           |
| is cut off              | does the work again           |
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh import idempotency, identity
from services.mesh.database import Database
from services.mesh.errors import Unavailable
from services.mesh.idempotency import Fresh, IdempotencyKeys, InProgress, Replay
from services.mesh.ids import new_id
from services.payment.domain import PaymentDeclined

M = TypeVar("M", bound=Message)


class Repeatable:
    """Does the work of each call once, by the caller's key."""

    def __init__(self, db: Database, keys: IdempotencyKeys) -> None:
        self._db = db
        self._keys = keys

    async def call(
        self,
        request: Message,
        kind: type[M],
        work: Callable[[str], Awaitable[M]],
        *,
        key: str,
    ) -> M:
        """Returns the response of `work`, or of the earlier call with this key.

        `work` is given an id that is the same whenever this call is repeated.
        """
        scope = idempotency.scope(identity.caller(), method=request.DESCRIPTOR.full_name, key=key)
        async with self._db.transaction() as conn:
            claim = await self._keys.claim(conn, scope, request, resource=str(new_id()))
        match claim:
            case Replay():
                return claim.response(kind)
            case InProgress():
                return (await self._keys.join(scope)).response(kind)
            case Fresh():
                return await self._work(claim, work)

    async def _work(self, claim: Fresh, work: Callable[[str], Awaitable[M]]) -> M:
        try:
            response = await work(claim.resource)
        except PaymentDeclined as error:
            async with self._db.transaction() as conn:
                await self._keys.record_error(conn, claim, error)
            raise
        except BaseException:
            # Cancellations too: the next to call shall not wait until the claim lapses. Without a
            # database it has to.
            with suppress(Unavailable):
                await self._keys.release(claim)
            raise
        async with self._db.transaction() as conn:
            await self._keys.record_response(conn, claim, response)
        return response
