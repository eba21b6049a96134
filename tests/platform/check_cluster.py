"""Charts and manifests, judged by a real API server: `make check-cluster`.

Every object is applied as it stands, with schemas, CEL rules and Pod Security admission; a warning
counts as a refusal. Helm installs each chart, upgrades it and rolls it back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from services.mesh.ids import new_id
from tests.platform.charts import CHARTS, EVERY_CHART, HELM, ROOT, layers
from tests.platform.cluster.api import Refused, pods
from tests.platform.cluster.control_plane import PROGRAMS, ControlPlane, control_plane
from tests.platform.objects import Object

LAYERS = [layer for chart in EVERY_CHART for layer in layers(chart)]
MANIFESTS = {
    "souk": (
        *sorted(ROOT.glob("kong/kubernetes/*.yaml")),
        *sorted(ROOT.glob("kong/kubernetes/derived/*.yaml")),
        *sorted(ROOT.glob("k3d/infrastructure/*.yaml")),
        *sorted(ROOT.glob("k3d/apps/*.yaml")),
    ),
    "argocd": (
        *sorted(ROOT.glob("deploy/gitops/*/root.yaml")),
        *sorted(ROOT.glob("deploy/gitops/*/apps/*.yaml")),
    ),
    "vault": (ROOT / "deploy/vault/job.yaml",),
}
K3D_NAMESPACES = ("stores", "kong", "monitoring")

HELM_SECONDS = 60

Helm = Callable[..., Awaitable[str]]


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """Runs an API server with the namespaces that manifests name."""
    missing = [program.name for program in PROGRAMS if not program.exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)}: `make check-cluster` says why not installed")
    async with control_plane(tmp_path_factory.mktemp("cluster")) as plane:
        for name in (*MANIFESTS, *K3D_NAMESPACES):
            await plane.make_namespace(name)
        yield plane


@pytest.fixture
async def namespace(cluster: ControlPlane) -> str:
    """Makes a namespace of the test's own."""
    return await cluster.make_namespace(f"test-{new_id()}")


@pytest.fixture
def helm(cluster: ControlPlane) -> Helm:
    """Gives what runs Helm on the cluster, returns what it printed, and fails if it warns."""

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(HELM), "--kubeconfig", str(cluster.kubeconfig), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await asyncio.wait_for(process.communicate(), HELM_SECONDS)
        assert (0, "") == (process.returncode, complaint.decode())
        return output.decode()

    return run


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pod"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "pod",
                "image": "pod:1",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "certificate"},
    "spec": {"secretName": "tls", "issuerRef": {"name": "souk"}},
}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "route"},
    "spec": {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}]}]},
}


@pytest.mark.parametrize(
    ("good", "changed", "message"),
    [
        (POD, {"hostNetwork": True}, "violates PodSecurity"),
        (POD, {"hostNetwrok": True}, ".spec.hostNetwrok: field not declared in schema"),
        (CERTIFICATE, {"secretNaem": "tls"}, "spec.secretNaem"),
        (
            ROUTE,
            {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/a//b"}}]}]},
            "must not contain '//'",
        ),
    ],
    ids=["Pod Security", "unknown field", "schema of a custom resource", "CEL rule"],
)
async def test_faults_are_refused(cluster, namespace, good, changed, message):
    """The server judges as one in production does; else what follows would say nothing."""
    await cluster.api.apply(good, namespace, is_dry_run=True)
    bad = {**good, "spec": {**good["spec"], **changed}}
    with pytest.raises(Refused) as refused:
        await cluster.api.apply(bad, namespace, is_dry_run=True)
    assert message in str(refused.value)


async def test_a_warning_is_a_refusal(cluster, namespace):
    """A Deployment is admitted whose pods will not be; the server only warns of it."""
    labels = {"app": "root"}
    containers = [{"name": "root", "image": "root:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "root"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    with pytest.raises(Refused, match="would violate PodSecurity"):
        await cluster.api.apply(deployment, namespace)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.chart}-{layer.name}")
async def test_every_object_of_a_chart_is_admitted(cluster, charts, namespace, layer):
    """In the order in which Helm renders them, hooks and tests too, and the pods they make."""
    await admit(cluster, charts.objects(layer), namespace)


@pytest.mark.parametrize(
    ("namespace", "path"),
    [(namespace, path) for namespace, paths in MANIFESTS.items() for path in paths],
    ids=lambda value: str(value.relative_to(ROOT)) if isinstance(value, Path) else value,
)
async def test_every_manifest_is_admitted(cluster, namespace, path):
    """What is applied by Argo CD, k3d/up or by hand is taken as it stands."""
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    await admit(cluster, [each for each in documents if each], namespace)


async def admit(cluster: ControlPlane, objects: list[Object], namespace: str) -> None:
    """Applies objects, and tries the pods that controllers would make of them. Raises Refused."""
    for each in objects:
        await cluster.api.apply(each, namespace)
    for pod in pods(objects):
        await cluster.api.apply(pod, namespace, is_dry_run=True)


@pytest.fixture
async def jobs_done(cluster: ControlPlane, namespace: str) -> AsyncIterator[None]:
    """Tells of every Job that it is done, as a controller would whose kubelet has run its pod."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    async def tell() -> None:
        while True:
            for job in (await cluster.api.call("GET", path))["items"]:
                if "conditions" not in job["status"]:
                    where = f"{path}/{job['metadata']['name']}/status"
                    await cluster.api.call("PUT", where, {**job, "status": _done()})
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(tell())
        yield
        telling.cancel()


def _done() -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}


@pytest.mark.usefixtures("jobs_done")
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.chart}-{layer.name}")
async def test_a_chart_is_installed_upgraded_and_rolled_back(
    cluster, charts, namespace, helm, layer
):
    """After a rollback all is as it was before the upgrade, and nothing is left in the end.

    The upgrade migrates by the new version's image.
    """
    release = (layer.chart, "--namespace", namespace)
    change = "image.tag=0.2.0" if layer.chart in CHARTS else "labels.release=other"

    await helm("install", *release, *charts.arguments(layer))
    manifest = await helm("get", "manifest", *release)
    objects = [each for each in yaml.safe_load_all(manifest) if each]
    installed = await state(cluster, objects, namespace)
    assert None not in installed
    await helm("upgrade", *release, *charts.arguments(layer, change))
    assert installed != await state(cluster, objects, namespace)
    for job in [each for each in charts.objects(layer) if each["kind"] == "Job"]:
        migrated = await cluster.api.read(job, namespace)
        assert str(migrated).count(":0.2.0'") == 1
    await helm("rollback", layer.chart, "1", *release[1:])
    assert installed == await state(cluster, objects, namespace)
    await helm("uninstall", *release)
    assert [None] * len(objects) == await state(cluster, objects, namespace)


async def state(
    cluster: ControlPlane, objects: list[Object], namespace: str
) -> list[Object | None]:
    """Returns what the server has of each object, without what it counts changes and times by."""
    found = [await cluster.api.read(each, namespace) for each in objects]
    return [each and _stated(each) for each in found]


def _stated(each: Object) -> Object:
    metadata = {name: each["metadata"].get(name) for name in ("name", "labels", "annotations")}
    return {name: part for name, part in each.items() if name != "status"} | {"metadata": metadata}
