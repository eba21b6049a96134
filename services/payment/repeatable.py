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
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh import audit, failpoints, idempotency, identity
from services.mesh.database import Database
from services.mesh.idempotency import Fresh, IdempotencyKeys, Replay
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
        attempt = partial(self._work, work=work, audited=audited)
        answer = await self._keys.attempt(scope, request, attempt, resource=str(new_id()))
        return answer.response(kind)

    async def _work(
        self, claim: Fresh, *, work: Callable[[str], Awaitable[Message]], audited: str
    ) -> Replay:
        await failpoints.reach("payment.before_work")
        try:
            response = await work(claim.resource)
        except PaymentDeclined as error:
            async with self._db.transaction() as conn:
                await self._keys.record(conn, claim, error)
            raise
        await failpoints.reach("payment.before_answer")
        async with self._db.transaction() as conn:
            answer = await self._keys.record(conn, claim, response)
            if audited:
                await audit.record(conn, resource=audited)
        await failpoints.reach("payment.after_answer")
        return answer
