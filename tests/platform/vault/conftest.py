"""A Vault that `deploy/vault` has configured, with a PostgreSQL and an API server to ask."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.local import topology
from services.local.certs import make_ca
from services.local.stores import postgres
from tests.platform import charts
from tests.platform.charts import PRODUCTION, Charts, Layer
from tests.platform.vault import api_server, openbao
from tests.platform.vault.api_server import ApiServer
from tests.platform.vault.injection import Pod
from tests.platform.vault.openbao import ROOT, Vault

PutSecrets = Callable[[Pod], Awaitable[None]]

_CHARTS = [*(service.name for service in topology.SERVICES), "gateway"]
FIRST_PASSWORD = "only-for-the-first-login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """`vault` as its root sees it, `api` whose tokens it takes, `postgres` as its superuser."""

    vault: Vault
    api: ApiServer
    postgres: str

    @property
    def address(self) -> str:
        """Where PostgreSQL is."""
        return urlsplit(self.postgres).netloc.rpartition("@")[2]

    async def configure(self, *arguments: str, **environment: str) -> str:
        """Runs `deploy/vault/configure.py` and returns what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "deploy/vault/configure.py"), *arguments),
            env={
                "VAULT_ADDR": self.vault.address,
                "VAULT_TOKEN": self.vault.token,
                "KUBERNETES_HOST": self.api.url,
                "OUTSIDE_KUBERNETES": "true",
                "KUBERNETES_REVIEWER_TOKEN": "nobody asks for it here",
                # Vault wants one, though our API server speaks no TLS.
                "KUBERNETES_CA_CERT": make_ca().certificate_pem.decode(),
                "POSTGRES_ADDRESS": self.address,
                "POSTGRES_SSLMODE": "disable",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 180)
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def as_account(self, account: str) -> Vault:
        """Returns the server as the pods of a ServiceAccount see it."""
        return await self.vault.log_in(f"souk-{account}", self.api.token(account))

    def database(self, service: str, username: str, password: str) -> str:
        """Returns the URL of a service's database for an account of Vault's making."""
        return f"postgresql://{username}:{password}@{self.address}/souk_{service}"


@pytest.fixture(scope="session")
async def configured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Configured]:
    """Runs all three, prepares PostgreSQL as an administrator does, and configures Vault."""
    if openbao.program() is None:
        pytest.skip("bao is not installed (make tools)")
    folder = tmp_path_factory.mktemp("vault")
    async with (
        postgres.running(tmp_path_factory.mktemp("vault-postgres")) as url,
        openbao.server(folder) as vault,
        api_server.serving() as api,
    ):
        await prepare_databases(url)
        everything = Configured(vault=vault, api=api, postgres=url)
        await everything.configure(POSTGRES_PASSWORD=FIRST_PASSWORD)
        yield everything


async def prepare_databases(url: str) -> None:
    """Runs `deploy/vault/databases.sql` with psql, as docs/vault.md says."""
    script = ROOT / "deploy/vault/databases.sql"
    await asyncio.to_thread(_psql, url, script)


def _psql(url: str, script: Path) -> None:
    subprocess.run(  # noqa: S603 - our own program and file
        [
            *(postgres.binary("psql"), url, "--no-psqlrc", "--set", "ON_ERROR_STOP=1"),
            *("--set", f"vault_password={FIRST_PASSWORD}", "--file", script),
        ],
        env={"PATH": os.environ["PATH"]},
        check=True,
        timeout=180,
    )


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Gives the pod templates of the production layer by their ServiceAccount."""
    if not charts.HELM.exists():
        pytest.skip("helm is not installed (make tools)")
    ours = Charts(tmp_path_factory.mktemp("charts"))
    templates = [
        item["spec"]["template"]
        for chart in _CHARTS
        for item in ours.objects(Layer(chart, PRODUCTION))
        if item["kind"] in {"Deployment", "Job"} and "test" not in item["metadata"]["name"]
    ]
    return {template["spec"]["serviceAccountName"]: template for template in templates}


@pytest.fixture
def put_secrets(configured: Configured) -> PutSecrets:
    """Gives what writes the key-value secrets of a pod, with every item that its templates name."""

    async def put(pod: Pod) -> None:
        text = str(pod.agent(Path("token"), once=True)["template"])
        items = dict.fromkeys(re.findall(r"\.Data\.data\.(\w+)", text), "some text")
        for path in pod.secrets:
            if path.startswith("secret/data/"):
                await configured.vault.write(path, {"data": items or {"2026.pem": "a key"}})

    return put
