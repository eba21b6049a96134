"""The notification service over real stores, beside the real user and order services.

`shop` has the user and the order service listening on loopback, the order service's outbox and
relay, a mail server and an endpoint for text messages, and the notification service as `app` builds
it. Its workers run in `shop.working()`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope
from google.type.money_pb2 import Money
from redis.asyncio import Redis

from services.local import ports
from services.mesh import database, identity, outbox, redis_client
from services.mesh.app import App
from services.mesh.clients import open_mesh
from services.mesh.database import Database
from services.mesh.identity import Caller
from services.mesh.ids import new_id
from services.mesh.relay import Relay
from services.mesh.run import Process
from services.mesh.server import serving
from services.mesh.settings import MeshSettings, Secret
from services.notification import app
from services.notification.servicer import NotificationServicer
from services.notification.settings import Settings
from services.order import app as order_app
from services.order.settings import Settings as OrderSettings
from services.user import app as user_app
from services.user import signing_keys
from services.user.settings import Settings as UserSettings
from services.user.store import UserStore
from souk.notification.v1 import notification_pb2
from souk.notification.v1 import notification_service_pb2 as pb
from souk.order.v1.order_events_pb2 import OrderConfirmed, OrderCreated
from tests import accepting
from tests.cancellation import end
from tests.conftest import Eventually

# The tests' mail server logs whom it gets mail for, where an earlier test has set logging up.
logging.getLogger("mail.log").setLevel(logging.WARNING)

STREAM = "souk:events:order"
SMS_KEY = "sms-key"


@dataclass(kw_only=True)
class Outside:
    """What has left the service: e-mails, and text messages with their headers.

    `sms_answers` are the statuses that the endpoint answers with, 200 when there is none left.
    """

    mails: list[EmailMessage] = field(default_factory=list)
    texts: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    sms_answers: list[int] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        """Takes an e-mail, as aiosmtpd asks for it."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    async def take_text(self, request: web.Request) -> web.Response:
        """Takes a text message."""
        self.texts.append((dict(request.headers), await request.json()))
        return web.Response(status=self.sms_answers.pop(0) if self.sms_answers else 200)


@dataclass(kw_only=True)
class Shop:
    """The service and everything around it."""

    service: NotificationServicer
    app: App
    db: Database
    orders: Database
    redis: Redis
    relay: Relay
    users: UserStore
    outside: Outside
    eventually: Eventually

    async def user(self, *, channels: list[str] | None = None, phone_number: str = "") -> str:
        """Returns a new user with an account and, if given, preferences."""
        user_id = new_id()
        await self.users.insert(
            user_id, email=f"{user_id}@example.com", display_name="Ada", password_hash="hash"
        )
        if channels is not None:
            with self.signed_in(str(user_id)):
                await self.set_preferences(channels, phone_number)
        return str(user_id)

    def signed_in(self, user_id: str) -> "SignedIn":
        """Has the calls of a block made by this user."""
        return SignedIn(Caller(service="gateway", subject=user_id))

    async def set_preferences(self, channels: list[str], phone_number: str = "") -> None:
        """Sets the preferences of the user who is signed in."""
        preferences = notification_pb2.Preferences(
            channels=[notification_pb2.Channel.Value(f"CHANNEL_{each}") for each in channels],
            phone_number=phone_number,
        )
        await self.service.SetPreferences(pb.SetPreferencesRequest(preferences=preferences), None)

    async def placed(self, user_id: str, *, order_id: UUID | None = None) -> str:
        """Commits that the user has placed an order, in the order service; returns the order."""
        order_id = order_id or new_id()
        await self.happened(
            "order.created", order_id, OrderCreated(**_about(order_id, user_id), piece_count=2)
        )
        return str(order_id)

    async def confirmed(self, user_id: str, order_id: str) -> None:
        """Commits that an order is confirmed."""
        payload = OrderConfirmed(**_about(UUID(order_id), user_id), piece_count=2)
        await self.happened("order.confirmed", UUID(order_id), payload)

    async def happened(self, of_type: str, order_id: UUID, payload: Any) -> None:
        """Commits an event in the order service."""
        async with self.orders.transaction() as conn:
            await outbox.append(conn, type=of_type, aggregate_id=order_id, payload=payload)

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Runs the order service's relay until all that was committed is published."""
        relay = asyncio.ensure_future(self.relay.run())

        async def published() -> bool:
            async with self.orders.connection() as conn:
                left = await conn.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
            return bool(left == 0)

        try:
            yield
            await self.eventually(published)
        finally:
            await end([relay])

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Runs the notification service's workers for the length of the block."""
        tasks = [asyncio.ensure_future(worker()) for worker in self.app.workers]
        try:
            yield
        finally:
            await end(tasks)
        assert all(task.cancelled() for task in tasks)

    async def listed(self, user_id: str, **fields: Any) -> list[notification_pb2.Notification]:
        """Returns a user's notifications, the newest first."""
        with self.signed_in(user_id):
            response = await self.service.ListNotifications(
                pb.ListNotificationsRequest(**fields), None
            )
        return list(response.notifications)

    async def told(
        self, user_id: str, types: list[str], *, sent: bool = True
    ) -> list[notification_pb2.Notification]:
        """Waits until a user was told of these events, the newest first, and returns it.

        With `sent`, also until every delivery has ended.
        """

        async def all_told() -> list[notification_pb2.Notification]:
            found = await self.listed(user_id)
            pending = notification_pb2.DELIVERY_STATE_PENDING
            ended = all(each.state != pending for one in found for each in one.deliveries)
            complete = [each.type for each in found] == types and (ended or not sent)
            return found if complete else []

        return await self.eventually(all_told)

    async def dead_letters(self) -> list[notification_pb2.DeadLetter]:
        """Returns the dead letters, the newest first."""
        response = await self.service.ListDeadLetters(pb.ListDeadLettersRequest(), None)
        return list(response.dead_letters)


class SignedIn:
    """Has the calls of a block made by somebody."""

    def __init__(self, who: Caller) -> None:
        self._who = who
        self._before = identity.NOBODY

    def __enter__(self) -> None:
        self._before = identity.caller()
        identity.serve_as(self._who)

    def __exit__(self, *_: object) -> None:
        identity.serve_as(self._before)


def _about(order_id: UUID, user_id: str) -> dict[str, Any]:
    total = Money(currency_code="EUR", units=20)
    return {"order_id": str(order_id), "user_id": user_id, "total": total}


@pytest.fixture(scope="session")
async def own_redis_url(redis_url: str) -> str:
    """Gives a logical database of Redis to this service, whose stream has a fixed name."""
    return f"{redis_url.rpartition('/')[0]}/5"


async def _database(make_database: Callable[[], Any], process: Process[Any], **fields: Any) -> Any:
    """Returns settings of `process` with a new, migrated database."""
    settings = process.settings(
        database_url=Secret(await make_database()),
        tls="off",
        listen=ports.address(0),
        drain_wait=timedelta(0),
        **fields,
    )
    assert process.migrate is not None
    await process.migrate(settings)
    return settings


@asynccontextmanager
async def _listening(process: Process[Any], settings: MeshSettings) -> AsyncIterator[str]:
    """Runs a service without its workers; yields its address."""
    async with (
        open_mesh(process.name, settings) as mesh,
        process.build(settings, mesh) as built,
        serving(built, mesh) as listening,
    ):
        yield listening.address


@asynccontextmanager
async def _outside(outside: Outside) -> AsyncIterator[tuple[int, str]]:
    """Runs the mail server and the endpoint; yields the one's port and the other's URL."""
    loop = asyncio.get_running_loop()
    mail_server = await loop.create_server(
        lambda: SMTP(outside, hostname="localhost"), ports.LOOPBACK, 0
    )
    application = web.Application()
    application.router.add_post("/", outside.take_text)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, ports.LOOPBACK, 0).start()
    async with accepting.closing(mail_server) as port:
        yield port, f"http://{ports.address(runner.addresses[0][1])}/"
        await runner.cleanup()


@pytest.fixture(scope="session")
async def order_settings(make_database, own_redis_url: str) -> OrderSettings:
    """Gives the settings of the order service."""
    settings: OrderSettings = await _database(
        make_database, order_app.PROCESS, redis_url=Secret(own_redis_url)
    )
    return settings


@pytest.fixture(scope="session")
async def user_settings(make_database, tmp_path_factory) -> UserSettings:
    """Gives the settings of the user service."""
    keys = tmp_path_factory.mktemp("keys")
    signing_keys.create(keys, "only")
    settings: UserSettings = await _database(make_database, user_app.PROCESS, signing_keys=keys)
    return settings


@pytest.fixture
async def shop(
    make_database,
    own_redis_url: str,
    order_settings: OrderSettings,
    user_settings: UserSettings,
    eventually: Eventually,
) -> AsyncIterator[Shop]:
    """Builds the service with an empty database, an empty Redis and an empty outbox."""
    outside = Outside()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        redis = await enter(redis_client.connect(own_redis_url, name="test"))
        await redis.flushdb()
        orders = await enter(database.pool(order_settings.database_url.reveal()))
        async with orders.connection() as conn:
            await conn.execute("DELETE FROM outbox")
        users = await enter(database.pool(user_settings.database_url.reveal()))
        smtp_port, sms_url = await enter(_outside(outside))
        settings = await _database(
            make_database,
            app.PROCESS,
            redis_url=Secret(own_redis_url),
            targets={
                "order": await enter(_listening(order_app.PROCESS, order_settings)),
                "user": await enter(_listening(user_app.PROCESS, user_settings)),
            },
            consumer_name="one",
            abandoned_after=timedelta(milliseconds=300),
            announcement_grace=timedelta(milliseconds=500),
            smtp_host=ports.LOOPBACK,
            smtp_port=smtp_port,
            smtp_security="off",
            sms_url=sms_url,
            sms_api_key=Secret(SMS_KEY),
            delivery_retry=timedelta(milliseconds=10),
            poll=timedelta(milliseconds=200),
        )
        assert isinstance(settings, Settings)
        mesh = await enter(open_mesh("notification", settings))
        built = await enter(app.build(settings, mesh))
        (service,) = built.servicers.values()
        assert isinstance(service, NotificationServicer)
        yield Shop(
            service=service,
            app=built,
            db=await enter(database.pool(settings.database_url.reveal())),
            orders=orders,
            redis=redis,
            relay=Relay(orders, redis, stream=STREAM),
            users=UserStore(users),
            outside=outside,
            eventually=eventually,
        )
