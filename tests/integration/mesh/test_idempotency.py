"""A key gives one effect and one answer, however often and however close together it is used."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from services.mesh import database, migrate
from services.mesh.database import Connection, Database
from services.mesh.errors import FailedPrecondition
from services.mesh.idempotency import (
    Fresh,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdempotencyKeys,
    InProgress,
    Replay,
    Scope,
    scope,
)
from services.mesh.identity import Caller
from souk.order.v1.order_pb2 import Order
from souk.order.v1.order_service_pb2 import CreateOrderRequest, CreateOrderResponse
from tests.conftest import Eventually

SCOPE = Scope(subject="ada", method="souk.order.v1.OrderService/CreateOrder", key="k1")
REQUEST = CreateOrderRequest(payment_token="tok_ok", request_id="k1")
RESPONSE = CreateOrderResponse(order=Order(order_id="7"))


class OutOfStock(FailedPrecondition):
    """A definitive failure."""

    reason = "OUT_OF_STOCK"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a pool on a database with the keys' table and one for effects."""
    await migrate.apply(database_url, migrate.of_mesh("idempotency"))
    async with database.pool(database_url) as opened:
        async with opened.connection() as conn:
            await conn.execute("CREATE TABLE effects (id serial)")
        yield opened


@pytest.fixture
def keys(db: Database) -> IdempotencyKeys:
    """Gives keys that are patient with another attempt."""
    return IdempotencyKeys(db, lease=timedelta(hours=1), wait=timedelta(minutes=1))


async def effect(conn: Connection) -> CreateOrderResponse:
    """Does what must be done once."""
    await conn.execute("INSERT INTO effects DEFAULT VALUES")
    return RESPONSE


async def effects(db: Database) -> int:
    """Returns how often the effect happened."""
    async with db.connection() as conn:
        return int(await conn.fetchval("SELECT count(*) FROM effects"))


async def begin(
    db: Database, keys: IdempotencyKeys, *, resource: str = "order-7"
) -> Fresh | Replay | InProgress:
    """Commits a claim."""
    async with db.transaction() as conn:
        return await keys.claim(conn, SCOPE, REQUEST, resource=resource)


async def begin_fresh(db: Database, keys: IdempotencyKeys) -> Fresh:
    """Commits a claim that is the first, or a takeover."""
    claim = await begin(db, keys)
    assert isinstance(claim, Fresh)
    return claim


async def lease_until(db: Database) -> datetime:
    """Returns when the lease of the one key ends."""
    async with db.connection() as conn:
        until: datetime = await conn.fetchval("SELECT lease_until FROM idempotency_keys")
    return until


async def end_lease(db: Database) -> None:
    """Puts the end of every lease into the past."""
    async with db.connection() as conn:
        await conn.execute("UPDATE idempotency_keys SET lease_until = now() - interval '1 s'")


async def test_once(db: Database, keys: IdempotencyKeys) -> None:
    """A repeated call has the first one's response and no second effect."""
    answers = [await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect) for _ in range(3)]
    assert [each.SerializeToString() for each in answers] == [RESPONSE.SerializeToString()] * 3
    assert await effects(db) == 1


async def test_once_at_the_same_time(db: Database, keys: IdempotencyKeys) -> None:
    """Of many calls at once, one has the effect and all have its response."""
    calls = (keys.once(SCOPE, REQUEST, CreateOrderResponse, effect) for _ in range(20))
    answers = await asyncio.gather(*calls)
    assert answers == [RESPONSE] * 20
    assert await effects(db) == 1


async def test_once_failed(db: Database, keys: IdempotencyKeys) -> None:
    """A call whose effect failed has left nothing, so its repetition is the first."""

    async def fail(conn: Connection) -> CreateOrderResponse:
        await effect(conn)
        raise OutOfStock("none are left")

    with pytest.raises(OutOfStock):
        await keys.once(SCOPE, REQUEST, CreateOrderResponse, fail)
    assert await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect) == RESPONSE
    assert await effects(db) == 1


async def test_other_request(db: Database, keys: IdempotencyKeys) -> None:
    """The same key with another request is refused; the key itself is no part of the request."""
    await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect)
    other = CreateOrderRequest(payment_token="tok_declined", request_id="k1")
    with pytest.raises(IdempotencyKeyReused):
        await keys.once(SCOPE, other, CreateOrderResponse, effect)
    same = CreateOrderRequest(payment_token="tok_ok", request_id="k2")
    assert await keys.once(SCOPE, same, CreateOrderResponse, effect) == RESPONSE
    assert await effects(db) == 1


@pytest.mark.parametrize("field", ["subject", "method", "key"])
async def test_scope(db: Database, keys: IdempotencyKeys, field: str) -> None:
    """The same key of another person or for another method is another key."""
    parts = {"subject": SCOPE.subject, "method": SCOPE.method, "key": SCOPE.key}
    other = Scope(**{**parts, field: "other"})
    await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect)
    await keys.once(other, REQUEST, CreateOrderResponse, effect)
    assert await effects(db) == 2


@pytest.mark.parametrize(
    ("caller", "subject"),
    [
        (Caller(service="gateway", subject="ada"), "ada"),
        (Caller(service="order"), "service:order"),
        (Caller(), "service:"),
    ],
)
def test_subject(caller: Caller, subject: str) -> None:
    """A key belongs to the person, and to the calling service where there is none."""
    assert scope(caller, method="m", key="k").subject == subject


async def test_stored_error(db: Database, keys: IdempotencyKeys) -> None:
    """A definitive failure is what every repetition is answered."""
    claim = await begin_fresh(db, keys)
    async with db.transaction() as conn:
        await keys.record(conn, claim, OutOfStock("none are left", product_id="9"))
    replay = await begin(db, keys)
    assert isinstance(replay, Replay)
    with pytest.raises(FailedPrecondition, match="none are left") as caught:
        replay.response(CreateOrderResponse)
    assert (caught.value.reason, dict(caught.value.metadata)) == (
        "OUT_OF_STOCK",
        {"product_id": "9"},
    )


async def test_in_progress(db: Database, keys: IdempotencyKeys) -> None:
    """While the first attempt is at work, a repetition is told on what, and waits in vain."""
    await begin_fresh(db, keys)
    second = await begin(db, keys, resource="order-8")
    assert isinstance(second, InProgress)
    assert second.resource == "order-7"
    impatient = IdempotencyKeys(db, wait=timedelta(milliseconds=500))
    with pytest.raises(IdempotencyKeyInUse) as caught:
        await impatient.join(SCOPE)
    assert caught.value.retry_after == timedelta(seconds=2)


async def test_join(db: Database, keys: IdempotencyKeys) -> None:
    """A repetition that waits is given the first attempt's answer."""
    claim = await begin_fresh(db, keys)
    waiting = asyncio.create_task(keys.join(SCOPE))
    async with db.transaction() as conn:
        await keys.record(conn, claim, RESPONSE)
    assert (await waiting).response(CreateOrderResponse) == RESPONSE


async def test_takeover(db: Database, keys: IdempotencyKeys) -> None:
    """After the lease another attempt goes on with the resource, and the old one is fenced off."""
    first = await begin_fresh(db, keys)
    await end_lease(db)
    second = await begin(db, keys, resource="order-8")
    assert second == Fresh(scope=SCOPE, attempt=2, resource="order-7", resumed=True)
    with pytest.raises(IdempotencyKeyInUse):
        async with db.transaction() as conn:
            await effect(conn)
            await keys.record(conn, first, CreateOrderResponse())
    async with db.transaction() as conn:
        await keys.record(conn, second, RESPONSE)
    assert await effects(db) == 0
    assert (await keys.join(SCOPE)).response(CreateOrderResponse) == RESPONSE


async def test_takeover_with_other_request(db: Database, keys: IdempotencyKeys) -> None:
    """After the lease, too, the same key with another request is refused."""
    await begin_fresh(db, keys)
    await end_lease(db)
    other = CreateOrderRequest(payment_token="tok_declined", request_id="k1")
    with pytest.raises(IdempotencyKeyReused):
        async with db.transaction() as conn:
            await keys.claim(conn, SCOPE, other)


async def test_takeover_by_one(db: Database, keys: IdempotencyKeys) -> None:
    """Of many repetitions after the lease, one takes over."""
    await begin_fresh(db, keys)
    await end_lease(db)
    claims = await asyncio.gather(*(begin(db, keys) for _ in range(10)))
    assert sorted(type(each).__name__ for each in claims) == ["Fresh"] + ["InProgress"] * 9


async def test_release(db: Database, keys: IdempotencyKeys) -> None:
    """An attempt that gives up lets the next one go on at once."""
    await keys.release(await begin_fresh(db, keys))
    assert (await begin_fresh(db, keys)).resumed


async def test_a_lease_is_prolonged_as_long_as_the_work_lasts(
    db: Database, eventually: Eventually
) -> None:
    """An attempt that takes longer than its lease keeps its key, and no longer than it takes."""
    keys = IdempotencyKeys(db, lease=timedelta(seconds=3))
    first = await begin_fresh(db, keys)

    async def is_past(moment: datetime) -> bool:
        async with db.connection() as conn:
            return bool(await conn.fetchval("SELECT clock_timestamp() > $1", moment))

    until = await lease_until(db)
    async with keys.keeping(first):
        await eventually(lambda: is_past(until))
        assert isinstance(await begin(db, keys), InProgress)
    until = await lease_until(db)
    await eventually(lambda: is_past(until))
    assert (await begin_fresh(db, keys)).attempt == 2


class Work:
    """Stores its answer once it may go on; `attempts` are those that have begun it."""

    def __init__(self, db: Database, keys: IdempotencyKeys) -> None:
        self._db = db
        self._keys = keys
        self.attempts: list[Fresh] = []
        self.has_begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def run(self, claim: Fresh) -> Replay:
        """Does the work of an attempt."""
        self.attempts.append(claim)
        self.has_begun.set()
        await self.may_go_on.wait()
        async with self._db.transaction() as conn:
            return await self._keys.record(conn, claim, RESPONSE)


async def test_an_attempt_answers_its_repetitions(db: Database, keys: IdempotencyKeys) -> None:
    """The work is begun once, for the calls after it and for those beside it."""
    work = Work(db, keys)
    calls = (keys.attempt(SCOPE, REQUEST, work.run, resource=f"order-{n}") for n in range(5))
    answers = await asyncio.gather(*calls)
    answers.append(await keys.attempt(SCOPE, REQUEST, work.run, resource="order-7"))
    assert [each.response(CreateOrderResponse) for each in answers] == [RESPONSE] * 6
    assert len(work.attempts) == 1


async def test_an_attempt_that_fails_is_resumed_at_once(
    db: Database, keys: IdempotencyKeys
) -> None:
    """Nothing of it is stored but what it worked on, which stays the same."""

    async def fail(_: Fresh) -> Replay:
        raise OutOfStock("none are left")

    with pytest.raises(OutOfStock):
        await keys.attempt(SCOPE, REQUEST, fail, resource="order-7")
    work = Work(db, keys)
    await keys.attempt(SCOPE, REQUEST, work.run, resource="order-8")
    assert [(each.resource, each.resumed) for each in work.attempts] == [("order-7", True)]


async def test_an_attempt_that_is_cut_off_is_resumed_at_once(
    db: Database, keys: IdempotencyKeys
) -> None:
    """The lease of one whose caller has gone away keeps nobody waiting."""
    work = Work(db, keys)
    work.may_go_on.clear()
    cut_off = asyncio.ensure_future(keys.attempt(SCOPE, REQUEST, work.run, resource="order-7"))
    await work.has_begun.wait()
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    work.may_go_on.set()
    await keys.attempt(SCOPE, REQUEST, work.run, resource="order-8")
    assert [each.resource for each in work.attempts] == ["order-7"] * 2


async def test_a_worker_answers_for_an_attempt_that_died(
    db: Database, keys: IdempotencyKeys
) -> None:
    """Its answer is what a repetition is given, at once; an attempt that lives on is fenced off."""
    claim = await begin_fresh(db, keys)
    async with db.transaction() as conn:
        await keys.answer(conn, SCOPE, resource="order-8", answer=CreateOrderResponse())
    assert await keys.answered(SCOPE) is None
    async with db.transaction() as conn:
        await keys.answer(conn, SCOPE, resource="order-7", answer=RESPONSE)
    replay = await begin(db, keys)
    assert isinstance(replay, Replay)
    assert replay == await keys.answered(SCOPE)
    assert replay.body == RESPONSE.SerializeToString(deterministic=True)
    with pytest.raises(IdempotencyKeyInUse):
        async with db.transaction() as conn:
            await keys.record(conn, claim, CreateOrderResponse())


async def test_an_answer_is_stored_once(db: Database, keys: IdempotencyKeys) -> None:
    """A worker that comes after the answer changes nothing."""
    claim = await begin_fresh(db, keys)
    async with db.transaction() as conn:
        await keys.record(conn, claim, RESPONSE)
        await keys.answer(conn, SCOPE, resource="order-7", answer=OutOfStock("none are left"))
    assert (await keys.join(SCOPE)).response(CreateOrderResponse) == RESPONSE


async def test_claim_rolls_back(db: Database, keys: IdempotencyKeys) -> None:
    """A claim whose first step did not commit was never made."""
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as conn:
            await keys.claim(conn, SCOPE, REQUEST, resource="order-6")
            raise ZeroDivisionError
    assert (await begin_fresh(db, keys)).resource == "order-7"


async def test_retention(db: Database, keys: IdempotencyKeys) -> None:
    """A key is kept for 72 hours and then forgotten."""
    await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect)
    for age, reaped in (("71 hours", 0), ("73 hours", 1)):
        async with db.connection() as conn:
            await conn.execute(
                "UPDATE idempotency_keys SET created_at = now() - $1::text::interval", age
            )
        assert await keys.reap() == reaped
    await keys.once(SCOPE, REQUEST, CreateOrderResponse, effect)
    assert await effects(db) == 2
