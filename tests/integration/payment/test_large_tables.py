"""Queries that read no more of large tables than they return, whatever PostgreSQL knows of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.mesh import database, migrate
from services.mesh.amount import Amount
from services.mesh.database import Database
from services.mesh.ids import new_id
from services.payment.store import PaymentStore, RecordStore, UnansweredStore
from tests import table_rows

ROWS = 20_000
SECOND = timedelta(seconds=1)

# One a second, the last one now.
_CAPTURED = """
    INSERT INTO payments (payment_id, order_id, user_id, state, currency, amount_minor,
        captured_minor, update_time)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'CAPTURED', 'EUR', 100, 100,
        now() - make_interval(secs => n)
    FROM generate_series(0, $1::integer - 1) AS n
"""

_THEIR_CAPTURES = """
    INSERT INTO transactions (transaction_id, payment_id, provider_key, type, outcome, amount_minor,
        provider_reference, create_time)
    SELECT gen_random_uuid(), payment_id, payment_id || ':capture', 'CAPTURE', 'SUCCEEDED', 100, '',
        update_time
    FROM payments ORDER BY update_time
"""


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens an empty database by one connection, so that what it has read can be counted."""
    await migrate.run(database_url, package="services.payment", mesh=("audit", "idempotency"))
    conn = await asyncpg.connect(database_url)
    # Of a table that is really large, PostgreSQL reads all only when it must.
    await conn.execute(
        f"ALTER DATABASE {urlsplit(database_url).path.strip('/')} SET enable_seqscan = off"
    )
    await conn.close()
    async with database.pool(database_url, max_size=1) as opened:
        yield opened


async def test_a_worker_claims_no_more_than_it_asked_for(db: Database) -> None:
    """When statistics are of a time with few payments too."""
    store = PaymentStore(db, resolve_after=timedelta(0))
    unanswered = UnansweredStore(db, resolve_after=60 * SECOND, patience=60 * SECOND)

    async def begin() -> None:
        amount = Amount(currency="EUR", minor=100)
        await store.begin(
            order_id=new_id(), user_id=new_id(), amount=amount, payment_token="tok_ok"
        )

    await begin()
    async with db.connection() as conn:
        await conn.execute("ANALYZE")
    for _ in range(5):
        await begin()
    assert [len(await unanswered.claim_due(2)) for _ in range(4)] == [2, 2, 2, 0]


async def test_a_reconciliation_reads_what_it_compares(db: Database) -> None:
    """Each payment and operation of its time once, and none of before."""
    async with db.connection() as conn:
        await conn.execute(_CAPTURED, ROWS)
        await conn.execute(_THEIR_CAPTURES)
        await conn.execute("ANALYZE")
        now = await conn.fetchval("SELECT now()")
    records = RecordStore(db)
    since = now - ROWS // 2 * SECOND

    before = await table_rows.read(db, "payments")
    held = [each.payment_id async for some in records.held(since, now) for each in some]
    read = await table_rows.read(db, "payments") - before
    assert ROWS // 2 - 60 < len(set(held)) == len(held) <= ROWS // 2
    assert read < 1.2 * len(held)

    before = await table_rows.read(db, "transactions")
    done = [key async for some in records.done(since, now) for key in some]
    read = await table_rows.read(db, "transactions") - before
    assert ROWS // 2 - 60 < len(set(done)) == len(done) <= ROWS // 2
    # Once to find its key, and once with all that is known of it.
    assert read < 2.2 * len(done)


async def test_what_is_unanswered_is_found_among_many(db: Database) -> None:
    """Without reading the others."""
    async with db.connection() as conn:
        await conn.execute(_CAPTURED, ROWS)
        await conn.execute("ANALYZE")
        later = await conn.fetchval("SELECT now() + interval '1 hour'")
    store = PaymentStore(db, resolve_after=timedelta(0))
    payment = await store.begin(
        order_id=new_id(),
        user_id=new_id(),
        amount=Amount(currency="EUR", minor=100),
        payment_token="tok_ok",
    )
    before = await table_rows.read(db, "payments")
    found = await RecordStore(db).unanswered(at=later, since=SECOND)
    read = await table_rows.read(db, "payments") - before
    assert ([each.payment_id for each in found], read < 100) == ([payment.payment_id], True)
