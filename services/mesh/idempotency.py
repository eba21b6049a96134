"""Calls that may be repeated: one effect and one answer per key (AIP-155).

    no row ──claim──▶ begun ──record──▶ answered: a response, or a definitive error
                        │ the lease ends (crash), or `release`
                        └──claim──▶ begun again, by another attempt, on the same resource

A key belongs to one caller and one method. A call that fits in one transaction:

    response = await keys.once(scope, request, CreateAddressResponse, effect)   # effect(conn)

A call in several steps commits the claim with its first step, and the answer with its last:

    async with db.transaction() as conn:
        claim = await keys.claim(conn, scope, request, resource=str(order_id))
        if isinstance(claim, Fresh) and not claim.resumed:
            await orders.insert(conn, order_id, ...)
    match claim:
        case Replay():     return claim.response(CreateOrderResponse)
        case InProgress(): return (await keys.join(scope)).response(CreateOrderResponse)
        case Fresh():      ...             # go on with claim.resource; then record_response,
                                           # record_error or, if it may succeed later, release

An answer is kept for 72 hours. Every time here is the database's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh import backoff, failpoints, stored_error
from services.mesh.database import Connection, Database
from services.mesh.errors import Aborted, DomainError, FailedPrecondition
from services.mesh.fingerprint import fingerprint
from services.mesh.identity import Caller

M = TypeVar("M", bound=Message)

RETENTION = timedelta(hours=72)

_SOON = timedelta(milliseconds=100)
_LATER = timedelta(seconds=2)
_REAP_SECONDS = 3600

_CLAIM = """
    INSERT INTO idempotency_keys AS mine
        (subject, method, key, fingerprint, resource, lease_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6)
    ON CONFLICT (subject, method, key) DO UPDATE
        SET attempts = mine.attempts + 1, lease_until = excluded.lease_until
        WHERE mine.response IS NULL AND mine.error IS NULL
            AND mine.lease_until <= clock_timestamp()
            AND mine.fingerprint = excluded.fingerprint
    RETURNING attempts, resource
"""

_FIND = """
    SELECT fingerprint, resource, response, error, lease_until - clock_timestamp() AS remaining
    FROM idempotency_keys
    WHERE subject = $1 AND method = $2 AND key = $3
"""

_RECORD = """
    UPDATE idempotency_keys
    SET response = $5, error = $6
    WHERE subject = $1 AND method = $2 AND key = $3 AND attempts = $4
        AND response IS NULL AND error IS NULL
    RETURNING true
"""

_RELEASE = """
    UPDATE idempotency_keys
    SET lease_until = clock_timestamp()
    WHERE subject = $1 AND method = $2 AND key = $3 AND attempts = $4
        AND response IS NULL AND error IS NULL
"""

_REAP = """
    DELETE FROM idempotency_keys
    WHERE created_at < now() - $1::interval
    RETURNING true
"""


class IdempotencyKeyReused(FailedPrecondition):
    """The key was used before, for another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInUse(Aborted):
    """The same call is being worked on; `retry_after` says when to ask again."""

    reason = "IDEMPOTENCY_KEY_IN_USE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose key it is: `subject` is a user id or `service:<name>`, `method` a full gRPC name."""

    subject: str
    method: str
    key: str


def scope(caller: Caller, *, method: str, key: str) -> Scope:
    """Returns the scope of a call's key: the person's, or the calling service's without one."""
    return Scope(
        subject=caller.subject or f"service:{caller.service or ''}", method=method, key=key
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The call is ours to do. `resumed`: an earlier attempt began it on `resource` and stopped."""

    scope: Scope
    attempt: int
    resource: str
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The call was answered before."""

    body: bytes | None
    error: DomainError | None

    def response(self, kind: type[M]) -> M:
        """Returns the stored response; raises the stored error if that was the answer."""
        if self.error is not None:
            raise self.error
        return kind.FromString(self.body or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """Another attempt is at work on `resource`, and is believed alive for `remaining`."""

    resource: str
    remaining: timedelta


Claim = Fresh | Replay | InProgress


class IdempotencyKeys:
    """The keys of one service, in the table `idempotency_keys` of its own database.

    `lease`: how long an attempt is believed to be alive; longer than the longest RPC takes.
    `wait`: how long `join` waits for another attempt's answer.
    """

    def __init__(
        self,
        db: Database,
        *,
        lease: timedelta = timedelta(seconds=30),
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
                    await self.record_response(conn, claim, response)
                    return response

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
            begun = await conn.fetchrow(_CLAIM, *keys, digest, resource, self._lease)
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

    async def record_response(self, conn: Connection, claim: Fresh, response: Message) -> None:
        """Stores the call's answer in the caller's transaction.

        Raises IdempotencyKeyInUse when another attempt has taken over; then nothing may commit.
        """
        await self._record(conn, claim, response=response.SerializeToString(deterministic=True))

    async def record_error(self, conn: Connection, claim: Fresh, error: DomainError) -> None:
        """Stores a definitive error as the call's answer, as `record_response` does.

        For failures that a repetition must see again, such as a declined payment. Raise `error`
        after the transaction has committed.
        """
        await self._record(conn, claim, error=stored_error.json_from_error(error))

    async def release(self, claim: Fresh) -> None:
        """Gives the call up without an answer, so that a repetition goes on at once."""
        async with self._db.connection() as conn:
            await conn.execute(_RELEASE, *_key(claim))

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
                    await asyncio.sleep(pause)
        except TimeoutError:
            pass
        raise _in_progress(found.remaining if isinstance(found, InProgress) else timedelta(0))

    async def run(self) -> None:
        """Forgets old keys every now and then, until cancelled; a worker of the app."""
        await backoff.repeat(self._reap_hourly, despite=(DomainError,), name="old keys")

    async def _reap_hourly(self) -> None:
        await self.reap()
        await asyncio.sleep(_REAP_SECONDS)

    async def reap(self) -> int:
        """Deletes what is older than the retention; returns how many keys."""
        async with self._db.connection() as conn:
            return len(await conn.fetch(_REAP, RETENTION))

    async def _find(
        self, conn: Connection, scope: Scope, digest: bytes | None = None
    ) -> Replay | InProgress | None:
        row = await conn.fetchrow(_FIND, scope.subject, scope.method, scope.key)
        if row is None:
            return None
        if digest is not None and row["fingerprint"] != digest:
            raise IdempotencyKeyReused("the request id was used before, for another request")
        if row["response"] is None and row["error"] is None:
            return InProgress(resource=row["resource"], remaining=row["remaining"])
        error = row["error"] and stored_error.error_from_json(row["error"])
        return Replay(body=row["response"], error=error)

    async def _record(
        self,
        conn: Connection,
        claim: Fresh,
        *,
        response: bytes | None = None,
        error: str | None = None,
    ) -> None:
        stored = await conn.fetchval(_RECORD, *_key(claim), response, error)
        if stored is None:
            raise _in_progress(timedelta(0))


def _key(claim: Fresh) -> tuple[str, str, str, int]:
    return claim.scope.subject, claim.scope.method, claim.scope.key, claim.attempt


def _in_progress(remaining: timedelta) -> IdempotencyKeyInUse:
    return IdempotencyKeyInUse(
        "the same call is in progress", retry_after=min(max(remaining, _SOON), _LATER)
    )
