"""What is left by calls that are cut off, by a silent provider, and by a killed process."""

import asyncio
import hashlib
import hmac
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import aiohttp
import asyncpg
import grpc
import grpc.aio
import pytest
from google.protobuf import json_format

from services.local import ports, readiness
from services.local.program import Program, running
from services.mesh import database, identity
from services.mesh.amount import Amount
from services.mesh.clients import open_mesh
from services.mesh.ids import new_id
from services.mesh.settings import MeshSettings
from services.payment.domain import PaymentNotFound, ProviderUnavailable, SignatureInvalid
from services.payment.sandbox_provider import SandboxProvider
from services.payment.settings import Settings
from services.payment.store import PaymentStore, UnansweredStore
from services.payment.worker import Resolver
from services.payment.workflow import Payments
from souk.payment.v1 import payment_pb2
from souk.payment.v1 import payment_service_pb2 as pb
from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from tests.cancellation import end

from .conftest import WEBHOOK_SECRET, Sandbox, Shop, authorize_request, support

CHARGED = "tok_charge_then_timeout"

_AGE = """
    UPDATE payments SET resolve_at = now(), resolve_tries = 0,
        update_time = now() - $2::text::interval
    WHERE payment_id = $1
"""

_DUE = """
    SELECT CASE
        WHEN resolve_at = 'infinity' THEN 'never'
        WHEN resolve_at > now() + interval '50 minutes' THEN 'in an hour'
        WHEN resolve_tries > 0 THEN 'soon'
        ELSE 'now'
    END FROM payments WHERE payment_id = $1
"""


@asynccontextmanager
async def resolving(shop: Shop) -> AsyncIterator[None]:
    """Runs the service's workers for the length of the block."""
    tasks = [asyncio.ensure_future(worker()) for worker in shop.app.workers]
    try:
        yield
    finally:
        await end(tasks)


async def authorize_unknown(shop: Shop, token: str = CHARGED) -> tuple[str, str]:
    """Returns the order and the payment that the provider did not answer for."""
    order = shop.order()
    with pytest.raises(ProviderUnavailable) as caught:
        await shop.authorize(token, order=order)
    return order, caught.value.metadata["payment_id"]


async def buy(shop: Shop, order: str) -> payment_pb2.Payment:
    """Returns the captured payment of an order; it may be called again."""
    payment = await shop.authorize(order=order)
    return await shop.capture(payment.payment_id, key=f"{order}:capture")


async def test_the_worker_finds_out_what_became_of_a_charge(shop: Shop, eventually):
    """Nobody has to repeat the call."""
    order, _ = await authorize_unknown(shop)

    async def is_authorized() -> bool:
        return await shop.state(order) == "AUTHORIZED"

    async with resolving(shop):
        assert await eventually(is_authorized)


async def test_the_worker_repeats_what_the_provider_has_not_seen(
    shop: Shop, sandbox: Sandbox, settings: Settings, eventually
):
    """An authorization that never got out is made by the worker, with the same key."""
    order = shop.order()
    nobody = f"http://{ports.address(ports.free()[0])}"
    async with (
        database.pool(settings.database_url.reveal()) as db,
        aiohttp.ClientSession(nobody) as session,
    ):
        payments = Payments(
            store=PaymentStore(db, resolve_after=settings.resolve_after),
            provider=SandboxProvider(
                session,
                api_key=settings.provider_api_key,
                timeout=timedelta(seconds=1),
                lookup_timeout=timedelta(seconds=1),
            ),
        )
        with pytest.raises(ProviderUnavailable) as caught:
            await payments.authorize(
                order_id=UUID(order),
                user_id=new_id(),
                amount=Amount(currency="EUR", minor=1000),
                payment_token="tok_ok",
            )
    assert await shop.state(order) == "UNKNOWN"

    async def is_authorized() -> bool:
        return await shop.state(order) == "AUTHORIZED"

    async with resolving(shop):
        await eventually(is_authorized)
    payment_id = caught.value.metadata["payment_id"]
    assert await sandbox.ledger(payment_id) == [("authorization", 1000)]


async def test_workers_share_the_work(shop: Shop, settings: Settings):
    """What another is at work on is left out, and what was leased once is not leased again."""
    order, payment_id = await authorize_unknown(shop, "tok_hang")
    async with database.pool(settings.database_url.reveal()) as db:
        store = UnansweredStore(db, resolve_after=timedelta(minutes=1), patience=timedelta(hours=1))
        async with db.transaction() as conn:
            lock = "SELECT FROM payments WHERE payment_id = $1 FOR UPDATE"
            await conn.execute(lock, UUID(payment_id))
            while_locked = await store.claim_due(100)
        claims = [await store.claim_due(100) for _ in range(2)]

    expected = [False, True, False]
    taken = [{due.payment_id for due in claim} for claim in (while_locked, *claims)]
    assert expected == [UUID(payment_id) in each for each in taken]
    await shop.void(order)


async def test_a_silent_provider_is_not_asked_for_ever(
    shop: Shop, sandbox: Sandbox, settings: Settings, eventually
):
    """After minutes it is asked hourly, after a day no more; whoever wants the answer gets it."""
    order = shop.order()
    payment_id = UUID((await shop.authorize(order=order)).payment_id)
    async with (
        database.pool(settings.database_url.reveal()) as db,
        aiohttp.ClientSession(sandbox.url) as session,
        db.connection() as conn,
    ):
        second = timedelta(seconds=1)
        provider = SandboxProvider(
            session, api_key=settings.provider_api_key, timeout=second, lookup_timeout=second
        )
        unanswered = UnansweredStore(db, resolve_after=second, patience=15 * 60 * second)
        resolver = Resolver(
            unanswered=unanswered,
            payments=Payments(store=PaymentStore(db, resolve_after=second), provider=provider),
            interval=second / 20,
        )

        async def is_due(when: str) -> bool:
            return bool(await conn.fetchval(_DUE, payment_id) == when)

        async def is_captured() -> bool:
            try:
                payment = await shop.capture(str(payment_id))
            except ProviderUnavailable:
                # It still answers what it was asked while it was silent.
                return False
            return payment.state == payment_pb2.PAYMENT_STATE_CAPTURED

        os.kill(sandbox.pid, signal.SIGSTOP)
        resolving = asyncio.create_task(resolver.run())
        try:
            with pytest.raises(ProviderUnavailable):
                await shop.capture(str(payment_id))
            for age, when in (("10 min", "soon"), ("20 min", "in an hour"), ("2 d", "never")):
                await conn.execute(_AGE, payment_id, age)
                await eventually(partial(is_due, when))
        finally:
            os.kill(sandbox.pid, signal.SIGCONT)
            await end([resolving])
        figures = await unanswered.figures()

    assert (figures.left_alone, figures.seconds > 86400) == (1, True)
    await eventually(is_captured)


async def test_an_authorization_nobody_voids_is_given_up(shop: Shop, sandbox: Sandbox, eventually):
    """One that the provider never saw is voided by the worker when its order can't want it."""
    order, payment_id = await authorize_unknown(shop, "tok_hang")
    conn = await asyncpg.connect(shop.database_url)
    await conn.execute(
        "UPDATE payments SET resolve_at = now(), update_time = now() - interval '20 minutes'"
        " WHERE payment_id = $1",
        UUID(payment_id),
    )
    await conn.close()

    async def is_voided() -> bool:
        return await shop.state(order) == "VOIDED"

    async with resolving(shop):
        await eventually(is_voided)
    assert await sandbox.ledger(payment_id) == [("void", None)]


@pytest.mark.parametrize("step", ["capture", "void", "refund"])
async def test_a_stopped_provider_leaves_a_payment_unknown(shop: Shop, sandbox: Sandbox, step: str):
    """It does what it was asked when it goes on, and that is found out."""
    order = shop.order()
    payment_id = (await shop.authorize(order=order)).payment_id
    if step == "refund":
        await shop.capture(payment_id)
    call = {
        "capture": lambda: shop.capture(payment_id, key=order),
        "void": lambda: shop.void(order, key=order),
        "refund": lambda: shop.refund(payment_id, 250, key=order),
    }[step]
    os.kill(sandbox.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ProviderUnavailable):
            await call()
        assert await shop.state(order) == "UNKNOWN"
    finally:
        os.kill(sandbox.pid, signal.SIGCONT)

    await call()
    expected = {"capture": "CAPTURED", "void": "VOIDED", "refund": "CAPTURED"}
    assert await shop.state(order) == expected[step]
    kinds = [kind for kind, _ in await sandbox.ledger(payment_id)]
    assert kinds.count(step) == 1


async def test_a_purchase_cut_off_at_any_moment_can_be_repeated(shop: Shop, sandbox: Sandbox):
    """Cancelled after every millisecond, it is done once when it is called again."""
    for milliseconds in range(0, 40, 2):
        order = shop.order()
        cut_off = asyncio.ensure_future(buy(shop, order))
        await asyncio.wait([cut_off], timeout=milliseconds / 1000)
        cut_off.cancel()
        with suppress(asyncio.CancelledError):
            await cut_off

        payment = await buy(shop, order)

        assert payment.state == payment_pb2.PAYMENT_STATE_CAPTURED
        done = await sandbox.ledger(payment.payment_id)
        assert done == [("authorization", 1000), ("capture", 1000)]


async def test_the_second_answer_of_the_provider_changes_nothing(
    shop: Shop, sandbox: Sandbox, eventually
):
    """It is told twice, by the same signed event, which is taken twice."""
    payment = await shop.authorize("tok_answers_twice")

    async def both() -> list[dict[str, str]]:
        told = [each for each in sandbox.events if each["paymentId"] == payment.payment_id]
        return told if len(told) == 2 else []

    events = await eventually(both)

    assert events[0] == events[1]
    for event in events:
        request = json_format.ParseDict(event, pb.HandleProviderEventRequest())
        await shop.service.HandleProviderEvent(request, None)
    assert await sandbox.ledger(payment.payment_id) == [("authorization", 1000)]
    assert (await shop.capture(payment.payment_id)).captured_amount.units == 10


def event(
    payment_id: str, *, sent: int, secret: str = WEBHOOK_SECRET
) -> pb.HandleProviderEventRequest:
    """Returns a signed event about a payment."""
    signature = hmac.new(secret.encode(), f"evt.{payment_id}.{sent}".encode(), hashlib.sha256)
    request = pb.HandleProviderEventRequest(
        event_id="evt", payment_id=payment_id, signature=signature.hexdigest()
    )
    request.send_time.FromSeconds(sent)
    return request


async def test_an_event_of_the_provider_resolves_a_payment(shop: Shop, settings: Settings):
    """It is a hint to look, and only a signed and recent one is followed."""
    order, payment_id = await authorize_unknown(shop)
    async with database.pool(settings.database_url.reveal()) as db:
        now = int((await PaymentStore(db, resolve_after=timedelta(0)).now()).timestamp())

    for wrong in (event(payment_id, sent=now, secret="guessed"), event(payment_id, sent=now - 310)):
        with pytest.raises(SignatureInvalid):
            await shop.service.HandleProviderEvent(wrong, None)
    assert await shop.state(order) == "UNKNOWN"
    await shop.service.HandleProviderEvent(event(payment_id, sent=now), None)

    assert await shop.state(order) == "AUTHORIZED"
    with pytest.raises(PaymentNotFound):
        await shop.service.HandleProviderEvent(event(shop.order(), sent=now), None)


def service_program(settings: Settings, *, listen: str, probe: str) -> Program:
    """Describes the service as a process."""
    return Program(
        name="payment",
        argv=(sys.executable, "-m", "services.payment"),
        environment={
            "SOUK_TLS": "off",
            "SOUK_LISTEN": listen,
            "SOUK_PROBE_LISTEN": probe,
            "SOUK_DATABASE_URL": settings.database_url.reveal(),
            "SOUK_PROVIDER_URL": settings.provider_url,
            "SOUK_PROVIDER_API_KEY": settings.provider_api_key.reveal(),
            "SOUK_PROVIDER_WEBHOOK_SECRET": settings.provider_webhook_secret.reveal(),
            "SOUK_RESOLVE_AFTER": "200ms",
            "SOUK_RESOLVE_INTERVAL": "50ms",
        },
        check=lambda: readiness.check_grpc(probe),
    )


async def test_a_killed_service_finds_the_charge_again(
    settings: Settings, sandbox: Sandbox, shop: Shop, eventually
):
    """Killed while the provider is silent, it resolves the payment after its restart."""
    order = shop.order()
    listen, probe = (ports.address(port) for port in ports.free(2))
    program = service_program(settings, listen=listen, probe=probe)

    async def charged() -> list[str]:
        identity.serve_as(support())
        payments = await shop.payments(order)
        return [each.payment_id for each in payments if await sandbox.ledger(each.payment_id)]

    async def is_authorized() -> bool:
        return await shop.state(order) == "AUTHORIZED"

    order_side = MeshSettings(tls="off", targets={"payment": listen})
    async with open_mesh("order", order_side) as mesh, running(program) as process:
        stub = PaymentServiceStub(mesh.channel("payment"))
        call = asyncio.ensure_future(stub.Authorize(authorize_request(CHARGED, order=order)))
        (payment_id,) = await eventually(charged)
        process.kill()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    async with running(program):
        await eventually(is_authorized)

    assert await sandbox.ledger(payment_id) == [("authorization", 1000)]


async def test_the_sandbox_asks_for_key_and_sense(sandbox: Sandbox):
    """A wrong API key, no idempotency key, nonsense, and a key used otherwise are refused."""
    amount = {"currency": "EUR", "minor": 5}
    good = {"payment": "p", "token": "tok_ok", "amount": amount}
    path = "/v1/authorizations"

    async def status(**options: object) -> int:
        return (await sandbox.request("POST", path, **options)).status  # type: ignore[arg-type]

    assert await status(json=good, key="k", api_key="guessed") == 401
    assert await status(json=good) == 400
    assert await status(json={**good, "amount": {"currency": "EUR", "minor": -5}}, key="k") == 400
    assert await status(json=good, key="k") == 200
    assert await status(json={**good, "payment": "q"}, key="k") == 409
    assert (await sandbox.request("GET", "/v1/operations/nowhere")).status == 404
