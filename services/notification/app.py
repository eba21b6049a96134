"""Builds the notification service: the only place where its parts are put together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import aiohttp

from services.mesh import database, migrate, redis_client
from services.mesh.run import App, Mesh, Process
from services.notification.announcements import Announcements
from services.notification.channels import Sender
from services.notification.channels.console import ConsoleSender
from services.notification.channels.mail import MailSender, SmtpServer
from services.notification.channels.sms import SmsSender
from services.notification.clients import Orders, Users
from services.notification.consumer import OrderEvents
from services.notification.domain import Channel
from services.notification.servicer import SERVICE, NotificationServicer
from services.notification.settings import Settings
from services.notification.store import (
    DeadLetterStore,
    DeliveryStore,
    Feed,
    NotificationStore,
    PreferenceStore,
)
from services.notification.worker import DeliveryWorker
from services.notification.workflow import Notifier

# What a sending may take besides the channel's own timeout: asking for the address, and the answer.
_LEASE_MARGIN = timedelta(seconds=20)


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Opens the database, Redis and the ways out, and yields the service."""
    redis = redis_client.connect(settings.redis_url.reveal(), name=mesh.name)
    timeout = aiohttp.ClientTimeout(total=settings.delivery_timeout.total_seconds())
    async with (
        database.pool(settings.database_url.reveal(), name=mesh.name) as db,
        redis,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        notifications, preferences = NotificationStore(db), PreferenceStore(db)
        dead_letters = DeadLetterStore(db)
        feed = Feed(db, notifications)
        notifier = Notifier(
            db=db, notifications=notifications, preferences=preferences, dead_letters=dead_letters
        )
        events = OrderEvents(
            db,
            redis,
            notifier=notifier,
            orders=Orders(mesh.channel("order")),
            name=settings.consumer_name,
            abandoned=settings.abandoned_after,
        )
        announcements = Announcements(
            db, redis, replay=events.replay, grace=settings.announcement_grace
        )
        deliveries = DeliveryWorker(
            deliveries=DeliveryStore(
                db,
                lease=settings.delivery_timeout + _LEASE_MARGIN,
                retry=settings.delivery_retry,
            ),
            senders=_senders(
                settings, session, users=Users(mesh.channel("user")), preferences=preferences
            ),
            feed=feed,
            poll=settings.poll,
        )
        servicer = NotificationServicer(
            notifications=notifications,
            preferences=preferences,
            dead_letters=dead_letters,
            feed=feed,
            notifier=notifier,
        )
        yield App(
            servicers={SERVICE: servicer},
            workers=[events.run, announcements.run, deliveries.run, feed.run],
            checks={"postgresql": db.ready},
        )


def _senders(
    settings: Settings,
    session: aiohttp.ClientSession,
    *,
    users: Users,
    preferences: PreferenceStore,
) -> Mapping[Channel, Sender]:
    """Returns the channels that the settings name."""
    senders: dict[Channel, Sender] = {Channel.CONSOLE: ConsoleSender()}
    if settings.smtp_host:
        server = SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=settings.smtp_password,
            sender=settings.mail_from,
            timeout=settings.delivery_timeout,
        )
        senders[Channel.EMAIL] = MailSender(server, address_of=users.email_address)
    if settings.sms_url:

        async def phone_number_of(user_id: UUID) -> str:
            return (await preferences.get(user_id)).phone_number

        senders[Channel.SMS] = SmsSender(
            session,
            url=settings.sms_url,
            api_key=settings.sms_api_key,
            phone_number_of=phone_number_of,
        )
    return senders


async def _migrate(settings: Settings) -> None:
    await migrate.run(
        settings.database_url.reveal(), package="services.notification", mesh=("inbox",)
    )


PROCESS = Process(name="notification", settings=Settings, build=build, migrate=_migrate)
