"""The user service's parts over a real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.mesh import database, migrate
from services.mesh.database import Database
from services.user import signing_keys
from services.user.access_tokens import AccessTokens
from services.user.address_store import AddressStore
from services.user.passwords import passwords
from services.user.session_store import SessionStore
from services.user.signing_keys import SigningKeys
from services.user.store import UserStore
from services.user.workflow import Accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a test works with."""

    db: Database
    users: UserStore
    addresses: AddressStore
    sessions: SessionStore
    accounts: Accounts


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """Builds the service's parts over an empty, migrated database."""
    await migrate.run(database_url, package="services.user")
    signing_keys.create(tmp_path, "only")
    async with database.pool(database_url) as db, passwords() as hasher:
        users = UserStore(db)
        sessions = SessionStore(db, life=timedelta(days=30))
        accounts = Accounts(
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
            accounts=accounts,
        )
