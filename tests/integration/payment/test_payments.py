"""Paying for orders: the provider's answers, and what may follow on what."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from services.mesh import identity
from services.mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from services.mesh.idempotency import IdempotencyKeyReused
from services.mesh.identity import Caller
from services.mesh.ids import new_id
from services.payment.domain import (
    PaymentDeclined,
    ProviderUnavailable,
    RefundTooLarge,
    StateConflict,
)
from services.payment.settings import Settings
from souk.payment.v1 import payment_pb2
from souk.payment.v1 import payment_service_pb2 as pb

from .conftest import ORDER, Sandbox, Shop, support


def outcomes(payment: payment_pb2.Payment) -> list[str]:
    """Returns the payment's transactions in short, like "AUTHORIZE PENDING"."""
    return [
        payment_pb2.TransactionType.Name(each.type).removeprefix("TRANSACTION_TYPE_")
        + " "
        + payment_pb2.TransactionOutcome.Name(each.outcome).removeprefix("TRANSACTION_OUTCOME_")
        for each in payment.transactions
    ]


async def test_money_is_set_aside_taken_and_given_back(shop: Shop, sandbox: Sandbox):
    """Every step is in the payment's transactions and in the provider's ledger."""
    authorized = await shop.authorize(minor=1999)
    captured = await shop.capture(authorized.payment_id)
    part = await shop.refund(authorized.payment_id, 500)
    refunded = await shop.refund(authorized.payment_id)

    states = [each.state for each in (authorized, captured, part, refunded)]
    assert states == [
        payment_pb2.PAYMENT_STATE_AUTHORIZED,
        payment_pb2.PAYMENT_STATE_CAPTURED,
        payment_pb2.PAYMENT_STATE_CAPTURED,
        payment_pb2.PAYMENT_STATE_REFUNDED,
    ]
    assert (refunded.captured_amount.units, refunded.captured_amount.nanos) == (19, 990_000_000)
    assert refunded.refunded_amount == refunded.captured_amount
    assert outcomes(refunded) == [
        f"{step} {outcome}"
        for step in ("AUTHORIZE", "CAPTURE", "REFUND", "REFUND")
        for outcome in ("PENDING", "SUCCEEDED")
    ]
    assert await sandbox.ledger(authorized.payment_id) == [
        ("authorization", 1999),
        ("capture", 1999),
        ("refund", 500),
        ("refund", 1499),
    ]


@pytest.mark.parametrize("token", ["tok_declined", "tok_nobody_knows"])
async def test_a_declined_payment_is_kept(shop: Shop, sandbox: Sandbox, token: str):
    """The error names the payment, a repeated call gets the same error, no money is set aside."""
    order = shop.order()
    errors = []
    for _ in range(2):
        with pytest.raises(FailedPrecondition) as caught:
            await shop.authorize(token, order=order)
        errors.append((caught.value.reason, caught.value.metadata["payment_id"]))

    assert errors[0] == errors[1]
    assert errors[0][0] == "PAYMENT_DECLINED"
    assert await shop.state(order) == "DECLINED"
    assert await sandbox.ledger(errors[0][1]) == []


async def test_a_charge_without_an_answer_is_found_by_repeating(shop: Shop, sandbox: Sandbox):
    """At first it is unknown; the same call again finds the money set aside, once."""
    order = shop.order()
    with pytest.raises(ProviderUnavailable) as caught:
        await shop.authorize("tok_charge_then_timeout", order=order)
    assert await shop.state(order) == "UNKNOWN"
    assert caught.value.retry_after is not None

    payment = await shop.authorize("tok_charge_then_timeout", order=order)

    assert payment.payment_id == caught.value.metadata["payment_id"]
    assert outcomes(payment) == ["AUTHORIZE PENDING", "AUTHORIZE UNKNOWN", "AUTHORIZE SUCCEEDED"]
    assert await sandbox.ledger(payment.payment_id) == [("authorization", 1000)]


async def test_a_provider_that_hangs_is_overtaken_by_a_void(shop: Shop, sandbox: Sandbox):
    """It stays unknown until the order is voided, and can't come back afterwards."""
    order = shop.order()
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await shop.authorize("tok_hang", order=order)

    voided = (await shop.void(order)).payment

    assert voided.state == payment_pb2.PAYMENT_STATE_VOIDED
    assert [kind for kind, _ in await sandbox.ledger(voided.payment_id)] == ["void"]
    with pytest.raises(StateConflict):
        await shop.authorize("tok_hang", order=order)


async def test_a_charge_without_an_answer_is_voided(shop: Shop, sandbox: Sandbox):
    """The void finds out first, then undoes what was done."""
    order = shop.order()
    with pytest.raises(ProviderUnavailable):
        await shop.authorize("tok_charge_then_timeout", order=order)

    voided = (await shop.void(order)).payment

    assert voided.state == payment_pb2.PAYMENT_STATE_VOIDED
    done = [kind for kind, _ in await sandbox.ledger(voided.payment_id)]
    assert done == ["authorization", "void"]


async def test_an_order_that_was_voided_is_never_paid_for(shop: Shop):
    """A void that comes before its authorization is remembered."""
    order = shop.order()

    assert not (await shop.void(order)).HasField("payment")
    assert not (await shop.void(order)).HasField("payment")
    with pytest.raises(StateConflict) as caught:
        await shop.authorize(order=order)
    assert caught.value.metadata["state"] == "PAYMENT_STATE_VOIDED"
    identity.serve_as(support())
    assert await shop.payments(order) == []


async def test_taken_money_is_not_voided(shop: Shop):
    """The error names the state and the payment, so that it can be refunded."""
    order = shop.order()
    payment = await shop.authorize(order=order)
    await shop.capture(payment.payment_id)

    with pytest.raises(StateConflict) as caught:
        await shop.void(order)

    assert dict(caught.value.metadata) == {
        "state": "PAYMENT_STATE_CAPTURED",
        "payment_id": payment.payment_id,
    }


async def test_voiding_what_was_voided_changes_nothing(shop: Shop, sandbox: Sandbox):
    """Another void, under another key, finds it done."""
    order = shop.order()
    await shop.authorize(order=order)
    first = (await shop.void(order)).payment

    assert (await shop.void(order)).payment == first
    done = [kind for kind, _ in await sandbox.ledger(first.payment_id)]
    assert done == ["authorization", "void"]


async def test_a_capture_that_the_provider_refuses_is_told(shop: Shop, sandbox: Sandbox):
    """Money that the provider no longer sets aside is not taken."""
    order = shop.order()
    payment = await shop.authorize(order=order)
    body = {"authorization": f"{payment.payment_id}:authorize"}
    assert (await sandbox.request("POST", "/v1/voids", json=body, key=order)).ok

    with pytest.raises(PaymentDeclined):
        await shop.capture(payment.payment_id)

    assert await shop.state(order) == "AUTHORIZED"


async def test_a_refund_has_its_bounds(shop: Shop):
    """Not before the capture, not in another currency, not more than is left."""
    payment = await shop.authorize()
    with pytest.raises(StateConflict):
        await shop.refund(payment.payment_id, 100, key="early")
    await shop.capture(payment.payment_id)

    with pytest.raises(InvalidArgument):
        await shop.refund(payment.payment_id, 100, currency="USD")
    with pytest.raises(RefundTooLarge):
        await shop.refund(payment.payment_id, 1001)
    # What was refused is not held against its key.
    assert (await shop.refund(payment.payment_id, 100, key="early")).refunded_amount.units == 1


async def test_a_refund_is_done_once_per_key(shop: Shop, sandbox: Sandbox):
    """The same key gives back once; for another sum it is refused."""
    payment = await shop.authorize()
    await shop.capture(payment.payment_id)

    first = await shop.refund(payment.payment_id, 300, key=payment.payment_id)
    second = await shop.refund(payment.payment_id, 300, key=payment.payment_id)

    assert first == second
    with pytest.raises(IdempotencyKeyReused):
        await shop.refund(payment.payment_id, 301, key=payment.payment_id)
    assert (await sandbox.ledger(payment.payment_id))[2:] == [("refund", 300)]


async def test_refunds_at_the_same_time_do_not_exceed_the_sum(shop: Shop, sandbox: Sandbox):
    """Of ten refunds of 30 % each, three are done."""
    payment = await shop.authorize()
    await shop.capture(payment.payment_id)

    results = await asyncio.gather(
        *(shop.refund(payment.payment_id, 300) for _ in range(10)), return_exceptions=True
    )

    refused = [each for each in results if isinstance(each, Exception)]
    assert [type(each) for each in refused] == [RefundTooLarge] * 7
    assert (await sandbox.ledger(payment.payment_id))[2:] == [("refund", 300)] * 3


async def test_fifty_identical_calls_charge_once(shop: Shop, sandbox: Sandbox):
    """All get the same answer, byte for byte, and the ledger has one line."""
    order = shop.order()

    payments = await asyncio.gather(*(shop.authorize(order=order) for _ in range(50)))

    answers = {each.SerializeToString(deterministic=True) for each in payments}
    assert len(answers) == 1
    assert await sandbox.ledger(payments[0].payment_id) == [("authorization", 1000)]


async def test_an_order_is_charged_once_under_many_keys(shop: Shop, sandbox: Sandbox):
    """Without the help of the key, the order keeps its payment single."""
    order = shop.order()

    payments = await asyncio.gather(
        *(shop.authorize(order=order, key=f"{order}:{number}") for number in range(10))
    )

    assert len({each.payment_id for each in payments}) == 1
    assert await sandbox.ledger(payments[0].payment_id) == [("authorization", 1000)]
    with pytest.raises(StateConflict):
        await shop.authorize(order=order, key=f"{order}:other", minor=999)


@pytest.mark.parametrize("round_", range(5))
async def test_a_void_and_an_authorization_at_the_same_time(
    shop: Shop, sandbox: Sandbox, round_: int
):
    """Whoever is first, no money stays set aside."""
    del round_
    order = shop.order()

    await asyncio.gather(shop.authorize(order=order), shop.void(order), return_exceptions=True)
    voided = await shop.void(order)

    if voided.HasField("payment"):
        assert voided.payment.state == payment_pb2.PAYMENT_STATE_VOIDED
        done = [kind for kind, _ in await sandbox.ledger(voided.payment.payment_id)]
        assert done in (["authorization", "void"], ["void"])


async def test_a_person_sees_their_own_payments(shop: Shop):
    """To others a payment does not exist; support sees every one."""
    order, owner = shop.order(), str(new_id())
    payment = await shop.authorize(order=order, user=owner)
    request = pb.GetPaymentRequest(payment_id=payment.payment_id)

    for caller in (Caller(service="gateway", subject=owner), support()):
        identity.serve_as(caller)
        assert (await shop.service.GetPayment(request, None)).payment == payment
        assert await shop.payments(order) == [payment]

    for caller in (Caller(service="gateway", subject=str(new_id())), Caller(service="gateway")):
        identity.serve_as(caller)
        with pytest.raises(NotFound):
            await shop.service.GetPayment(request, None)
    identity.serve_as(Caller(service="gateway", subject=str(new_id())))
    assert await shop.payments(order) == []
    identity.serve_as(ORDER)


async def test_a_page_token_of_nowhere_is_refused(shop: Shop):
    """The error names the field."""
    request = pb.ListPaymentsRequest(order_id=shop.order(), page_token="nowhere")

    with pytest.raises(InvalidArgument) as caught:
        await shop.service.ListPayments(request, None)

    assert [each.field for each in caught.value.violations] == ["page_token"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transactions SET outcome = 'SUCCEEDED' WHERE payment_id = $1",
        "DELETE FROM transactions WHERE payment_id = $1",
    ],
)
async def test_history_is_never_changed(shop: Shop, settings: Settings, statement: str):
    """The database itself refuses."""
    payment = await shop.authorize()
    conn = await asyncpg.connect(settings.database_url.reveal())

    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await conn.execute(statement, UUID(payment.payment_id))
    finally:
        await conn.close()
