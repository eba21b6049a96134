"""Builds the notification service: the only place where its parts are put together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

from services.mesh import database, migrate, redis_client
from services.mesh.audit import AuditLog
from services.mesh.migrate import MigrationSettings
from services.mesh.run import App, Mesh, Process
from services.notification.announcements import Announcements
from services.notification.channels import Sender
from services.notification.channels.console import ConsoleSender
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
from services.notification.worker import BacklogWatch, DeliveryWorker
from services.notification.workflow import Notifier

# What a sending may take besides the channel's own timeout: asking for the address, and the answer.
_LEASE_MARGIN = timedelta(seconds=20)


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Opens the database, Redis and the ways out, and yields the service."""
    async with (
        database.pool(settings.database_url, name=mesh.name) as db,
        redis_client.opened(settings.redis_url, name=mesh.name) as redis,
        AsyncExitStack() as stack,
    ):
        notifications, preferences = NotificationStore(db), PreferenceStore(db)
        dead_letters = DeadLetterStore(db)
        feed = Feed(db, notifications)
        orders = Orders(mesh.channel("order"))
        notifier = Notifier(
            db=db,
            notifications=notifications,
            preferences=preferences,
            dead_letters=dead_letters,
            confirm=orders.confirmed,
        )
        events = OrderEvents(
            db,
            redis,
            notifier=notifier,
            orders=orders,
            name=settings.consumer_name,
            abandoned=settings.abandoned_after,
        )
        announcements = Announcements(
            db, redis, ask_for=events.ask_for, grace=settings.announcement_grace
        )
        deliveries = DeliveryStore(
            db, lease=settings.delivery_timeout + _LEASE_MARGIN, retry=settings.delivery_retry
        )
        worker = DeliveryWorker(
            deliveries=deliveries,
            senders={
                Channel.CONSOLE: ConsoleSender(),
                **_mail(settings, Users(mesh.channel("user"))),
                **await stack.enter_async_context(_sms(settings, preferences)),
            },
            feed=feed,
            poll=settings.poll,
        )
        watch = BacklogWatch(deliveries=deliveries, dead_letters=dead_letters)
        servicer = NotificationServicer(
            audit_log=AuditLog(db),
            notifications=notifications,
            preferences=preferences,
            dead_letters=dead_letters,
            feed=feed,
            notifier=notifier,
        )
        yield App(
            servicers={SERVICE: servicer},
            workers=[events.run, announcements.run, worker.run, watch.run, feed.run],
            checks={"postgresql": db.ready},
        )


# A channel that is not used shall not cost its library's memory and time at the start.


def _mail(settings: Settings, users: Users) -> Mapping[Channel, Sender]:
    """Returns the channel for e-mail, if the settings name a mail server."""
    if not settings.smtp_host:
        return {}
    from services.notification.channels.mail import MailSender, SmtpServer  # noqa: PLC0415

    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password,
        sender=settings.mail_from,
        timeout=settings.delivery_timeout,
    )
    return {Channel.EMAIL: MailSender(server, address_of=users.email_address)}


@asynccontextmanager
async def _sms(
    settings: Settings, preferences: PreferenceStore
) -> AsyncIterator[Mapping[Channel, Sender]]:
    """Yields the channel for text messages, if the settings name an endpoint."""
    if not settings.sms_url:
        yield {}
        return
    from services.notification.channels import sms  # noqa: PLC0415

    async def phone_number_of(user_id: UUID) -> str:
        return (await preferences.get(user_id)).phone_number

    async with sms.sender(
        url=settings.sms_url,
        api_key=settings.sms_api_key,
        phone_number_of=phone_number_of,
        send_timeout=settings.delivery_timeout,
    ) as sender:
        yield {Channel.SMS: sender}


async def _migrate(settings: Settings | MigrationSettings) -> None:
    await migrate.run(
        settings.database_url.reveal(), package="services.notification", mesh=("audit", "inbox")
    )


PROCESS = Process(
    name="notification",
    settings=Settings,
    build=build,
    migrate=_migrate,
    migration_settings=MigrationSettings,
)
