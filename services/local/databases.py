"""One database and one role per service, on one PostgreSQL server.

| role           | may                                                  |
|----------------|------------------------------------------------------|
| `souk_order`   | log in, connect to `souk_order`, own what is in it   |

No role can connect to another one's database. Passwords are `credentials`.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from services.local import credentials
from services.local.data_folder import DataFolder

_TIMEOUT_SECONDS = 20


async def provision(admin_url: str, folder: DataFolder, services: Iterable[str]) -> dict[str, str]:
    """Makes what is missing and returns each service's database URL.

    `admin_url` belongs to a role that may create roles and databases. Raises TimeoutError, or
    asyncpg's errors when the server refuses.
    """
    passwords = {name: credentials.ensure(folder, f"database/{name}") for name in services}
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        connection = await asyncpg.connect(admin_url)
        try:
            for name, password in passwords.items():
                await _ensure(connection, _database(name), password)
        finally:
            await connection.close()
    return urls(admin_url, folder, passwords)


def urls(admin_url: str, folder: DataFolder, services: Iterable[str]) -> dict[str, str]:
    """Returns the URL of each service's database, whether it is there or not."""
    return {
        name: _url(admin_url, _database(name), credentials.ensure(folder, f"database/{name}"))
        for name in services
    }


def _database(service: str) -> str:
    """Names a service's database, and its role alike."""
    return f"souk_{service}"


def _url(admin_url: str, name: str, password: str) -> str:
    """Replaces user, password and database in `admin_url`; the rest, such as TLS options, stays."""
    parts = urlsplit(admin_url)
    server = parts.netloc.rpartition("@")[2]
    netloc = f"{name}:{quote(password, safe='')}@{server}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{name}"))


async def _ensure(connection: "asyncpg.Connection[asyncpg.Record]", name: str, secret: str) -> None:
    """Makes the role and the database, or gives the role this password if it is there."""
    role_exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if role_exists else "CREATE"
    # PostgreSQL takes no parameters in these statements; it quotes the values itself instead.
    await _execute_formatted(
        connection, f"{verb} ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 40 PASSWORD %L", name, secret
    )
    database_exists = "SELECT 1 FROM pg_database WHERE datname = $1"
    if not await connection.fetchval(database_exists, name):
        await _execute_formatted(connection, "CREATE DATABASE %I OWNER %I", name, name)
        await _execute_formatted(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", name)


async def _execute_formatted(
    connection: "asyncpg.Connection[asyncpg.Record]", template: str, *values: str
) -> None:
    arguments = "".join(f", ${place}::text" for place in range(2, len(values) + 2))
    statement = await connection.fetchval(f"SELECT format($1{arguments})", template, *values)
    await connection.execute(statement)
