"""Real stores for every test that asks for one: started once, on free ports, stopped at the end.

| fixture             | scope    | gives                                                      |
|---------------------|----------|------------------------------------------------------------|
| `postgres_url`      | session  | the URL of a PostgreSQL, as its superuser                  |
| `redis_url`         | session  | the URL of a Redis                                         |
| `mongo_url`         | session  | the URL of a MongoDB-wire server                           |
| `make_database`     | session  | `await make_database()`: the URL of a new, empty database  |
| `database_url`      | function | the URL of a new, empty database                           |
| `unique`            | function | a name that no other test has                              |
| `eventually`        | session  | `await eventually(condition)`: polls until it is truthy    |

A store is shared by all tests, so a test takes a database, a stream or a collection of its own.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest

from services.local.stores import mongo, postgres, redis
from services.mesh import database
from services.mesh.ids import new_id

# How long an example takes says more of the machine than of the code. The examples are the same in
# every run: a change is judged by itself. `--hypothesis-profile default` draws others.
hypothesis.settings.register_profile(
    "souk",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("souk")

pytest_plugins = ["tests.access_summary", "tests.leak_search"]

MakeDatabase = Callable[[], Awaitable[str]]

T = TypeVar("T")


class Eventually(Protocol):
    """Waits for a condition: what every test does instead of sleeping."""

    async def __call__(self, condition: Callable[[], Awaitable[T]], *, seconds: float = 60) -> T:
        """Returns the first truthy result of `condition`; raises TimeoutError when time is up."""


@pytest.fixture(scope="session", autouse=True)
def patient_pools() -> Iterator[None]:
    """Has pools wait longer than in operation, unless a test says how long.

    That a machine is slow, or a hundred callers come at once, is no outage.
    """
    defaults = database.pool.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]  # a decorated function's
    with pytest.MonkeyPatch.context() as patch:
        for name in ("acquire_timeout", "statement_timeout", "lock_timeout"):
            patch.setitem(defaults, name, timedelta(seconds=30))
        yield


@pytest.fixture(scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs a PostgreSQL."""
    async with postgres.running(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs a Redis."""
    async with redis.running(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
async def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs a MongoDB-wire server."""
    async with mongo.running(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> MakeDatabase:
    """Gives what makes an empty database and returns its URL."""

    async def make() -> str:
        name = f"test_{new_id().hex}"
        conn = await asyncpg.connect(postgres_url)
        try:
            await conn.execute(f"CREATE DATABASE {name}")
        finally:
            await conn.close()
        return urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))

    return make


@pytest.fixture
async def database_url(make_database: MakeDatabase) -> str:
    """Makes an empty database."""
    return await make_database()


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """Gives a name that no other test has, which says whose it is."""
    return f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}-{new_id().hex[-12:]}"


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Gives what polls a condition until it holds or time is up."""

    async def poll(condition: Callable[[], Awaitable[T]], *, seconds: float = 60) -> T:
        async with asyncio.timeout(seconds):
            while not (result := await condition()):
                await asyncio.sleep(0.02)
        return result

    return poll
