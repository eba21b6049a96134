"""The URLs that the charts write reach stores over TLS alone, and none that is not the one meant.

The real clients ask real stores, which have a front that speaks TLS, since those of the wheels do
not: with a certificate for `localhost` and 127.0.0.1, by an authority of the test's own.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from redis.exceptions import RedisError

from services.local import certs
from services.mesh import database, redis_client
from services.mesh.errors import DeadlineExceeded, Unavailable
from services.product import mongodb
from tests.conftest import Eventually
from tests.platform.charts import ROOT
from tests.platform.tls_front import listening

REFUSALS = (DeadlineExceeded, RedisError, Unavailable)

Ask = Callable[[], Awaitable[None]]

NAMED, NOT_NAMED = "127.0.0.1", "127.0.0.2"
"""Both are this machine; the certificate names one."""
PATIENT, SHORT = timedelta(seconds=20), timedelta(seconds=1)
"""How long a client of MongoDB looks for a server that it believes."""


@asynccontextmanager
async def postgres(url: str, _patience: timedelta) -> AsyncIterator[Ask]:
    """Gives what asks PostgreSQL."""
    async with database.pool(url) as db:
        yield db.ready


@asynccontextmanager
async def redis(url: str, _patience: timedelta) -> AsyncIterator[Ask]:
    """Gives what asks Redis."""
    async with redis_client.connect(url, name="test") as client:
        yield lambda: redis_client.ready(client)


@asynccontextmanager
async def mongo(url: str, patience: timedelta) -> AsyncIterator[Ask]:
    """Gives what asks MongoDB."""
    async with mongodb.connect(url, operation_timeout=patience, name="test") as db:
        yield db.ready


CLIENTS: dict[str, Callable[[str, timedelta], AbstractAsyncContextManager[Ask]]] = {
    "postgres": postgres,
    "redis": redis,
    "mongo": mongo,
}


def templates() -> dict[str, tuple[str, str]]:
    """Returns the store and the template of each URL in production's values, by its place."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(ROOT.glob("charts/*/values.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        for part in ("vault", "migration"):
            for setting, secret in ((values.get(part) or {}).get("secrets") or {}).items():
                for store in re.findall(r"@\$\{(\w+)\}", secret.get("template", "")):
                    found[f"{path.parent.name}.{part}.{setting}"] = store, secret["template"]
    return found


TEMPLATES = templates()
# What differs in no more than whose account and database it is, is tried once.
SHAPES = {f"{store}?{text.partition('?')[2]}": (store, text) for store, text in TEMPLATES.values()}


def test_each_service_has_a_url_of_each_of_its_stores():
    """A template that was written in another way would not be tried below."""
    expected = {
        (path.parents[1].name, store)
        for path in ROOT.glob("charts/*/derived/mesh.yaml")
        for store in yaml.safe_load(path.read_text(encoding="utf-8"))["stores"]
    }
    assert expected == {(place.split(".")[0], store) for place, (store, _) in TEMPLATES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store without TLS at `url`, and with it at `port`."""

    url: str
    port: int
    authority: Path

    def filled(self, template: str, *, at: str = "", authority: Path | None = None) -> str:
        """Returns the template as Vault's agent fills it in, with the account that the URL has."""
        parts = urlsplit(self.url)
        account = parts.netloc.rpartition("@")[0]
        text = re.sub(r"//.*@", f"//{account}@" if account else "//", template)
        # The stores of tests have databases of their own.
        text = re.sub(r"\$\{\w+\}(/\w*)", f"{at or f'{NAMED}:{self.port}'}{parts.path}", text)
        text = text.replace("authSource=admin&", "" if not account else "authSource=admin&")
        return text.replace("${ca}", str(authority or self.authority))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's folder, with a certificate of a store."""
    folder = tmp_path_factory.mktemp("authority")
    certs.ensure(folder, ["store"])
    return folder


@pytest.fixture(scope="module")
def urls(postgres_url: str, redis_url: str, mongo_url: str) -> dict[str, str]:
    """Every store by its name."""
    return {"postgres": postgres_url, "redis": redis_url, "mongo": mongo_url}


@pytest.fixture
async def store(shape: str, authority: Path, urls: dict[str, str]) -> AsyncIterator[Store]:
    """The store that the URL is of."""
    name, _ = SHAPES[shape]
    url = urls[name]
    with listening(
        urlsplit(url).netloc.rpartition("@")[2],
        [NAMED, NOT_NAMED],
        authority / "store.pem",
        authority / "store-key.pem",
        is_postgres=name == "postgres",
    ) as port:
        yield Store(url=url, port=port, authority=authority / "ca.pem")


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_store_that_is_meant_is_reached(shape: str, store: Store, eventually: Eventually):
    """Over TLS, by a certificate of the authority for the name."""
    name, template = SHAPES[shape]
    async with CLIENTS[name](store.filled(template), PATIENT) as ask:

        async def answers() -> bool:
            try:
                await ask()
            except REFUSALS:
                return False
            return True

        await eventually(answers)


@pytest.mark.parametrize("shape", SHAPES)
async def test_no_other_is_believed(shape: str, store: Store, tmp_path: Path):
    """Whoever has another authority's certificate, one for another name, or none, is not asked."""
    name, template = SHAPES[shape]
    certs.ensure(tmp_path, [])
    for url in (
        store.filled(template, authority=tmp_path / "ca.pem"),
        store.filled(template, at=f"{NOT_NAMED}:{store.port}"),
        store.filled(template, at=urlsplit(store.url).netloc.rpartition("@")[2]),
    ):
        async with CLIENTS[name](url, SHORT) as ask:
            with pytest.raises(REFUSALS):
                await ask()
