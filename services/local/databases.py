"""One database and one owner per service, and two users that take turns in logging in as it.

| role                           | may                                                         |
|--------------------------------|-------------------------------------------------------------|
| `souk_order`                   | own `souk_order` and what is in it; never logs in           |
| `souk_order_a`, `souk_order_b` | log in, connect to `souk_order`, act as its owner           |

No role can connect to another one's database. Passwords are `credentials`. Of the two users one is
let in; `admit` gives the other one a new password, and `dismiss` shuts out the former one when
nobody uses it any more, so that a password is changed without anybody's being refused.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from services.local import credentials
from services.local.data_folder import DataFolder

_TIMEOUT_SECONDS = 20
_PASSWORD, _TURN = "database/{}", "database/{}/turn"


async def provision(admin_url: str, folder: DataFolder, services: Iterable[str]) -> dict[str, str]:
    """Makes what is missing and returns each service's database URL.

    `admin_url` belongs to a role that may create roles and databases. Raises TimeoutError, or
    asyncpg's errors when the server refuses.
    """
    names = list(services)
    async with _administering(admin_url) as connection:
        for service in names:
            await _ensure_database(connection, _database(service))
            turn = _turn(folder, service)
            await _let_in(connection, service, turn, _password(folder, service))
            await _shut_out(connection, _user(service, _other(turn)))
    return urls(admin_url, folder, names)


def urls(admin_url: str, folder: DataFolder, services: Iterable[str]) -> dict[str, str]:
    """Returns the URL of each service's database, whether it is there or not."""
    return {
        service: _url(
            admin_url,
            user=_user(service, _turn(folder, service)),
            password=_password(folder, service),
            database=_database(service),
        )
        for service in services
    }


async def admit(admin_url: str, folder: DataFolder, service: str) -> str:
    """Lets the other user of a service in, by a new password; returns the URL to use from now on.

    The former user goes on being let in.
    """
    turn = _other(_turn(folder, service))
    password = credentials.fresh()
    async with _administering(admin_url) as connection:
        await _let_in(connection, service, turn, password)
    credentials.replace(folder, {_PASSWORD.format(service): password, _TURN.format(service): turn})
    return urls(admin_url, folder, [service])[service]


async def has_moved(admin_url: str, folder: DataFolder, service: str) -> bool:
    """Tells whether a service is connected as the user whose turn it is, and no more as before."""
    turn = _turn(folder, service)
    async with _administering(admin_url) as connection:
        rows = await connection.fetch(
            "SELECT usename, count(*) FROM pg_stat_activity WHERE usename = ANY($1) GROUP BY 1",
            [_user(service, "a"), _user(service, "b")],
        )
    return [row["usename"] for row in rows] == [_user(service, turn)]


async def dismiss(admin_url: str, folder: DataFolder, service: str) -> None:
    """Shuts out the user of a service whose turn it is not, and ends what it still has open."""
    async with _administering(admin_url) as connection:
        await _shut_out(connection, _user(service, _other(_turn(folder, service))))


def _database(service: str) -> str:
    """Names a service's database, and the role that owns it alike."""
    return f"souk_{service}"


def _user(service: str, turn: str) -> str:
    return f"{_database(service)}_{turn}"


def _turn(folder: DataFolder, service: str) -> str:
    """Returns which of the two users is let in, "a" or "b"."""
    return credentials.find(folder, _TURN.format(service)) or "a"


def _other(turn: str) -> str:
    return "b" if turn == "a" else "a"


def _password(folder: DataFolder, service: str) -> str:
    return credentials.ensure(folder, _PASSWORD.format(service))


def _url(admin_url: str, *, user: str, password: str, database: str) -> str:
    """Replaces user, password and database in `admin_url`; the rest, such as TLS options, stays."""
    parts = urlsplit(admin_url)
    server = parts.netloc.rpartition("@")[2]
    netloc = f"{user}:{quote(password, safe='')}@{server}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))


@asynccontextmanager
async def _administering(
    admin_url: str,
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    limit = asyncio.timeout(_TIMEOUT_SECONDS)
    try:
        async with limit:
            connection = await asyncpg.connect(admin_url)
            try:
                yield connection
            finally:
                await connection.close()
    except TimeoutError:
        if limit.expired():
            message = f"PostgreSQL has not done within {_TIMEOUT_SECONDS} s what it was asked for"
            raise TimeoutError(message) from None
        raise


async def _ensure_database(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Makes the database and its owner, who may not log in, if they are not there."""
    verb = "ALTER" if await _exists(connection, name) else "CREATE"
    await _execute_formatted(connection, f"{verb} ROLE %I NOLOGIN NOINHERIT PASSWORD NULL", name)
    database_exists = "SELECT 1 FROM pg_database WHERE datname = $1"
    if not await connection.fetchval(database_exists, name):
        await _execute_formatted(connection, "CREATE DATABASE %I OWNER %I", name, name)
        await _execute_formatted(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", name)


async def _let_in(
    connection: "asyncpg.Connection[asyncpg.Record]", service: str, turn: str, password: str
) -> None:
    """Makes a user of the service who logs in by this password, or gives it to who is there."""
    user, owner = _user(service, turn), _database(service)
    verb = "ALTER" if await _exists(connection, user) else "CREATE"
    # PostgreSQL takes no parameters in these statements; it quotes the values itself instead.
    await _execute_formatted(
        connection, f"{verb} ROLE %I LOGIN CONNECTION LIMIT 40 PASSWORD %L", user, password
    )
    await _execute_formatted(connection, "GRANT %I TO %I", owner, user)
    # Whatever it makes is its owner's, whichever of the two it is.
    await _execute_formatted(connection, "ALTER ROLE %I SET role TO %I", user, owner)


async def _shut_out(connection: "asyncpg.Connection[asyncpg.Record]", user: str) -> None:
    if await _exists(connection, user):
        await _execute_formatted(connection, "ALTER ROLE %I NOLOGIN PASSWORD NULL", user)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", user
        )


async def _exists(connection: "asyncpg.Connection[asyncpg.Record]", role: str) -> bool:
    return bool(await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role))


async def _execute_formatted(
    connection: "asyncpg.Connection[asyncpg.Record]", template: str, *values: str
) -> None:
    arguments = "".join(f", ${place}::text" for place in range(2, len(values) + 2))
    statement = await connection.fetchval(f"SELECT format($1{arguments})", template, *values)
    await connection.execute(statement)
