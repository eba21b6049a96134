"""OpenBao, which speaks Vault's API, as a server and as the agent beside a pod.

The `bao` program comes from a wheel (`tests.platform.tools`); its server keeps all in memory.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from services.local import ports
from services.local.program import Program, StartFailed, running, spawn, stop

ROOT = Path(__file__).parents[3]
_ONCE_SECONDS = 120


class Refused(Exception):
    """The server did not do it; `status` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """A running server, as the holder of `token` sees it."""

    address: str
    token: str

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns the whole answer. Raises Refused."""
        headers = {"X-Vault-Token": self.token, "X-Vault-Request": "true"}
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(
                method, f"{self.address}/v1/{path}", headers=headers, json=body
            ) as response,
        ):
            text = await response.text()
        if not response.ok:
            raise Refused(response.status, text)
        return dict(json.loads(text)) if text else {}

    async def read(self, path: str) -> dict[str, Any]:
        """Returns the data at `path`. Raises Refused."""
        return dict((await self.call("GET", path))["data"])

    async def write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Writes and returns the data of the answer. Raises Refused."""
        return dict((await self.call("POST", path, body)).get("data") or {})

    async def log_in(self, role: str, jwt: str) -> "Vault":
        """Returns the server as a ServiceAccount with this token sees it. Raises Refused."""
        answer = await self.call("POST", "auth/kubernetes/login", {"role": role, "jwt": jwt})
        return Vault(address=self.address, token=answer["auth"]["client_token"])


def program() -> str | None:
    """Returns the path of `bao`, None where it is not installed."""
    return shutil.which("bao", path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}")


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Vault]:
    """Runs a server and yields it as its root sees it."""
    address = ports.address(ports.free()[0])
    vault = Vault(address=f"http://{address}", token="root")

    async def check() -> None:
        await vault.call("GET", "sys/health")

    described = Program(
        name="bao server",
        argv=(
            *(program() or "bao", "server", "-dev", "-dev-no-store-token"),
            *(f"-dev-root-token-id={vault.token}", f"-dev-listen-address={address}"),
        ),
        environment={"HOME": str(folder)},
        check=check,
        log=folder / "server.log",
    )
    async with running(described):
        yield vault


@asynccontextmanager
async def agent(folder: Path, vault: Vault, config: Mapping[str, Any]) -> AsyncIterator[None]:
    """Runs the agent with `config` until the block is left."""
    async with running(_agent(folder, vault, config)):
        yield


async def agent_once(folder: Path, vault: Vault, config: Mapping[str, Any]) -> None:
    """Runs an agent whose `config` lets it end when all is written. Raises StartFailed."""
    described = _agent(folder, vault, config)
    process = await spawn(described)
    try:
        code = await asyncio.wait_for(process.wait(), _ONCE_SECONDS)
    finally:
        await stop(described, process)
    if code:
        raise StartFailed(f"the agent ended with {code}:\n{(folder / 'agent.log').read_text()}")


def _agent(folder: Path, vault: Vault, config: Mapping[str, Any]) -> Program:
    file = folder / "agent.json"
    file.write_text(json.dumps({**config, "vault": {"address": vault.address}}))
    return Program(
        name="bao agent",
        argv=(program() or "bao", "agent", f"-config={file}"),
        environment={"HOME": str(folder)},
        log=folder / "agent.log",
    )
