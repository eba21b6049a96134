"""The keys of one service, and what a call does by its key."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh import backoff, failpoints, reaping, room, stored_error
from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError
from services.mesh.fingerprint import fingerprint
from services.mesh.idempotency import _queries
from services.mesh.idempotency._claim import (
    Claim,
    Fresh,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InProgress,
    Replay,
    Scope,
)
from services.mesh.idempotency._prolonging import prolonged
from services.mesh.taking import take

M = TypeVar("M", bound=Message)

RETENTION = timedelta(hours=72)

_SOON = timedelta(milliseconds=100)
_LATER = timedelta(seconds=2)
_GIVE_UP_SECONDS = 1
_REAP_SECONDS = 3600


class IdempotencyKeys:
    """The keys of one service, in the table `idempotency_keys` of its own database.

    `lease`: how long an attempt is believed to be alive; `keeping` prolongs it as long as it is.
    `wait`: how long `join` waits for another attempt's answer.
    """

    def __init__(
        self,
        db: Database,
        *,
        lease: timedelta = timedelta(seconds=3),
        wait: timedelta = timedelta(seconds=2),
    ) -> None:
        self._db = db
        self._lease = lease
        self._wait = wait

    async def once(
        self,
        scope: Scope,
        request: Message,
        kind: type[M],
        effect: Callable[[Connection], Awaitable[M]],
    ) -> M:
        """Returns the response of `effect`, which is run once and commits together with its answer.

        A repeated call returns the first one's response; one at the same time waits for it. When
        `effect` raises, nothing happened and nothing is stored: a repetition runs it anew.

        Raises IdempotencyKeyReused, and Aborted when the wait exceeds the lock timeout.
        """
        async with self._db.transaction() as conn:
            claim = await self.claim(conn, scope, request)
            match claim:
                case Replay():
                    return claim.response(kind)
                case InProgress():
                    raise _in_progress(claim.remaining)
                case Fresh():
                    response = await effect(conn)
                    await failpoints.reach("idempotency.before_record")
                    await self.record(conn, claim, response)
                    return response

    async def attempt(
        self,
        scope: Scope,
        request: Message,
        work: Callable[[Fresh], Awaitable[Replay]],
        *,
        resource: str,
    ) -> Replay:
        """Returns the answer that `work` has stored, or that of another attempt of the call.

        For work that cannot be one transaction, on `resource` as `claim` has it. The claim is
        committed first, kept while the work lasts, and given up when it fails or is cut off.

        Raises IdempotencyKeyReused, IdempotencyKeyInUse, Aborted, and what `work` raises.
        """
        match await take(self._begin(scope, request, resource), give_back=self._give_up):
            case Replay() as answer:
                return answer
            case InProgress():
                return await self.join(scope)
            case Fresh() as claim:
                try:
                    async with self.keeping(claim):
                        return await work(claim)
                except BaseException:
                    # Cancellations too. An answer that was stored all the same stays.
                    await self._give_up(claim)
                    raise

    async def claim(
        self,
        conn: Connection,
        scope: Scope,
        request: Message,
        *,
        resource: str = "",
        key_field: str = "request_id",
    ) -> Claim:
        """Begins the call in the caller's transaction, or tells what became of it before.

        `resource` names what the call will work on if it is new; `Fresh.resource` is the name that
        counts. `key_field` is the request's field that holds the key.

        Raises IdempotencyKeyReused when the key was used for another request. While another
        transaction is claiming the same key this waits for it, up to the lock timeout (Aborted).
        """
        digest = fingerprint(request, without=(key_field,))
        keys = (scope.subject, scope.method, scope.key)
        while True:
            begun = await conn.fetchrow(_queries.CLAIM, *keys, digest, resource, self._lease)
            if begun is not None:
                return Fresh(
                    scope=scope,
                    attempt=begun["attempts"],
                    resource=begun["resource"],
                    resumed=begun["attempts"] > 1,
                )
            found = await self._find(conn, scope, digest)
            if found is not None:
                return found

    async def record(self, conn: Connection, claim: Fresh, answer: Message | DomainError) -> Replay:
        """Stores the call's answer in the caller's transaction and returns it as it is stored.

        A domain error is stored when it is definitive, such as a declined payment, so that a
        repetition sees it again; raise it after the transaction has committed.

        Raises IdempotencyKeyInUse when another attempt has taken over, or the call was answered;
        then nothing may commit.
        """
        columns = _columns(answer)
        if await conn.fetchval(_queries.RECORD, *_key(claim), *columns) is None:
            raise _in_progress(timedelta(0))
        return _replay(*columns)

    async def answer(
        self, conn: Connection, scope: Scope, *, resource: str, answer: Message | DomainError
    ) -> None:
        """Stores the answer of a call that somebody else has brought to its end, a worker perhaps.

        Nothing happens if the call is answered, or if the key is not about `resource` any more. An
        attempt that is still at work finds its own answer refused, and this one by `answered`.
        """
        await conn.execute(
            _queries.ANSWER, scope.subject, scope.method, scope.key, resource, *_columns(answer)
        )

    async def answered(self, scope: Scope) -> Replay | None:
        """Returns the call's answer, None if it has none yet."""
        async with self._db.connection() as conn:
            found = await self._find(conn, scope)
        return found if isinstance(found, Replay) else None

    def keeping(self, claim: Fresh) -> AbstractAsyncContextManager[None]:
        """Prolongs the lease for as long as the block runs, so that it can be short.

        A process that dies in the block then keeps its key for one lease, however long the call
        might have taken. A call shorter than a third of the lease costs nothing.
        """
        return prolonged(partial(self._prolong, claim), every=self._lease.total_seconds() / 3)

    async def release(self, claim: Fresh) -> None:
        """Gives the call up without an answer, so that a repetition goes on at once."""
        async with self._db.connection() as conn:
            await conn.execute(_queries.RELEASE, *_key(claim))

    async def join(self, scope: Scope) -> Replay:
        """Waits for the answer of the attempt that is in progress.

        Raises IdempotencyKeyInUse when there is none in time, or when that attempt has stopped.
        """
        pauses = backoff.delays(first=timedelta(milliseconds=20), most=timedelta(milliseconds=500))
        found: Replay | InProgress | None = None
        try:
            async with asyncio.timeout(self._wait.total_seconds()):
                for pause in pauses:
                    async with self._db.connection() as conn:
                        found = await self._find(conn, scope)
                    if isinstance(found, Replay):
                        return found
                    if found is None or found.remaining <= timedelta(0):
                        break
                    with room.waiting():
                        await asyncio.sleep(pause)
        except TimeoutError:
            pass
        raise _in_progress(found.remaining if isinstance(found, InProgress) else timedelta(0))

    async def _prolong(self, claim: Fresh) -> bool:
        """Returns False once the call is answered, or another attempt has taken over."""
        async with self._db.connection() as conn:
            return bool(await conn.fetchval(_queries.PROLONG, *_key(claim), self._lease))

    async def run(self) -> None:
        """Forgets old keys every now and then, until cancelled; a worker of the app."""
        await backoff.repeat(self._reap_hourly, despite=(DomainError,), name="old keys")

    async def _reap_hourly(self) -> None:
        while await self.reap() == reaping.AT_MOST:
            pass
        await asyncio.sleep(_REAP_SECONDS)

    async def reap(self) -> int:
        """Deletes up to `reaping.AT_MOST` keys older than the retention; returns how many."""
        async with self._db.connection() as conn:
            return len(await conn.fetch(_queries.REAP, RETENTION))

    async def _begin(self, scope: Scope, request: Message, resource: str) -> Claim:
        async with self._db.transaction() as conn:
            return await self.claim(conn, scope, request, resource=resource)

    async def _give_up(self, claim: Claim) -> None:
        """Lets a repetition of the call go on at once; if this fails, the claim runs out."""
        with suppress(DomainError, TimeoutError):
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                if isinstance(claim, Fresh):
                    await self.release(claim)

    async def _find(
        self, conn: Connection, scope: Scope, digest: bytes | None = None
    ) -> Replay | InProgress | None:
        row = await conn.fetchrow(_queries.FIND, scope.subject, scope.method, scope.key)
        if row is None:
            return None
        if digest is not None and row["fingerprint"] != digest:
            raise IdempotencyKeyReused("the request id was used before, for another request")
        if row["response"] is None and row["error"] is None:
            return InProgress(resource=row["resource"], remaining=row["remaining"])
        return _replay(row["response"], row["error"])


def _columns(answer: Message | DomainError) -> tuple[bytes | None, str | None]:
    """Returns the columns `response` and `error`."""
    if isinstance(answer, DomainError):
        return None, stored_error.json_from_error(answer)
    return answer.SerializeToString(deterministic=True), None


def _replay(response: bytes | None, error: str | None) -> Replay:
    return Replay(body=response, error=stored_error.error_from_json(error) if error else None)


def _key(claim: Fresh) -> tuple[str, str, str, int]:
    return claim.scope.subject, claim.scope.method, claim.scope.key, claim.attempt


def _in_progress(remaining: timedelta) -> IdempotencyKeyInUse:
    return IdempotencyKeyInUse(
        "the same call is in progress", retry_after=min(max(remaining, _SOON), _LATER)
    )
