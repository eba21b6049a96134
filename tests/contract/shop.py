"""The services of the shop and its storefront, the real ones, over mTLS, on real stores.

Tests of contracts are synchronous, as pytest-grpc's channels and stubs are; the services run beside
them on a thread of their own.
"""

import asyncio
import importlib
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import grpc
from google.rpc import status_pb2

from services.local import certs, ports
from services.mesh import ids, logs, run, settings, traces
from services.mesh.errors import DomainError
from services.mesh.interceptors import errors
from services.mesh.run import Process
from services.mesh.settings import MeshSettings
from services.user import signing_keys
from services.user.access_tokens import AccessTokens
from services.user.domain import Role
from services.user.signing_keys import SigningKeys
from tests.contract.contracts import MODULES, SERVICES

CUSTOMER = UUID("0199a3c4-0000-7000-8000-00000000c0de")
PROVIDER_API_KEY = "the provider's key"
PROVIDER_WEBHOOK_SECRET = "the provider's secret"
ADMIN_EMAIL = "admin@example.com"
ADMIN_PASSWORD = "open, sesame"
IDENTITIES = (*SERVICES, "gateway", "developer", "sandbox")

SPANS = "spans.bin"
"""The file that takes what the processes of a folder export."""

# A URL is signed without asking anybody.
_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}
_START_SECONDS = 90
# What every error passes on its way out.
_ERROR_LEAVES = "status_from_error"
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Where the services answer, who can call them, and what signs access tokens.

    `redis_url`: where the events go from one service to another. `spans`: the file that takes what
    the services export.
    """

    addresses: Mapping[str, str]
    redis_url: str
    certs_folder: Path
    spans: Path
    signing_keys: SigningKeys

    def credentials(self, identity: str) -> grpc.ChannelCredentials:
        """Return what the service `identity` shows and trusts."""
        return grpc.ssl_channel_credentials(
            (self.certs_folder / "ca.pem").read_bytes(),
            (self.certs_folder / f"{identity}-key.pem").read_bytes(),
            (self.certs_folder / f"{identity}.pem").read_bytes(),
        )

    def token(
        self,
        *roles: Role,
        user_id: UUID = CUSTOMER,
        age: timedelta = timedelta(),
        keys: SigningKeys | None = None,
    ) -> str:
        """Return an access token, signed `age` ago by `keys`, or else by the shop's own."""
        defaults = MeshSettings()
        tokens = AccessTokens(
            keys or self.signing_keys,
            issuer=defaults.token_issuer,
            audience=defaults.token_audience,
            life=timedelta(minutes=10),
        )
        token, _ = tokens.issue(
            user_id, session_id=ids.new_id(), roles=roles, issue_time=datetime.now(UTC) - age
        )
        return token


@contextmanager
def serving(folder: Path, urls: Mapping[str, str], collector: str) -> Iterator[Shop]:
    """Run the services until the block is left.

    `folder` takes their keys and certificates. `urls` has the SOUK_DATABASE_URL of each service
    with one, by its name, and those of "redis", "mongo" and "sandbox". `collector` gets the spans
    of all calls.
    """
    with (
        _told(folder),
        mock.patch.dict(os.environ, traced(collector)),
        traces.recording("shop", MeshSettings(trace_ratio=1)),
    ):
        yield from _serving(folder, urls)


def traced(collector: str) -> dict[str, str]:
    """Return the environment of a process that traces every call."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "SOUK_TRACE_RATIO": "1",
    }


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Keep what the services log, and every error that leaves one, in files of `folder`."""
    status_from_error = getattr(errors, _ERROR_LEAVES)
    with (folder / "shop.log").open("w") as log, (folder / "errors.log").open("w") as refusals:

        def telling(error: DomainError, domain: str) -> status_pb2.Status:
            status: status_pb2.Status = status_from_error(error, domain)
            refusals.write(f"{status}\n")
            return status

        with redirect_stdout(log):
            logs.configure("shop", MeshSettings(log_level="info"))
        setattr(errors, _ERROR_LEAVES, telling)
        try:
            yield
        finally:
            setattr(errors, _ERROR_LEAVES, status_from_error)
            logs.flush()
            logs.configure("tests", MeshSettings(log_level="error"))


def _serving(folder: Path, urls: Mapping[str, str]) -> Iterator[Shop]:
    certs.ensure(folder / "certs", IDENTITIES)
    signing_keys.create(folder / "keys", "only")
    addresses = dict(zip(MODULES, map(ports.address, ports.free(len(MODULES))), strict=True))
    environments = {name: _environment(name, folder, addresses, urls) for name in MODULES}
    with mock.patch.dict(os.environ, _AWS), _loop_thread() as loop:
        services = _services(environments)
        asyncio.run_coroutine_threadsafe(services.__aenter__(), loop).result(_START_SECONDS)
        try:
            yield Shop(
                addresses=addresses,
                redis_url=urls["redis"],
                certs_folder=folder / "certs",
                spans=folder / SPANS,
                signing_keys=SigningKeys(folder / "keys"),
            )
        finally:
            leaving = services.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(_STOP_SECONDS)


@asynccontextmanager
async def _services(environments: Mapping[str, Mapping[str, str]]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for name, environ in environments.items():
            process = _process(name)
            values = settings.load(process.settings, environ)
            if process.migrate is not None:
                await process.migrate(values)
            await stack.enter_async_context(run.serving(process, values))
        yield


def _process(name: str) -> Process[Any]:
    package = "services" if name in SERVICES else "gateway"
    process: Process[Any] = importlib.import_module(f"{package}.{name}.app").PROCESS
    return process


@contextmanager
def _loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="shop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_SECONDS)
        loop.close()


def _environment(
    name: str, folder: Path, addresses: Mapping[str, str], urls: Mapping[str, str]
) -> dict[str, str]:
    """Return what the process `name` is told; what it does not know it does not read."""
    identity = _process(name).name
    environment = {
        "SOUK_LISTEN": addresses[name],
        "SOUK_DRAIN_WAIT": "0s",
        "SOUK_TLS_CA": str(folder / "certs" / "ca.pem"),
        "SOUK_TLS_CERT": str(folder / "certs" / f"{identity}.pem"),
        "SOUK_TLS_KEY": str(folder / "certs" / f"{identity}-key.pem"),
        "SOUK_TARGETS": ",".join(f"{other}={where}" for other, where in addresses.items()),
        "SOUK_BOOTSTRAP_ADMIN_EMAIL": ADMIN_EMAIL,
        "SOUK_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "SOUK_SIGNING_KEYS": str(folder / "keys"),
        "SOUK_REDIS_URL": urls["redis"],
        "SOUK_MONGO_URL": urls["mongo"],
        "SOUK_IMAGE_BUCKET": "pictures",
        "SOUK_IMAGE_REGION": "eu-central-1",
        "SOUK_IMAGE_BASE_URI": "https://images.souk.example",
        "SOUK_PROVIDER_URL": urls["sandbox"],
        "SOUK_PROVIDER_API_KEY": PROVIDER_API_KEY,
        "SOUK_PROVIDER_WEBHOOK_SECRET": PROVIDER_WEBHOOK_SECRET,
    }
    if name in urls:
        environment["SOUK_DATABASE_URL"] = urls[name]
    return environment
