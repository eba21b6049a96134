"""Builds the user service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog

from services.mesh import database, migrate
from services.mesh.audit import AuditLog
from services.mesh.migrate import MigrationSettings
from services.mesh.run import App, Mesh, Process, Worker
from services.user import key_rotation
from services.user.access_tokens import AccessTokens
from services.user.address_store import AddressStore
from services.user.attempt_store import AttemptStore, Limits
from services.user.domain import EmailTaken
from services.user.key_rotation import Schedule
from services.user.passwords import passwords
from services.user.servicer import UserServicer
from services.user.session_store import SessionStore
from services.user.settings import Settings
from services.user.signing_keys import SigningKeys
from services.user.store import UserStore
from services.user.worker import Sweeper
from services.user.workflow import Accounts
from souk.user.v1 import user_service_pb2

_SWEEP = timedelta(minutes=10)

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Open the database and the threads for passwords, and yield the service."""
    signing_keys = SigningKeys(settings.signing_keys)
    mesh.follow(signing_keys)
    async with (
        database.pool(settings.database_url, name=mesh.name) as db,
        passwords() as hasher,
    ):
        users = UserStore(db)
        sessions = SessionStore(db, life=settings.refresh_token_life)
        audit_log = AuditLog(db)
        attempts = AttemptStore(db, _limits(settings))
        accounts = Accounts(
            attempts=attempts,
            audit_log=audit_log,
            users=users,
            sessions=sessions,
            passwords=hasher,
            access_tokens=AccessTokens(
                signing_keys,
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                life=settings.access_token_life,
            ),
        )
        servicer = UserServicer(
            audit_log=audit_log,
            accounts=accounts,
            users=users,
            addresses=AddressStore(db),
            sessions=sessions,
            signing_keys=signing_keys,
        )
        await _bootstrap(accounts, settings)
        yield App(
            servicers={user_service_pb2.DESCRIPTOR.services_by_name["UserService"]: servicer},
            workers=[Sweeper(sessions, attempts, interval=_SWEEP).run, *_rotation(settings)],
            checks={"postgresql": db.ready},
            keys=signing_keys.public,
        )


async def _migrate(settings: Settings | MigrationSettings) -> None:
    await migrate.run(settings.database_url.reveal(), package="services.user", mesh=("audit",))


def _limits(settings: Settings) -> Limits:
    return Limits(
        per_account=settings.login_attempts_per_account,
        per_address=settings.login_attempts_per_address,
        window=settings.login_attempt_window,
    )


def _rotation(settings: Settings) -> list[Worker]:
    """Return what replaces the signing keys, if the settings leave that to this process."""
    if settings.signing_key_life is None:
        return []
    schedule = Schedule(life=settings.signing_key_life, token_life=settings.access_token_life)
    return [partial(key_rotation.keep_rotating, settings.signing_keys, schedule)]


async def _bootstrap(accounts: Accounts, settings: Settings) -> None:
    """Create the first admin, if the settings name one."""
    if settings.bootstrap_admin_password is None:
        return
    try:
        created = await accounts.create_first_admin(
            email=settings.bootstrap_admin_email,
            password=settings.bootstrap_admin_password.reveal(),
        )
    except EmailTaken:
        _log.error("no first admin: SOUK_BOOTSTRAP_ADMIN_EMAIL has an account without the role")
        return
    if created:
        _log.info("created the first admin")


PROCESS = Process(
    name="user",
    settings=Settings,
    build=build,
    migrate=_migrate,
    migration_settings=MigrationSettings,
)
