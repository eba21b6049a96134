"""A Kubernetes API server with its etcd, on free ports: it admits, and nobody acts on it.

    etcd ◀── kube-apiserver ◀── Helm, the tests

There are no controllers, so what they would make is made here as far as admission needs it: the
ServiceAccount `default` of a namespace. No webhook is installed.
"""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from services.local import certs, ports
from services.local.program import Program, running
from tests.platform import conform
from tests.platform.charts import ROOT
from tests.platform.cluster.api import Api
from tests.platform.objects import Object

PROGRAMS = tuple(ROOT / ".tools" / "bin" / name for name in ("etcd", "kube-apiserver"))

_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
_NAMESPACES = "/api/v1/namespaces"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_START_TIMEOUT = timedelta(seconds=90)
_ANSWER_SECONDS = 30
_ESTABLISHED_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running API server that knows every custom resource of `tests/platform/schemas`.

    `kubeconfig` is its administrator's.
    """

    api: Api
    kubeconfig: Path

    async def make_namespace(self, name: str) -> str:
        """Makes a namespace whose pods must be "restricted"; returns its name. Raises Refused."""
        await self.api.call(
            "POST", _NAMESPACES, {"metadata": {"name": name, "labels": _RESTRICTED}}
        )
        accounts = f"{_NAMESPACES}/{name}/serviceaccounts"
        await self.api.call("POST", accounts, {"metadata": {"name": "default"}})
        return name


@asynccontextmanager
async def control_plane(folder: Path) -> AsyncIterator[ControlPlane]:
    """Runs both programs until the block is left. Raises StartFailed."""
    etcd_port, peer_port, port = ports.free(3)
    url = f"https://{ports.address(port)}"
    certs.ensure(folder, ["kube-apiserver"])
    token = secrets.token_urlsafe()
    (folder / "tokens.csv").write_text(f'{token},administrator,1,"system:masters"\n')
    kubeconfig = _write_kubeconfig(folder, url, token)
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    async with (
        aiohttp.ClientSession(
            base_url=url,
            connector=aiohttp.TCPConnector(ssl=trust),
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
        ) as http,
        running(_etcd(folder, etcd_port, peer_port)),
        running(_kube_apiserver(folder, http, etcd_port, port)),
    ):
        plane = ControlPlane(api=Api(http), kubeconfig=kubeconfig)
        async with asyncio.timeout(_ESTABLISHED_SECONDS):
            for definition in conform.definitions():
                await _define(plane.api, definition)
        yield plane


def _etcd(folder: Path, port: int, peer_port: int) -> Program:
    url, peer_url = f"http://{ports.address(port)}", f"http://{ports.address(peer_port)}"

    async def check() -> None:
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
        writer.close()

    return Program(
        name="etcd",
        argv=(
            *(str(PROGRAMS[0]), f"--data-dir={folder / 'etcd'}"),
            *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
            *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
            f"--initial-cluster=default={peer_url}",
        ),
        check=check,
        log=folder / "etcd.log",
    )


def _kube_apiserver(
    folder: Path, http: aiohttp.ClientSession, etcd_port: int, port: int
) -> Program:
    key, certificate = folder / "kube-apiserver-key.pem", folder / "kube-apiserver.pem"

    async def check() -> None:
        async with http.get("/readyz") as response:
            response.raise_for_status()

    return Program(
        name="kube-apiserver",
        argv=(
            *(str(PROGRAMS[1]), f"--etcd-servers=http://{ports.address(etcd_port)}"),
            *(f"--bind-address={ports.LOOPBACK}", f"--secure-port={port}"),
            "--endpoint-reconciler-type=none",
            # It would look for an address that others reach; there are no others.
            "--advertise-address=192.0.2.1",
            *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *("--authorization-mode=RBAC", f"--token-auth-file={folder / 'tokens.csv'}"),
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={certificate}",
        ),
        check=check,
        start_timeout=_START_TIMEOUT,
        log=folder / "kube-apiserver.log",
    )


async def _define(api: Api, definition: Object) -> None:
    """Brings a custom resource and waits until objects of it are taken."""
    await api.call("POST", _DEFINITIONS, definition)
    name = definition["metadata"]["name"]
    while True:
        status = (await api.call("GET", f"{_DEFINITIONS}/{name}")).get("status", {})
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
        if conditions.get("Established") == "True":
            return
        await asyncio.sleep(0.05)


def _write_kubeconfig(folder: Path, url: str, token: str) -> Path:
    path = folder / "kubeconfig"
    cluster = {"server": url, "certificate-authority": str(folder / "ca.pem")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "souk", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "souk", "context": {"cluster": "souk", "user": "administrator"}}],
        "current-context": "souk",
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    path.chmod(0o600)
    return path
