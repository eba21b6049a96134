"""The programs of a cluster on this machine, each on a free port, and how to know that it works.

    etcd ◀── kube-apiserver ◀──┬── kube-controller-manager     makes pods of Deployments and Jobs
                               ├── kube-scheduler              gives each pod a node
                               └── kwok                        plays nodes and pods (kubelet.yaml)

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

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
CERTIFICATES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SIGNING_KEY = "service-accounts.pem"
TOKENS = "tokens.csv"
KUBECONFIG = "kubeconfig"

_STAGES = Path(__file__).with_name("kubelet.yaml")
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
    return _serving(
        "kube-apiserver",
        folder,
        port,
        f"--etcd-servers=http://{ports.address(etcd_port)}",
        "--endpoint-reconciler-type=none",
        # It would look for an address that others reach; there are no others.
        "--advertise-address=192.0.2.1",
        # Debian's etcd does not tell how far it is, without which such a watch never begins.
        "--feature-gates=WatchList=false",
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder / TOKENS}",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--service-account-issuer={issuer}",
        f"--service-account-signing-key-file={folder / SIGNING_KEY}",
        f"--service-account-key-file={folder / SIGNING_KEY}",
    )


def kube_controller_manager(folder: Path, port: int) -> Program:
    """Returns all controllers; those that wait for something to settle wait less than usual."""
    return _serving(
        "kube-controller-manager",
        folder,
        port,
        f"--kubeconfig={folder / KUBECONFIG}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--root-ca-file={folder / 'ca.pem'}",
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
        # Nodes that are only played do not fail, but their signs of life may come late.
        "--node-monitor-grace-period=24h",
    )


def kube_scheduler(folder: Path, port: int) -> Program:
    """Returns the scheduler."""
    return _serving(
        "kube-scheduler",
        folder,
        port,
        f"--kubeconfig={folder / KUBECONFIG}",
        "--leader-elect=false",
    )


def kwok(folder: Path, port: int) -> Program:
    """Returns the kubelet of every node."""

    async def check() -> None:
        await _ask(f"http://{ports.address(port)}/healthz")

    return Program(
        name="kwok",
        argv=(
            *(str(path("kwok")), f"--kubeconfig={folder / KUBECONFIG}", f"--config={_STAGES}"),
            *("--manage-all-nodes", f"--server-address={ports.address(port)}"),
        ),
        check=check,
        log=folder / "kwok.log",
    )


def _serving(name: str, folder: Path, port: int, *arguments: str) -> Program:
    """Returns a program of Kubernetes with its certificate; `/readyz` or `/healthz` tells all."""
    probe = "readyz" if name == "kube-apiserver" else "healthz"

    async def check() -> None:
        trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        await _ask(f"https://{ports.address(port)}/{probe}", trust)

    return Program(
        name=name,
        argv=(
            *(str(path(name)), f"--bind-address={ports.LOOPBACK}", f"--secure-port={port}"),
            f"--tls-cert-file={folder / f'{name}.pem'}",
            f"--tls-private-key-file={folder / f'{name}-key.pem'}",
            *arguments,
        ),
        check=check,
        start_timeout=_START_TIMEOUT,
        log=folder / f"{name}.log",
    )


async def _ask(url: str, trust: ssl.SSLContext | None = None) -> None:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(url, ssl=trust or True) as response,
    ):
        response.raise_for_status()
