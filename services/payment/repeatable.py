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

from services.mesh import audit, failpoints, idempotency, identity
from services.mesh.database import Database
from services.mesh.errors import Unavailable
from services.mesh.idempotency import (
    Claim,
    Fresh,
    IdempotencyKeys,
    InProgress,
    Replay,
    Scope,
)
from services.mesh.ids import new_id
from services.mesh.taking import take
from services.payment.domain import PaymentDeclined

M = TypeVar("M", bound=Message)


class Repeatable:
    """Does the work of each call once, by the caller's key."""

    def __init__(self, db: Database, keys: IdempotencyKeys) -> None:
        self._db = db
        self._keys = keys

    async def call(
        self,
        method: str,
        request: Message,
        kind: type[M],
        work: Callable[[str], Awaitable[M]],
        *,
        key: str,
        audited: str = "",
    ) -> M:
        """Returns the response of `work`, or of the earlier call of `method` with this key.

        `work` is given an id that is the same whenever this call is repeated. `audited` names what
        the audit log is to tell of, together with the answer; empty tells nothing.
        """
        scope = idempotency.scope(identity.caller(), method=method, key=key)
        match await take(self._claim(scope, request), give_back=self._give_up):
            case Replay() as replay:
                return replay.response(kind)
            case InProgress():
                return (await self._keys.join(scope)).response(kind)
            case Fresh() as claim:
                return await self._work(claim, work, audited)

    async def _work(self, claim: Fresh, work: Callable[[str], Awaitable[M]], audited: str) -> M:
        try:
            await failpoints.reach("payment.before_work")
            async with self._keys.keeping(claim):
                response = await work(claim.resource)
            await failpoints.reach("payment.before_answer")
            async with self._db.transaction() as conn:
                await self._keys.record(conn, claim, response)
                if audited:
                    await audit.record(conn, resource=audited)
        except PaymentDeclined as error:
            async with self._db.transaction() as conn:
                await self._keys.record(conn, claim, error)
            raise
        except BaseException:
            # Cancellations too. An answer that was recorded all the same stays.
            await self._release(claim)
            raise
        await failpoints.reach("payment.after_answer")
        return response

    async def _claim(self, scope: Scope, request: Message) -> Claim:
        async with self._db.transaction() as conn:
            return await self._keys.claim(conn, scope, request, resource=str(new_id()))

    async def _give_up(self, claim: Claim) -> None:
        if isinstance(claim, Fresh):
            await self._release(claim)

    async def _release(self, claim: Fresh) -> None:
        """Lets the next one begin at once; without a database it has to wait until it lapses."""
        with suppress(Unavailable):
            await self._keys.release(claim)
