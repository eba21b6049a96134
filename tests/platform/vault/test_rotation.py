"""An account of Vault's ends, and the service that used it does not notice."""

import asyncio
from typing import Any

import asyncpg
import yaml

from services.mesh import database, settings, watched_files
from services.mesh.database import Database
from services.mesh.settings import secrets_of
from services.payment.settings import Settings
from tests.cancellation import end
from tests.platform.vault import openbao
from tests.platform.vault.conftest import Configured
from tests.platform.vault.injection import Pod

ROLE = "database/roles/souk-payment"
QUERIES_AT_ONCE = 4


async def test_accounts_are_exchanged_before_they_end_and_no_query_fails(
    configured, rendered, put_secrets, eventually, tmp_path
):
    """Leases of thirty seconds: the agent writes the next URL in time, and the pool takes it up.

    Queries run without a pause, over the init container's account and the sidecar's first two,
    until the first two of these are dropped; none fails.
    """
    await _shorten(configured, "30s")
    pod = Pod(template=_at(rendered["payment"], configured.address), files=tmp_path / "vault")
    await put_secrets(pod)
    token = tmp_path / "token"
    token.write_text(configured.api.token(pod.account))
    await openbao.agent_once(tmp_path, configured.vault, pod.agent(token, once=True))
    values = settings.load(Settings, pod.environment)
    accounts: list[str] = []

    async def the_first_two_are_gone() -> bool:
        return len(accounts) >= 3 and not await _exist(configured, accounts[:2])

    async with (
        openbao.agent(tmp_path, configured.vault, pod.agent(token, once=False)),
        watched_files.following(secrets_of(values), values.reload_period / 10),
        database.pool(values.database_url) as db,
        asyncio.TaskGroup() as group,
    ):
        querying = [
            group.create_task(_query(db, accounts), name=f"queries {place}")
            for place in range(QUERIES_AT_ONCE)
        ]
        await eventually(the_first_two_are_gone, seconds=240)
        await end(querying)


async def _query(db: Database, accounts: list[str]) -> None:
    """Asks for the account, again and again, and notes those that are new."""
    while True:
        async with db.connection() as conn:
            account = await conn.fetchval("SELECT current_user FROM pg_sleep(0.01)")
        if account not in accounts:
            accounts.append(account)


async def _shorten(configured: Configured, life: str) -> None:
    role = await configured.vault.read(ROLE)
    await configured.vault.write(ROLE, {**role, "default_ttl": life, "max_ttl": life})


def _at(template: dict[str, Any], address: str) -> dict[str, Any]:
    """Returns the pod with our PostgreSQL, which speaks no TLS, in the place of production's."""
    text = yaml.safe_dump(template, width=10_000).replace("postgres.souk.internal:5432", address)
    return dict(yaml.safe_load(text.replace("sslmode=verify-full", "sslmode=disable")))


async def _exist(configured: Configured, accounts: list[str]) -> bool:
    """Tells whether any of the accounts is still there."""
    connection = await asyncpg.connect(configured.postgres)
    try:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)", accounts
            )
        )
    finally:
        await connection.close()
