"""Helm installs every layer of every chart on a real API server, upgrades it and rolls it back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import yaml

from tests.platform.charts import CHARTS, EVERY_CHART, layers
from tests.platform.cluster.control_plane import ControlPlane
from tests.platform.objects import Object

LAYERS = [layer for chart in EVERY_CHART for layer in layers(chart)]


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
