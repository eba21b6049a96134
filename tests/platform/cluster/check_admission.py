"""Charts and manifests are admitted by a real API server as they stand.

With schemas, CEL rules and Pod Security admission, after webhooks have changed the pods; a warning
counts as a refusal.
"""

from pathlib import Path

import pytest
import yaml

from tests.platform.charts import EVERY_CHART, ROOT, layers
from tests.platform.cluster.api import Refused, pods
from tests.platform.cluster.control_plane import ControlPlane
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
POD: Object = {
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


@pytest.mark.parametrize(("restricts", "is_admitted"), [("true", True), ("false", False)])
async def test_what_a_webhook_adds_is_judged(cluster, namespace, *, restricts, is_admitted):
    """A good pod is refused whose agent would run unrestricted."""
    annotations = {
        "agent-inject": "true",
        "agent-service-account-token-volume-name": "token",
        "agent-set-security-context": restricts,
    }
    metadata = {
        "name": "pod",
        "annotations": {f"vault.hashicorp.com/{name}": text for name, text in annotations.items()},
    }
    volumes = [{"name": "token", "emptyDir": {}}]
    pod = {**POD, "metadata": metadata, "spec": {**POD["spec"], "volumes": volumes}}
    if is_admitted:
        await cluster.api.apply(pod, namespace, is_dry_run=True)
    else:
        with pytest.raises(Refused, match=r'violates PodSecurity.*containers "vault-agent'):
            await cluster.api.apply(pod, namespace, is_dry_run=True)


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
