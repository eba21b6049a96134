"""The keys of one service: every query on `idempotency_keys`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh import backoff, failpoints, room, stored_error
from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError
from services.mesh.fingerprint import fingerprint
from services.mesh.idempotency._claim import (
    Claim,
    Fresh,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InProgress,
    Replay,
    Scope,
)

M = TypeVar("M", bound=Message)

RETENTION = timedelta(hours=72)

_SOON = timedelta(milliseconds=100)
_LATER = timedelta(seconds=2)
_REAP_SECONDS = 3600
_REAPED_AT_MOST = 10_000  # well within the time that a statement may take

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

_ANSWER = """
    UPDATE idempotency_keys
    SET response = $5, error = $6
    WHERE subject = $1 AND method = $2 AND key = $3 AND resource = $4
        AND response IS NULL AND error IS NULL
"""

_PROLONG = """
    UPDATE idempotency_keys
    SET lease_until = clock_timestamp() + $5
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

_REAP = f"""
    DELETE FROM idempotency_keys
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_keys
        WHERE created_at < now() - $1::interval
        ORDER BY created_at LIMIT {_REAPED_AT_MOST}
    ))
    RETURNING true
"""  # noqa: S608 - our own number


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

    async def record(self, conn: Connection, claim: Fresh, answer: Message | DomainError) -> Replay:
        """Stores the call's answer in the caller's transaction and returns it as it is stored.

        A domain error is stored when it is definitive, such as a declined payment, so that a
        repetition sees it again; raise it after the transaction has committed.

        Raises IdempotencyKeyInUse when another attempt has taken over, or the call was answered;
        then nothing may commit.
        """
        columns = _columns(answer)
        if await conn.fetchval(_RECORD, *_key(claim), *columns) is None:
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
            _ANSWER, scope.subject, scope.method, scope.key, resource, *_columns(answer)
        )

    async def answered(self, scope: Scope) -> Replay | None:
        """Returns the call's answer, None if it has none yet."""
        async with self._db.connection() as conn:
            found = await self._find(conn, scope)
        return found if isinstance(found, Replay) else None

    @asynccontextmanager
    async def keeping(self, claim: Fresh) -> AsyncIterator[None]:
        """Prolongs the lease for as long as the block runs, so that it can be short.

        A process that dies in the block then keeps its key for one lease, however long the call
        might have taken. A call shorter than a third of the lease costs nothing.
        """
        loop = asyncio.get_running_loop()
        prolonging: list[asyncio.Task[None]] = []
        begin = loop.call_later(
            self._pause, lambda: prolonging.append(loop.create_task(self._prolong(claim)))
        )
        try:
            yield
        finally:
            begin.cancel()
            for task in prolonging:
                task.cancel()
            if prolonging:
                await asyncio.wait(prolonging)

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
                    with room.waiting():
                        await asyncio.sleep(pause)
        except TimeoutError:
            pass
        raise _in_progress(found.remaining if isinstance(found, InProgress) else timedelta(0))

    @property
    def _pause(self) -> float:
        """How many seconds may pass before a lease is prolonged."""
        return self._lease.total_seconds() / 3

    async def _prolong(self, claim: Fresh) -> None:
        """Prolongs the lease until the call is answered or was taken over."""
        stands = True
        while stands:
            # Without a database the lease ends, and the attempt is fenced off if another begins.
            with suppress(DomainError):
                async with self._db.connection() as conn:
                    stands = bool(await conn.fetchval(_PROLONG, *_key(claim), self._lease))
            await asyncio.sleep(self._pause)

    async def run(self) -> None:
        """Forgets old keys every now and then, until cancelled; a worker of the app."""
        await backoff.repeat(self._reap_hourly, despite=(DomainError,), name="old keys")

    async def _reap_hourly(self) -> None:
        while await self.reap() == _REAPED_AT_MOST:
            pass
        await asyncio.sleep(_REAP_SECONDS)

    async def reap(self) -> int:
        """Deletes up to 10,000 keys that are older than the retention; returns how many."""
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
