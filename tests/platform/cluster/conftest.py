"""The cluster, and Helm on it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.mesh.ids import new_id
from tests.platform.aws.test_identity import OURS
from tests.platform.charts import HELM
from tests.platform.cluster import metrics as metrics_server
from tests.platform.cluster import programs, webhooks
from tests.platform.cluster.control_plane import ControlPlane, control_plane
from tests.platform.cluster.metrics import Metrics

NAMESPACES = ("souk", "argocd", "vault", "stores", "kong", "monitoring")
"""Those that manifests name."""

HELM_SECONDS = 240

_INFORMATION = re.compile(r"^I\d{4} .*\n", re.MULTILINE)
"""What client-go tells of itself, for example that it watches anew, in klog's form."""

Helm = Callable[..., Awaitable[str]]


class HelmFailed(Exception):
    """Helm did not do it, or warned; the message is what it said."""


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """Runs a cluster with its webhooks."""
    missing = [name for name in programs.NAMES if not programs.path(name).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)}: `make check-cluster` says why not installed")
    folder = tmp_path_factory.mktemp("cluster")
    async with (
        control_plane(folder, OURS) as plane,
        webhooks.installed(plane.api, folder),
    ):
        for name in NAMESPACES:
            await plane.make_namespace(name)
        yield plane


@pytest.fixture
async def metrics(cluster: ControlPlane) -> AsyncIterator[Metrics]:
    """Gives what says how busy containers are, while it is needed."""
    async with metrics_server.installed(cluster.api, cluster.kubeconfig.parent) as metrics:
        yield metrics


@pytest.fixture
async def namespace(cluster: ControlPlane) -> AsyncIterator[str]:
    """Makes a namespace of the test's own, which goes with it."""
    name = await cluster.make_namespace(f"test-{new_id()}")
    yield name
    await cluster.remove_namespace(name)


@pytest.fixture
def helm(cluster: ControlPlane) -> Helm:
    """Gives what runs Helm on the cluster and returns what it printed; raises HelmFailed."""

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(HELM), "--kubeconfig", str(cluster.kubeconfig), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), HELM_SECONDS)
        complaint = _INFORMATION.sub("", errors.decode())
        if process.returncode or complaint:
            raise HelmFailed(complaint)
        return output.decode()

    return run
