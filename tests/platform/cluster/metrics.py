"""Plays metrics-server: how much of a processor each container takes is what a test says.

    HorizontalPodAutoscaler ──▶ kube-apiserver ──▶ /apis/metrics.k8s.io/v1beta1

https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tests.platform.cluster import https
from tests.platform.cluster.api import Api
from tests.platform.objects import Object

_GROUP, _VERSION = "metrics.k8s.io", "v1beta1"
_ROOT = f"/apis/{_GROUP}/{_VERSION}"
_SERVICE = {"name": "metrics-server", "namespace": "kube-system"}
_PARTS = "/apis/apiregistration.k8s.io/v1/apiservices"


@dataclass
class Metrics:
    """What containers use, by namespace and name, in thousandths of a processor; else nothing."""

    api: Api
    millicores: dict[tuple[str, str], int] = field(default_factory=dict)

    async def discover(self, _: web.Request) -> web.Response:
        """Says what there is."""
        pods = {"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
        version = f"{_GROUP}/{_VERSION}"
        found = {"kind": "APIResourceList", "groupVersion": version, "resources": [pods]}
        return web.json_response({"apiVersion": "v1", **found})

    async def pods(self, request: web.Request) -> web.Response:
        """Answers for the pods of a namespace that a selector asks for."""
        namespace = request.match_info["namespace"]
        path = f"/api/v1/namespaces/{namespace}/pods"
        selector = request.query.get("labelSelector", "")
        found = await self.api.call("GET", path, labelSelector=selector)
        items = [self._of(pod, namespace) for pod in found["items"]]
        listed = {"kind": "PodMetricsList", "metadata": {}, "items": items}
        return web.json_response({"apiVersion": f"{_GROUP}/{_VERSION}", **listed})

    def _of(self, pod: Object, namespace: str) -> Object:
        names = [each["name"] for each in pod["spec"]["containers"]]
        return {
            "metadata": {"name": pod["metadata"]["name"], "namespace": namespace},
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "window": "15s",
            "containers": [
                {
                    "name": name,
                    "usage": {
                        "cpu": f"{self.millicores.get((namespace, name), 0)}m",
                        "memory": "64Mi",
                    },
                }
                for name in names
            ],
        }


@asynccontextmanager
async def installed(api: Api, folder: Path) -> AsyncIterator[Metrics]:
    """Serves metrics as a part of the API, until the block is left.

    `folder` is that of the certificates. Raises Refused.
    """
    metrics = Metrics(api)
    app = web.Application()
    app.router.add_get(_ROOT, metrics.discover)
    app.router.add_get(f"{_ROOT}/namespaces/{{namespace}}/pods", metrics.pods)
    async with https.serving(app, folder, _SERVICE["name"]) as port:
        place = {"type": "ExternalName", "externalName": "localhost"}
        path = f"/api/v1/namespaces/{_SERVICE['namespace']}/services"
        await api.call("POST", path, {"metadata": {"name": _SERVICE["name"]}, "spec": place})
        part = {
            "group": _GROUP,
            "version": _VERSION,
            "service": {**_SERVICE, "port": port},
            # The API server would expect the certificate of a Service of that namespace.
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        }
        name = {"name": f"{_VERSION}.{_GROUP}"}
        await api.call("POST", _PARTS, {"metadata": name, "spec": part})
        yield metrics
        await api.call("DELETE", f"{_PARTS}/{name['name']}")
