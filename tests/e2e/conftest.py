"""The whole mesh, started by the real command once per worker on free ports in a folder of its own.

| fixture      | scope    | gives                                                              |
|--------------|----------|--------------------------------------------------------------------|
| `mesh`       | session  | `Mesh`: endpoints, demo accounts, the welcome that was printed     |
| `rest`       | session  | `rest(token)`: a client of the gateway, `services.local.demo.rest` |
| `sign_in`    | session  | `await sign_in("admin")`: the access token of a demo account       |
| `grpcurl`    | session  | `await grpcurl(...)`: runs grpcurl as the developer                |
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from services.local import endpoints, program
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.local.demo.accounts import Account
from services.local.demo.rest import Shop
from services.local.endpoints import Endpoints
from services.local.program import Program
from tests import leaks

_GRPCURL = Path(__file__).parents[2] / ".tools" / "bin" / "grpcurl"
_CALL_SECONDS = 60

Rest = Callable[[str], Shop]
SignIn = Callable[[str], Awaitable[str]]
Grpcurl = Callable[..., Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A running mesh. `output` is the file that takes what `souk up` prints."""

    folder: DataFolder
    endpoints: Endpoints
    accounts: Mapping[str, Account]
    output: Path


@pytest.fixture(scope="session")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    """Runs `souk up` until the session ends; nothing secret is then in what it printed."""
    async with running(tmp_path_factory.mktemp("mesh")) as started:
        yield started
    leaks.check([started.output])


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Mesh]:
    """Runs `souk up` on a folder until the block is left."""
    folder = DataFolder(root / "data")

    async def check() -> None:
        endpoints.load(folder)

    up = Program(
        name="souk up",
        argv=(
            *(sys.executable, "-m", "services.local", "up", "--data", str(folder.path)),
            *("--free-ports", "--no-fsync", "--log-level", "info"),
        ),
        check=check,
        log=root / "output",
        start_timeout=timedelta(seconds=150),
    )
    async with program.running(up):
        yield Mesh(
            folder=folder,
            endpoints=endpoints.load(folder),
            accounts=accounts.ensure(folder),
            output=root / "output",
        )


@pytest.fixture(scope="session")
async def rest(mesh: Mesh) -> AsyncIterator[Rest]:
    """Gives clients of the gateway: `rest("")` is nobody, `rest(token)` is signed in."""
    async with aiohttp.ClientSession() as session:

        def client(token: str) -> Shop:
            return Shop(session=session, base_url=mesh.endpoints.gateway, token=token)

        yield client


@pytest.fixture(scope="session")
def sign_in(mesh: Mesh, rest: Rest) -> SignIn:
    """Signs in as a demo account, such as "customer" or "merchandiser"."""

    async def tokens(name: str) -> str:
        account = mesh.accounts[name]
        session = await rest("").post(
            "/v1/sessions", {"email": account.email, "password": account.password}
        )
        token: str = session["accessToken"]
        return token

    return tokens


@pytest.fixture(scope="session")
def grpcurl(mesh: Mesh) -> Grpcurl:
    """Runs the real grpcurl against a service, with the developer's identity.

    `await grpcurl("product", "souk.product.v1.ProductService/ListProducts", {"page_size": 1})`
    returns what it printed; a call that fails raises AssertionError with its message.
    """
    if not _GRPCURL.exists():
        pytest.skip("grpcurl is not built: `make tools`")

    async def call(service: str, *arguments: str, body: object = None, token: str = "") -> str:
        certs = mesh.endpoints.certs_folder
        process = await asyncio.create_subprocess_exec(
            _GRPCURL,
            *("-cacert", certs / "ca.pem"),
            *("-cert", certs / "developer.pem", "-key", certs / "developer-key.pem"),
            *(("-d", json.dumps(body)) if body is not None else ()),
            *(("-H", f"authorization: Bearer {token}") if token else ()),
            mesh.endpoints.grpc[service],
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    return call
