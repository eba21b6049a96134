"""A Kubernetes cluster without containers: what it admits, makes and schedules is real.

Two nodes in two zones, which kwok plays with their pods, and every custom resource of
`tests/platform/schemas`, on which nobody acts.
"""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives import serialization

from services.local import certs, ports, whole_file
from services.local.program import running
from tests.platform import conform
from tests.platform.aws.sts import Cluster
from tests.platform.cluster import programs
from tests.platform.cluster.api import Api, Refused
from tests.platform.objects import Object

ZONES = ("eu-central-1a", "eu-central-1b")

_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
_NAMESPACES = "/api/v1/namespaces"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ANSWER_SECONDS = 30
_SETTLING_SECONDS = 120
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running cluster at `url`, whose certificates are signed by `authority`.

    `kubeconfig` is its administrator's.
    """

    url: str
    api: Api
    authority: Path
    kubeconfig: Path

    async def make_namespace(self, name: str) -> str:
        """Makes a namespace whose pods must be "restricted"; returns its name. Raises Refused."""
        await self.api.call(
            "POST", _NAMESPACES, {"metadata": {"name": name, "labels": _RESTRICTED}}
        )
        # No pod is admitted before its ServiceAccount is there.
        await self._find(f"{_NAMESPACES}/{name}/serviceaccounts/default")
        return name

    async def add_account(self, namespace: str, name: str) -> None:
        """Adds a ServiceAccount. Raises Refused."""
        path = f"{_NAMESPACES}/{namespace}/serviceaccounts"
        await self.api.call("POST", path, {"metadata": {"name": name}})

    async def remove_namespace(self, name: str) -> None:
        """Has a namespace removed, with everything in it. Raises Refused."""
        await self.api.call("DELETE", f"{_NAMESPACES}/{name}")

    async def token(self, namespace: str, account: str, audience: str | None = None) -> str:
        """Returns what a kubelet would put into a pod: by default for the API server itself.

        Raises Refused.
        """
        path = f"{_NAMESPACES}/{namespace}/serviceaccounts/{account}/token"
        asked = {"audiences": [audience] if audience else []}
        granted = await self.api.call("POST", path, {"spec": asked})
        text: str = granted["status"]["token"]
        return text

    async def add_node(self, zone: str) -> None:
        """Adds a node. Raises Refused."""
        name = f"node-{zone}"
        labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
        await self.api.call("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})

    async def define(self, definition: Object) -> None:
        """Brings a custom resource and waits until objects of it are taken. Raises Refused."""
        await self.api.call("POST", _DEFINITIONS, definition)
        name = definition["metadata"]["name"]
        while True:
            status = (await self.api.call("GET", f"{_DEFINITIONS}/{name}")).get("status", {})
            conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
            if conditions.get("Established") == "True":
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _find(self, path: str) -> None:
        """Waits until something is there."""
        async with asyncio.timeout(_SETTLING_SECONDS):
            while True:
                try:
                    await self.api.call("GET", path)
                except Refused:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return


@asynccontextmanager
async def control_plane(folder: Path, issuer: Cluster) -> AsyncIterator[ControlPlane]:
    """Runs the programs until the block is left; `issuer` signs ServiceAccounts' tokens.

    Raises StartFailed.
    """
    etcd_port, peer_port, port, controllers_port, scheduler_port, kwok_port = ports.free(6)
    url = f"https://{ports.address(port)}"
    token = secrets.token_urlsafe()
    certs.ensure(folder, programs.CERTIFICATES)
    _write_secrets(folder, url, token, issuer)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_session(folder, url, token))
        plane = ControlPlane(
            url=url,
            api=Api(http),
            authority=folder / "ca.pem",
            kubeconfig=folder / programs.KUBECONFIG,
        )
        for program in (
            programs.etcd(folder, etcd_port, peer_port),
            programs.kube_apiserver(
                folder, port, etcd_port=etcd_port, issuer=f"https://{issuer.issuer}"
            ),
            programs.kube_controller_manager(folder, controllers_port),
            programs.kube_scheduler(folder, scheduler_port),
            programs.kwok(folder, kwok_port),
        ):
            await stack.enter_async_context(running(program))
        async with asyncio.timeout(_SETTLING_SECONDS):
            for zone in ZONES:
                await plane.add_node(zone)
            for definition in conform.definitions():
                await plane.define(definition)
        yield plane


def _session(folder: Path, url: str, token: str) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    return aiohttp.ClientSession(
        base_url=url,
        connector=aiohttp.TCPConnector(ssl=trust),
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
    )


def _write_secrets(folder: Path, url: str, token: str, issuer: Cluster) -> None:
    """Writes the administrator's token and kubeconfig, and the key for ServiceAccounts' tokens."""
    key = issuer.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    cluster = {"server": url, "certificate-authority": str(folder / "ca.pem")}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "souk", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "souk", "context": {"cluster": "souk", "user": "administrator"}}],
        "current-context": "souk",
    }
    whole_file.write(folder / programs.SIGNING_KEY, key)
    tokens = f'{token},administrator,1,"system:masters"\n'
    whole_file.write(folder / programs.TOKENS, tokens.encode())
    whole_file.write(folder / programs.KUBECONFIG, json.dumps(kubeconfig).encode())
