"""The programs of a cluster on this machine, and how to know that each works.

    etcd ◀── kube-apiserver ◀── Helm, the tests

All lie in `.tools/bin`, files and logs in a folder of the caller's, where `certs` has made what
`CERTIFICATES` names.
"""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp

from services.local import ports
from services.local.program import Program
from tests.platform.charts import ROOT

NAMES = ("etcd", "kube-apiserver")
CERTIFICATES = ("kube-apiserver",)
SIGNING_KEY = "service-accounts.pem"
TOKENS = "tokens.csv"
KUBECONFIG = "kubeconfig"

_START_TIMEOUT = timedelta(seconds=90)
_ANSWER_SECONDS = 5


def path(name: str) -> Path:
    """Returns where a program is, or would be."""
    return ROOT / ".tools" / "bin" / name


def etcd(folder: Path, port: int, peer_port: int) -> Program:
    """Returns etcd, whose data goes with the folder."""
    url, peer_url = f"http://{ports.address(port)}", f"http://{ports.address(peer_port)}"

    async def check() -> None:
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
        writer.close()

    return Program(
        name="etcd",
        argv=(
            *(str(path("etcd")), f"--data-dir={folder / 'etcd'}"),
            *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
            *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
            f"--initial-cluster=default={peer_url}",
        ),
        check=check,
        log=folder / "etcd.log",
    )


def kube_apiserver(folder: Path, port: int, *, etcd_port: int, issuer: str) -> Program:
    """Returns the API server; `issuer` is the URL that ServiceAccounts' tokens name."""

    async def check() -> None:
        trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        await _ask(f"https://{ports.address(port)}/readyz", trust)

    return Program(
        name="kube-apiserver",
        argv=(
            *(str(path("kube-apiserver")), f"--etcd-servers=http://{ports.address(etcd_port)}"),
            *(f"--bind-address={ports.LOOPBACK}", f"--secure-port={port}"),
            f"--tls-cert-file={folder / 'kube-apiserver.pem'}",
            f"--tls-private-key-file={folder / 'kube-apiserver-key.pem'}",
            "--endpoint-reconciler-type=none",
            # It would look for an address that others reach; there are no others.
            "--advertise-address=192.0.2.1",
            *("--authorization-mode=RBAC", f"--token-auth-file={folder / TOKENS}"),
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-issuer={issuer}",
            f"--service-account-signing-key-file={folder / SIGNING_KEY}",
            f"--service-account-key-file={folder / SIGNING_KEY}",
        ),
        check=check,
        start_timeout=_START_TIMEOUT,
        log=folder / "kube-apiserver.log",
    )


async def _ask(url: str, trust: ssl.SSLContext) -> None:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(url, ssl=trust) as response,
    ):
        response.raise_for_status()
