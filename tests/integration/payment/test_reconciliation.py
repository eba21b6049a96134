"""The books of payments, provider and orders are compared, and put right where that can be."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.local import ports
from services.mesh.errors import Unavailable
from services.mesh.ids import new_id
from services.payment.domain import ProviderUnavailable
from souk.payment.v1 import payment_pb2
from tests.cancellation import end
from tests.conftest import Eventually, MakeDatabase
from tests.integration.payment.books import Books, amount, opened

NOTHING = (0, 0, 0)
REPAIRED = (1, 1, 0)
LEFT_OPEN = (1, 0, 1)

_INSERT_DONE = """
    INSERT INTO transactions (transaction_id, payment_id, provider_key, type, outcome, amount_minor,
        provider_reference, create_time)
    VALUES (gen_random_uuid(), $1, $2, $3, 'SUCCEEDED', 1000, 'lost', clock_timestamp())
"""


@pytest.fixture
async def books(
    make_database: MakeDatabase, redis_url: str, tmp_path: Path
) -> AsyncIterator[Books]:
    """Opens empty books."""
    async with opened(make_database, redis_url, tmp_path) as made:
        yield made


async def test_books_that_agree(books: Books) -> None:
    """Payments in every state, with orders to match, give nothing to report."""
    alive = [await books.authorize() for _ in range(3)]
    await books.capture(alive[0])
    await books.refund(await books.capture(alive[1]))
    dead = await books.authorize()
    await books.void(dead)
    await books.undo(dead.order_id)
    assert await books.reconcile() == NOTHING


async def test_a_charge_without_an_answer_is_taken_over(books: Books) -> None:
    """The provider has set money aside and we do not know: its answer is written down."""
    with pytest.raises(ProviderUnavailable):
        await books.authorize(token="tok_charge_then_timeout")
    assert await books.reconcile() == REPAIRED
    assert await books.discrepancies() == [("OUTCOME_DIFFERS", "REPAIRED")]
    assert await books.conn.fetchval("SELECT state FROM payments") == "AUTHORIZED"
    assert await books.reconcile() == NOTHING


async def test_a_charge_that_was_not_asked_for_here_is_written_down(books: Books) -> None:
    """Money of a payment of ours that was taken at the provider counts as taken."""
    payment = await books.authorize()
    key = f"{payment.payment_id}:authorize"
    await books.at_provider("/v1/captures", "by-hand", authorization=key, amount=amount())
    assert await books.reconcile() == REPAIRED
    assert await books.discrepancies() == [("UNKNOWN_HERE", "REPAIRED")]
    assert await books.state(payment) == "CAPTURED"
    assert await books.reconcile() == NOTHING


async def test_a_charge_that_nothing_is_known_of_is_left_to_people(books: Books) -> None:
    """Money that no payment of ours is about is told of, once, as long as it is so."""
    await books.at_provider(
        "/v1/authorizations", "stray", payment="nobody's", token="tok_ok", amount=amount()
    )
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [("UNKNOWN_HERE", "UNSPECIFIED")]


@pytest.mark.parametrize(
    ("operation", "state", "found"),
    [("CAPTURE", "CAPTURED", "UNKNOWN_TO_PROVIDER"), ("REFUND", "REFUNDED", "REFUNDED_HERE_ONLY")],
)
async def test_what_the_provider_does_not_know_is_left_to_people(
    books: Books, operation: str, state: str, found: str
) -> None:
    """Money that we believe to have taken, or given back, and the provider has not."""
    payment = await books.authorize()
    if operation == "REFUND":
        await books.capture(payment)
    payment_id = UUID(payment.payment_id)
    await books.conn.execute(_INSERT_DONE, payment_id, f"{payment_id}:lost", operation)
    await books.conn.execute(
        "UPDATE payments SET state = $2, captured_minor = 1000, refunded_minor = $3"
        " WHERE payment_id = $1",
        payment_id,
        state,
        1000 if operation == "REFUND" else 0,
    )
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [(found, "UNSPECIFIED")]


async def test_a_refund_at_the_provider_alone_is_written_down(books: Books) -> None:
    """Money given back by hand at the provider counts as given back."""
    payment = await books.capture(await books.authorize())
    key = f"{payment.payment_id}:capture"
    await books.at_provider("/v1/refunds", "by-hand", capture=key, amount=amount(400))
    assert await books.reconcile() == REPAIRED
    assert await books.state(payment) == "CAPTURED"
    await books.at_provider("/v1/refunds", "the-rest", capture=key, amount=amount(600))
    assert await books.reconcile() == REPAIRED
    assert await books.state(payment) == "REFUNDED"
    assert await books.discrepancies() == [("REFUNDED_AT_PROVIDER_ONLY", "REPAIRED")] * 2
    assert await books.reconcile() == NOTHING


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payments SET currency = 'USD'",
        "ALTER TABLE transactions DISABLE TRIGGER ALL; UPDATE transactions SET amount_minor = 999",
    ],
    ids=["currency", "amount"],
)
async def test_another_sum_at_the_provider_is_left_to_people(books: Books, change: str) -> None:
    """The amount or its currency is another there."""
    payment = await books.authorize()
    await books.void(payment)
    await books.undo(payment.order_id)
    await books.conn.execute(change)
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [("AMOUNT_DIFFERS", "UNSPECIFIED")]


async def test_another_sum_in_the_order_is_left_to_people(books: Books) -> None:
    """The amount that was taken is not the order's."""
    await books.capture(await books.authorize(minor=999))
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [("AMOUNT_DIFFERS", "UNSPECIFIED")]


async def test_another_outcome_at_the_provider_is_left_to_people(books: Books) -> None:
    """What we have as done was refused there, or the other way round."""
    payment = await books.authorize()
    await books.void(payment)
    await books.undo(payment.order_id)
    await books.conn.execute(
        "ALTER TABLE transactions DISABLE TRIGGER ALL;"
        " UPDATE transactions SET outcome = 'DECLINED' WHERE outcome = 'SUCCEEDED'"
        " AND type = 'AUTHORIZE'"
    )
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [("OUTCOME_DIFFERS", "UNSPECIFIED")]


async def test_money_taken_for_a_dead_order_is_given_back(books: Books) -> None:
    """All of it that was not given back yet, at the provider too."""
    payment = await books.capture(await books.authorize())
    await books.undo(payment.order_id)
    assert await books.reconcile() == REPAIRED
    assert await books.discrepancies() == [("CAPTURED_FOR_DEAD_ORDER", "REPAIRED")]
    assert await books.state(payment) == "REFUNDED"
    assert await books.ledger() == ["authorization", "capture", "refund"]
    assert await books.reconcile() == NOTHING


async def test_money_set_aside_for_a_dead_order_is_freed(books: Books) -> None:
    """The authorization is voided, at the provider too."""
    payment = await books.authorize()
    await books.undo(payment.order_id)
    assert await books.reconcile() == REPAIRED
    assert await books.discrepancies() == [("AUTHORIZED_FOR_DEAD_ORDER", "REPAIRED")]
    assert await books.state(payment) == "VOIDED"
    assert await books.ledger() == ["authorization", "void"]
    assert await books.reconcile() == NOTHING


async def test_a_refused_refund_is_left_to_people(books: Books) -> None:
    """Money that the provider does not give back is told of, and asked for once."""
    payment = await books.capture(await books.authorize(token="tok_no_refund"))
    await books.undo(payment.order_id)
    assert [await books.reconcile() for _ in range(2)] == [LEFT_OPEN, LEFT_OPEN]
    assert await books.discrepancies() == [("CAPTURED_FOR_DEAD_ORDER", "UNSPECIFIED")]
    query = "SELECT count(*) FROM transactions WHERE type = 'REFUND' AND outcome = 'PENDING'"
    assert await books.conn.fetchval(query) == 1


async def test_what_people_have_settled_is_gone(books: Books) -> None:
    """Money for an order that does not exist is told of until the staff has given it back."""
    payment = await books.capture(await books.authorize(order=str(new_id())))
    assert await books.reconcile() == LEFT_OPEN
    await books.refund(payment)
    assert await books.reconcile() == NOTHING
    assert await books.discrepancies() == [("ORDER_UNKNOWN", "GONE")]


async def test_silence_is_told_of(
    make_database: MakeDatabase, redis_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    """An operation that the provider leaves open is a discrepancy until the worker gives it up."""
    async with opened(
        make_database, redis_url, tmp_path, give_up_after=timedelta(0), resolve_after=timedelta(0)
    ) as books:
        with pytest.raises(ProviderUnavailable):
            await books.authorize(token="tok_hang")
        assert await books.reconcile() == LEFT_OPEN
        resolver = asyncio.ensure_future(books.app.workers[0]())

        async def is_voided() -> bool:
            return bool(await books.conn.fetchval("SELECT state = 'VOIDED' FROM payments"))

        await eventually(is_voided)
        await end([resolver])
        assert await books.reconcile() == NOTHING
        assert await books.discrepancies() == [("UNANSWERED", "GONE")]
        assert await books.ledger() == ["void"]


async def test_what_is_on_its_way_is_not_compared(
    make_database: MakeDatabase, redis_url: str, tmp_path: Path
) -> None:
    """What is younger than the grace is left to the next reconciliation."""
    async with opened(
        make_database, redis_url, tmp_path, reconcile_grace=timedelta(hours=1)
    ) as books:
        payment = await books.authorize()
        await books.undo(payment.order_id)
        assert await books.reconcile() == NOTHING


async def test_a_long_ledger_is_read_to_its_end(books: Books) -> None:
    """Pages follow one another: what is on the last one is found."""
    for number in range(205):
        await books.at_provider("/v1/voids", f"void-{number}", authorization=f"nobody's-{number}")
    found, repaired, left = await books.reconcile()
    assert (found, repaired, left) == (205, 0, 205)


async def test_two_at_once_are_one_after_the_other(books: Books) -> None:
    """Each finding is written down once, and repaired once."""
    payment = await books.capture(await books.authorize())
    await books.undo(payment.order_id)
    summaries = await asyncio.gather(books.reconcile(), books.reconcile())
    assert sorted(summaries) == [NOTHING, REPAIRED]
    assert (await books.ledger()).count("refund") == 1


async def test_one_that_breaks_off_does_not_count(
    make_database: MakeDatabase, redis_url: str, tmp_path: Path
) -> None:
    """When the order service can't be asked it fails; what was found until then stays."""
    nobody = {"order": ports.address(ports.free()[0])}
    async with opened(make_database, redis_url, tmp_path, targets=nobody) as books:
        payment, _ = [await books.authorize() for _ in range(2)]
        key = f"{payment.payment_id}:authorize"
        await books.at_provider("/v1/captures", "by-hand", authorization=key, amount=amount())
        with pytest.raises(Unavailable):
            await books.reconcile()
        assert await books.discrepancies() == [("UNKNOWN_HERE", "REPAIRED")]
        assert await books.conn.fetchval("SELECT end_time FROM reconciliations") is None


async def test_it_happens_once_a_day(
    make_database: MakeDatabase, redis_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    """By the database's clock: not before a day is over, and without anybody's asking."""
    async with opened(
        make_database, redis_url, tmp_path, reconcile_poll=timedelta(milliseconds=20)
    ) as books:
        ended = "SELECT count(*) FROM reconciliations WHERE end_time IS NOT NULL"

        async def ran(times: int) -> bool:
            return bool(await books.conn.fetchval(ended) == times)

        async def is_told(kind: str, count: int) -> bool:
            labels = {"type": kind}
            return REGISTRY.get_sample_value("souk_payment_discrepancies", labels) == count

        worker = asyncio.ensure_future(books.app.workers[1]())
        await eventually(lambda: ran(1))
        await books.authorize(order=str(new_id()))
        await eventually(lambda: is_told("ORDER_UNKNOWN", 0))
        assert await ran(1)
        await books.conn.execute(
            "UPDATE reconciliations SET begin_time = begin_time - interval '25 h'"
        )
        await eventually(lambda: ran(2))
        await eventually(lambda: is_told("ORDER_UNKNOWN", 1))
        await end([worker])


async def test_findings_are_never_changed(books: Books) -> None:
    """Neither rewritten, nor reopened, nor removed."""
    payment = await books.authorize()
    await books.undo(payment.order_id)
    await books.reconcile()
    for statement in (
        "UPDATE discrepancies SET detail = ''",
        "UPDATE discrepancies SET resolve_time = NULL, resolution = NULL",
        "DELETE FROM discrepancies",
        "TRUNCATE discrepancies",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await books.conn.execute(statement)
    assert await books.state(payment_pb2.Payment(payment_id=payment.payment_id)) == "VOIDED"
