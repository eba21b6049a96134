"""The user service's parts over a real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.mesh import database, migrate
from services.mesh.audit import AuditLog
from services.mesh.database import Database
from services.user import signing_keys
from services.user.access_tokens import AccessTokens
from services.user.address_store import AddressStore
from services.user.attempt_store import AttemptStore, Limits
from services.user.passwords import Passwords, passwords
from services.user.session_store import SessionStore
from services.user.signing_keys import SigningKeys
from services.user.store import UserStore
from services.user.workflow import Accounts

LIMITS = Limits(per_account=3, per_address=8, window=timedelta(minutes=15))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a test works with."""

    db: Database
    users: UserStore
    addresses: AddressStore
    sessions: SessionStore
    passwords: Passwords
    audit_log: AuditLog
    attempts: AttemptStore
    accounts: Accounts


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """Builds the service's parts over an empty, migrated database."""
    await migrate.run(database_url, package="services.user", mesh=("audit",))
    signing_keys.create(tmp_path, "only")
    async with database.pool(database_url) as db, passwords() as hasher:
        users = UserStore(db)
        sessions = SessionStore(db, life=timedelta(days=30))
        attempts, audit_log = AttemptStore(db, LIMITS), AuditLog(db)
        accounts = Accounts(
            attempts=attempts,
            audit_log=audit_log,
            users=users,
            sessions=sessions,
            passwords=hasher,
            access_tokens=AccessTokens(
                SigningKeys(tmp_path),
                issuer="https://shop",
                audience="shop",
                life=timedelta(minutes=10),
            ),
        )
        yield Parts(
            db=db,
            users=users,
            addresses=AddressStore(db),
            sessions=sessions,
            passwords=hasher,
            audit_log=audit_log,
            attempts=attempts,
            accounts=accounts,
        )
